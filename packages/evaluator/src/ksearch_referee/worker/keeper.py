"""What the keeper does: the tensors of calls stay in its memory of the GPU, and others get parcels of them.

The keeper is a worker that no kernel is loaded into and that nobody times. It has inputs made, or gets them from the
driver, keeps what came back, and compares. A *parcel* is an allocation of its own, laid out as an arena is, with copies
of one call's inputs and room for its outputs; another process opens it by a handle that it gets with *go*. A parcel
takes whole blocks of memory, since CUDA hands out blocks: nothing else may lie in them.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ksearch_referee.compare import compare_outputs
from ksearch_referee.frames import Frame
from ksearch_referee.layout import Slot, slot_of
from ksearch_referee.worker.cuda_driver import CudaDriver
from ksearch_referee.worker.device_tensors import Allocation, bytes_in_a_row, bytes_of, bytes_over, tensor_over
from ksearch_referee.worker.torch_arrays import ARITHMETIC, torch

_BLOCK_BYTES = 2 << 20

Kept = list[tuple[Slot, Any]]
"""Tensors of a call, each as its bytes in a row, in the order in which its slot says that they lie."""


class Keeper:
    """Sets of tensors by key, and parcels by borrower.

    Args:
        driver: of the context in which all this lies.
    """

    def __init__(self, driver: CudaDriver) -> None:
        self._driver = driver
        self._arena = np.empty(0, dtype=np.uint8)
        self._sets: dict[int, Kept] = {}
        self._parcels: dict[str, Any] = {}
        self.operations: dict[str, Callable[[Frame], Frame]] = {
            "upload": self._upload,
            "download": self._download,
            "lend": self._lend,
            "take": self._take,
            "compare": self._compare,
            "forget": self._forget,
        }

    def map(self, arena: np.ndarray) -> None:
        """Take the arena, through which the driver's tensors come and go."""
        self._driver.pin(arena.ctypes.data, arena.nbytes)
        self._arena = arena

    def hold(self, key: int, entries: Sequence[Frame], tensors: Sequence[Any]) -> None:
        """Keep copies of tensors that this process has made."""
        slots = map(slot_of, entries)
        self._sets[key] = [
            (slot, bytes_in_a_row(tensor, slot.order).clone()) for slot, tensor in zip(slots, tensors, strict=True)
        ]

    def copies(self, key: int) -> list[Any]:
        """Return copies of the tensors of a set."""
        return [tensor_over(raw.clone(), slot) for slot, raw in self._sets[key]]

    def _in_arena(self, slot: Slot) -> Any:
        return torch.from_numpy(self._arena[slot.offset : slot.offset + slot.nbytes])

    def _upload(self, frame: Frame) -> Frame:
        """Keep what the driver has written into the arena."""
        self._sets[frame["key"]] = [(slot, self._in_arena(slot).cuda()) for slot in map(slot_of, frame["slots"])]
        return {}

    def _download(self, frame: Frame) -> Frame:
        """Write tensors of a set into the arena, all or those that are named."""
        for slot, raw in self._sets[frame["key"]]:
            if frame["names"] is None or slot.name in frame["names"]:
                self._in_arena(slot).copy_(raw)
        return {}

    def _lend(self, frame: Frame) -> Frame:
        """Make a parcel of a set; return how it is opened. The last one of this borrower is gone: it has closed it."""
        self._parcels.pop(frame["to"], None)
        nbytes = -(-frame["nbytes"] // _BLOCK_BYTES) * _BLOCK_BYTES
        allocation = Allocation(self._driver, nbytes)
        parcel = self._parcels[frame["to"]] = bytes_of(allocation, 0, nbytes)
        parcel.zero_()  # what lay there before may be what the next borrower is to compute
        for slot, raw in self._sets[frame["key"]]:
            bytes_over(parcel, slot).copy_(raw)
        for entry, poison in zip(frame["outputs"], frame["poison"], strict=True):
            slot, element = slot_of(entry), torch.tensor(list(bytes.fromhex(poison)), dtype=torch.uint8)
            if slot.nbytes:
                bytes_over(parcel, slot).view(-1, len(element)).copy_(element.cuda())
        self._driver.synchronise()
        return {"parcel": {"handle": self._driver.export(allocation.pointer).hex(), "nbytes": nbytes}}

    def _take(self, frame: Frame) -> Frame:
        """Keep what a borrower has put into its parcel."""
        parcel = self._parcels[frame["from"]]
        self._sets[frame["key"]] = [(slot, bytes_over(parcel, slot).clone()) for slot in map(slot_of, frame["slots"])]
        self._driver.synchronise()
        return {}

    def _compare(self, frame: Frame) -> Frame:
        """Compare two sets of outputs."""
        got, want = (
            {slot.name: tensor_over(raw, slot) for slot, raw in self._sets[frame[which]]} for which in ("got", "want")
        )
        return {"comparison": asdict(compare_outputs(got, want, frame["settings"], ARITHMETIC))}

    def _forget(self, frame: Frame) -> Frame:
        for key in frame["keys"]:
            self._sets.pop(key, None)
        return {}
