"""Bytes and tensors over memory of the GPU that does not come from torch."""

from collections.abc import Sequence
from typing import Any, Protocol

from ksearch_referee.layout import Slot
from ksearch_referee.worker.cuda_driver import CudaDriver
from ksearch_referee.worker.torch_arrays import torch


class Memory(Protocol):
    """Memory of the GPU that is there as long as this object is."""

    pointer: int


class Allocation:
    """Memory from `cuMemAlloc`, given back when no tensor over it is left."""

    def __init__(self, driver: CudaDriver, nbytes: int) -> None:
        self._driver = driver
        self.pointer = driver.allocate(nbytes)

    def __del__(self) -> None:
        self._driver.free(self.pointer)


class Opened:
    """Memory of another process, closed when no tensor over it is left."""

    def __init__(self, driver: CudaDriver, handle: bytes) -> None:
        self._driver = driver
        self.pointer = driver.open(handle)

    def __del__(self) -> None:
        self._driver.close(self.pointer)


class _Span:
    """Bytes of some memory, as torch takes foreign memory; it keeps the memory."""

    def __init__(self, memory: Memory, start: int, nbytes: int) -> None:
        self.memory = memory
        place = (memory.pointer + start, False)
        self.__cuda_array_interface__ = {"shape": (nbytes,), "typestr": "|u1", "data": place, "version": 2}


def bytes_of(memory: Memory, start: int, nbytes: int) -> Any:
    """Return bytes of some memory as a tensor of torch's."""
    return torch.as_tensor(_Span(memory, start, nbytes), device="cuda")


def bytes_over(whole: Any, slot: Slot) -> Any:
    """Return the bytes of one tensor in memory that is laid out as an arena is."""
    return whole[slot.offset : slot.offset + slot.nbytes]


def bytes_in_a_row(tensor: Any, order: Sequence[int] | None) -> Any:
    """Return a tensor's bytes as they lie in memory, if its dimensions lie in this order."""
    lying = tensor if order is None else tensor.permute(order)
    return lying.reshape(-1).view(torch.uint8)


def tensor_over(raw: Any, slot: Slot) -> Any:
    """Return the tensor whose bytes are `raw`, in the slot's shape and lying in its order."""
    dtype = getattr(torch, slot.dtype_name)
    if 0 in slot.shape:
        return torch.empty(slot.shape, dtype=dtype, device="cuda")
    elements = raw.view(dtype)
    if slot.order is None:
        return elements.view(slot.shape)
    lying = elements.view([slot.shape[dimension] for dimension in slot.order])
    return lying.permute([slot.order.index(dimension) for dimension in range(len(slot.shape))])
