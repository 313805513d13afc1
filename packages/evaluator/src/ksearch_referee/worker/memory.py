"""Where the tensors of a call lie: in the arena itself, or in memory of a GPU (`cuda_memory.py`)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ksearch_referee.frames import Frame
from ksearch_referee.layout import Slot
from ksearch_referee.worker.device_clock import Reading


@dataclass(frozen=True)
class Output:
    """What a call returned: `facts` to declare of it, and the tensor unless those are a fault."""

    facts: Frame
    tensor: Any = None


class Memory(Protocol):
    """Tensors of one call at a time, bound while the arena holds nothing of it yet."""

    def map(self, arena: np.ndarray) -> None:
        """Take the arena, which has its size by now."""
        ...

    def bind(self, inputs: Sequence[Slot], outputs: Sequence[Slot]) -> tuple[list[Any], list[Any]]:
        """Return tensors for the next call."""
        ...

    def load(self, parcel: Frame | None = None, *, flush: bool) -> None:
        """Bring the inputs of a parcel, or of the arena, into the tensors, with cold caches if `flush`."""
        ...

    def settle(self) -> None:
        """Wait for all that the call began; within the timed region.

        Raises:
            RuntimeError: it failed.
        """
        ...

    def measure(self, invoke: Callable[[], Any], *, held: bool) -> tuple[Any, Reading]:
        """Make the call under the device's own clock, and wait for all that it began; see `DeviceClock.measure`."""
        ...

    def touch(self, duration_ns: int) -> None:
        """In place of a kernel: read and write all bytes of all tensors, again and again until the time is over."""
        ...

    def hand_over(self, outputs: Sequence[Output] | None, slots: Sequence[Slot]) -> list[Frame]:
        """Put what was returned, or what was bound if that is None, where `slots` say; return what to declare."""
        ...

    def damage(self) -> Frame:
        """Return `{changed, overrun}`: numbers of inputs with other bytes than the arena's, and of an overrun tensor.

        Both are lists; the second, of at most one, counts inputs and outputs through.
        """
        ...


class ArenaMemory:
    """Tensors right in the arena: nothing has to be copied around a call.

    Args:
        wait: waits for a GPU that a call may use on its own.
    """

    def __init__(self, wait: Callable[[], None] | None = None) -> None:
        self._arena = np.empty(0, dtype=np.uint8)
        self._wait = wait
        self._bound: list[np.ndarray] = []

    def map(self, arena: np.ndarray) -> None:
        """See `Memory`."""
        self._arena = arena

    def bind(self, inputs: Sequence[Slot], outputs: Sequence[Slot]) -> tuple[list[Any], list[Any]]:
        """See `Memory`."""
        self._bound = [self._arena[slot.offset : slot.offset + slot.nbytes] for slot in (*inputs, *outputs)]
        tensors = [slot.over(raw) for slot, raw in zip((*inputs, *outputs), self._bound, strict=True)]
        return tensors[: len(inputs)], tensors[len(inputs) :]

    def load(self, parcel: Frame | None = None, *, flush: bool) -> None:
        """Do nothing: the driver has written into the tensors, and driven them out of the caches."""
        del parcel, flush

    def settle(self) -> None:
        """Wait for the GPU, if there is one; else a call that has returned is over."""
        if self._wait is not None:
            self._wait()

    def measure(self, invoke: Callable[[], Any], *, held: bool) -> tuple[Any, Reading]:
        """Refuse: a CPU has no clock but the host's."""
        raise RuntimeError("there is no device to measure")

    def touch(self, duration_ns: int) -> None:
        """See `Memory`."""
        give_up_at = time.perf_counter_ns() + duration_ns
        while True:
            for raw in self._bound:
                np.invert(raw, out=raw)
            if time.perf_counter_ns() >= give_up_at:
                return

    def hand_over(self, outputs: Sequence[Output] | None, slots: Sequence[Slot]) -> list[Frame]:
        """Say where the outputs lie: the driver reads them there."""
        del slots
        if outputs is None:
            raise RuntimeError("there is nothing to collect")
        return [output.facts for output in outputs]

    def damage(self) -> Frame:
        """Say nothing: the driver looks at the arena itself."""
        return {"changed": [], "overrun": []}
