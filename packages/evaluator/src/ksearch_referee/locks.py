"""One timing slot per device, over all processes of one host.

Builds and correctness runs hold the slot shared, timing holds it alone: nothing of ours runs while a kernel is timed.
A *turnstile* file stands before the slot: whoever waits to time keeps it, so that newcomers queue behind and a timing
is never starved. `flock` locks belong to the open file: a killed process leaves none behind.
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ksearch_referee.failures import InfraError

_POLL_S = 0.005


def _acquire(descriptor: int, kind: int, give_up_at: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise InfraError("waited too long for the timing slot of this host") from None
            time.sleep(_POLL_S)
        else:
            return


class TimingSlot:
    """The slot of one device; `folder` is the same for every judge of the host."""

    def __init__(self, folder: Path, device: str, max_wait_s: float = 900.0) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._slot = folder / f"{device}.slot"
        self._turnstile = folder / f"{device}.turnstile"
        self._max_wait_s = max_wait_s

    @contextmanager
    def _hold(self, kind: int) -> Generator[float, None, None]:
        started = time.monotonic()
        give_up_at = started + self._max_wait_s
        slot = os.open(self._slot, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        turnstile = os.open(self._turnstile, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _acquire(turnstile, fcntl.LOCK_EX, give_up_at)
            _acquire(slot, kind, give_up_at)
            fcntl.flock(turnstile, fcntl.LOCK_UN)
            yield time.monotonic() - started
        finally:
            os.close(turnstile)
            os.close(slot)

    def shared(self) -> AbstractContextManager[float]:
        """Hold the slot with other builds and correctness runs; yields the seconds waited."""
        return self._hold(fcntl.LOCK_SH)

    def exclusive(self) -> AbstractContextManager[float]:
        """Hold the slot alone, to time; yields the seconds waited."""
        return self._hold(fcntl.LOCK_EX)
