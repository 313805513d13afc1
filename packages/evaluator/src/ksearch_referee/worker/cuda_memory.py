"""A call's tensors in memory of the GPU: copies of a parcel's (`keeper.py`), made right before the call.

Where the host lets no process open another's memory of the GPU, the arena is the parcel.

Each tensor has an allocation of its own, straight from the driver's `cuMemAlloc` and not out of torch's pool, and lies
at another place of it in every call, aligned to 256 bytes: a pointer that was remembered, in a captured graph say,
points at something else by then. What is around it holds a canary.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ksearch_referee.frames import Frame
from ksearch_referee.layout import ALIGNMENT_BYTES, Slot
from ksearch_referee.worker import torch_arrays
from ksearch_referee.worker.cuda_driver import CudaDriver
from ksearch_referee.worker.device_clock import DeviceClock, Reading
from ksearch_referee.worker.device_tensors import (
    Allocation,
    Opened,
    bytes_in_a_row,
    bytes_of,
    bytes_over,
    tensor_over,
)
from ksearch_referee.worker.memory import Output
from ksearch_referee.worker.torch_arrays import torch

_PLACES = 64
_SPARE_BYTES = (_PLACES + 2) * ALIGNMENT_BYTES
_CANARY = 0x5A
_COMPARED_BYTES = 32 << 20
# Who shares a GPU with another process waits for its turns: eight sweeps through the L2 cache, 0.6 ms on an H100 that
# is free, took 1.8 to 3 ms while another process kept it busy.
_SWEEPS = 8
_CALIBRATIONS = 20
_SHARED_RATIO = 1.5
_MOST_WAIT_NS = 100_000_000


def _differ(mine: Any, theirs: Any) -> bool:
    """Tell whether bytes on the device differ from a parcel's; a piece at a time, eight bytes as one number."""
    whole = mine.numel() // 8 * 8
    pieces = [(start, min(start + _COMPARED_BYTES, whole)) for start in range(0, whole, _COMPARED_BYTES)]
    for start, end in pieces:
        if not torch.equal(mine[start:end].view(torch.int64), theirs[start:end].cuda().view(torch.int64)):
            return True
    return not torch.equal(mine[whole:], theirs[whole:].cuda())


class _Place:
    """One tensor of a call: its bytes, and the spare ones around them."""

    def __init__(self, slot: Slot, allocation: Allocation, start: int) -> None:
        end = start + slot.nbytes
        self.slot = slot
        self.raw = bytes_of(allocation, start, slot.nbytes)
        self.around = [
            bytes_of(allocation, start - ALIGNMENT_BYTES, ALIGNMENT_BYTES),
            bytes_of(allocation, end, ALIGNMENT_BYTES),
        ]

    @property
    def tensor(self) -> Any:
        """The tensor itself."""
        return tensor_over(self.raw, self.slot)


class CudaMemory:
    """Memory on the first GPU; making it makes torch's context there."""

    def __init__(self) -> None:
        torch.zeros(1, device="cuda")
        self._driver = CudaDriver()
        self._arena: Any = torch.empty(0, dtype=torch.uint8)
        self._parcel: Any = self._arena
        self._allocations: list[tuple[int, Allocation]] = []
        self._inputs: list[_Place] = []
        self._outputs: list[_Place] = []
        facts = torch.cuda.get_device_properties(0)
        self._clock = DeviceClock(self._driver, facts.multi_processor_count, facts.max_threads_per_multi_processor)
        self._flushed = torch.zeros(2 * facts.L2_cache_size // 4, dtype=torch.int32, device="cuda")
        self.load(flush=True)  # the first launch of a kernel loads it
        self._alone_ns: int | None = None

    def map(self, arena: np.ndarray) -> None:
        """See `Memory`. The arena's pages are pinned, where this host allows it: copies are then quick and steady."""
        self._driver.pin(arena.ctypes.data, arena.nbytes)
        self._arena = self._parcel = torch.from_numpy(arena)

    def _allocation(self, number: int, nbytes: int) -> Allocation:
        """Return the allocation of the tensor of this number, a new one if it was too small."""
        if number == len(self._allocations):
            self._allocations.append((nbytes, Allocation(self._driver, nbytes)))
        elif self._allocations[number][0] < nbytes:
            self._allocations[number] = (nbytes, Allocation(self._driver, nbytes))
        return self._allocations[number][1]

    def _place(self, number: int, slot: Slot) -> _Place:
        start = (1 + secrets.randbelow(_PLACES)) * ALIGNMENT_BYTES
        return _Place(slot, self._allocation(number, slot.nbytes + _SPARE_BYTES), start)

    def bind(self, inputs: Sequence[Slot], outputs: Sequence[Slot]) -> tuple[list[Any], list[Any]]:
        """See `Memory`."""
        self._parcel = self._arena  # closes the last one
        places = [self._place(number, slot) for number, slot in enumerate((*inputs, *outputs))]
        self._inputs, self._outputs = places[: len(inputs)], places[len(inputs) :]
        return [place.tensor for place in self._inputs], [place.tensor for place in self._outputs]

    @property
    def driver(self) -> CudaDriver:
        """Whose context all this is in."""
        return self._driver

    def open(self, parcel: Frame) -> None:
        """Open a parcel, until the next call is bound.

        Raises:
            CudaError: this host does not allow that.
        """
        self._parcel = bytes_of(Opened(self._driver, bytes.fromhex(parcel["handle"])), 0, parcel["nbytes"])

    def load(self, parcel: Frame | None = None, *, flush: bool) -> None:
        """Copy the inputs, poison the outputs, drive both out of the L2 cache, and wait until that is done."""
        if parcel is not None:
            self.open(parcel)
        for place in (*self._inputs, *self._outputs):
            for spare in place.around:
                spare.fill_(_CANARY)
        for place in self._inputs:
            place.raw.copy_(bytes_over(self._parcel, place.slot), non_blocking=True)
        for place in self._outputs:
            element = place.slot.dtype.itemsize
            if place.slot.nbytes:
                place.raw.view(-1, element).copy_(bytes_over(self._parcel, place.slot)[:element].cuda())
        if flush:
            self._driver.forget_persisting()
            self._flushed.add_(1)
        self._driver.synchronise()

    def _sweep_ns(self) -> int:
        """Return how long a little work on the device takes, ns."""
        started = time.perf_counter_ns()
        for _ in range(_SWEEPS):
            self._flushed.add_(1)
        self._driver.synchronise()
        return time.perf_counter_ns() - started

    def comes_to_rest(self) -> bool:
        """Wait until no other process works on the device, at most 0.1 s; tell whether none does.

        The first time it learns how long that little work takes: by the quickest of 20, since others may be at work.
        """
        if self._alone_ns is None:
            self._alone_ns = min(self._sweep_ns() for _ in range(_CALIBRATIONS))
        give_up_at = time.perf_counter_ns() + _MOST_WAIT_NS
        while self._sweep_ns() > _SHARED_RATIO * self._alone_ns:
            if time.perf_counter_ns() > give_up_at:
                return False
        return True

    def settle(self) -> None:
        """Wait for the whole device, other streams too."""
        self._driver.synchronise()

    def measure(self, invoke: Callable[[], Any], *, held: bool) -> tuple[Any, Reading]:
        """See `Memory`."""
        return self._clock.measure(invoke, held=held)

    def touch(self, duration_ns: int) -> None:
        """See `Memory`."""
        give_up_at = time.perf_counter_ns() + duration_ns
        while True:
            for place in (*self._inputs, *self._outputs):
                torch.bitwise_not(place.raw, out=place.raw)
            self._driver.synchronise()
            if time.perf_counter_ns() >= give_up_at:
                return

    def hand_over(self, outputs: Sequence[Output] | None, slots: Sequence[Slot]) -> list[Frame]:
        """See `Memory`. Copies go into the parcel."""
        if outputs is None:
            outputs = [Output(torch_arrays.facts(place.tensor), place.tensor) for place in self._outputs]
        for output, slot in zip(outputs, slots, strict=True):
            raw = None if output.tensor is None else bytes_in_a_row(output.tensor, output.facts["order"])
            if raw is not None and len(raw) == slot.nbytes:
                bytes_over(self._parcel, slot).copy_(raw)
        self._driver.synchronise()
        return [output.facts for output in outputs]

    def damage(self) -> Frame:
        """See `Memory`."""
        inputs = enumerate(self._inputs)
        changed = [number for number, place in inputs if _differ(place.raw, bytes_over(self._parcel, place.slot))]
        canaries = [torch.cat(place.around) for place in (*self._inputs, *self._outputs)]
        intact: list[bool] = (torch.stack(canaries) == _CANARY).all(dim=1).tolist() if canaries else []
        return {"changed": changed, "overrun": [intact.index(False)] if False in intact else []}
