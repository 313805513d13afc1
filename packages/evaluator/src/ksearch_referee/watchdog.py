"""Ends what does not end by itself in time: processes that do not stand still, workers that take more than they may."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator
from functools import cache
from typing import Protocol

_PERIOD_S = 0.25


class Guarded(Protocol):
    """A worker that is looked after."""

    def end_excess(self) -> None:
        """End it if it has taken more than it may."""
        ...


class Watchdog:
    """Kills process groups that do not stand still in time, or whose memory does not let itself be read.

    Waiting for that has to block: a driver that polled would take, for milliseconds, the CPU that a worker's threads
    need in order to stop. It also looks after what workers take that no limit of the system holds for them alone.
    """

    def __init__(self) -> None:
        self._watched: dict[int, tuple[float, list[int]]] = {}
        self._guarded: set[Guarded] = set()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(_PERIOD_S)
            for worker in list(self._guarded):
                worker.end_excess()
            for group, (give_up_at, ended) in list(self._watched.items()):
                if time.monotonic() > give_up_at:
                    ended.append(group)
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(group, signal.SIGKILL)

    def guard(self, worker: Guarded) -> None:
        """Look after a worker from now on."""
        self._guarded.add(worker)

    def leave(self, worker: Guarded) -> None:
        """Look after it no more."""
        self._guarded.discard(worker)

    @contextlib.contextmanager
    def over(self, group: int, timeout_s: float) -> Generator[list[int], None, None]:
        """Watch over one group that has `timeout_s`; it is in the list once its time is up."""
        ended: list[int] = []
        self._watched[group] = (time.monotonic() + timeout_s, ended)
        try:
            yield ended
        finally:
            del self._watched[group]


@cache
def watchdog() -> Watchdog:
    """Return the one of this process."""
    return Watchdog()
