"""One case as memory: where each tensor lies in the shared arena, and what arguments and result are made up of."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.dtypes import DtypeError, numpy_dtype
from ksearch_referee.frames import Frame
from ksearch_referee.trees import Structure

ALIGNMENT_BYTES = 256

Value = np.ndarray | float | int | bool | str | None
"""What the driver holds for one leaf of the arguments: a tensor, or a plain value."""


@dataclass(frozen=True)
class Slot:
    """One tensor in the arena, `offset` bytes from its start, aligned to 256 bytes.

    `order` names the dimensions from the slowest in memory to the fastest, None for row-major: a problem may hand out
    transposed tensors, and their layout is part of the task.
    """

    name: str
    dtype_name: str
    shape: tuple[int, ...]
    offset: int
    order: tuple[int, ...] | None = None

    @property
    def dtype(self) -> np.dtype:
        """Numpy dtype of the elements."""
        return numpy_dtype(self.dtype_name)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return prod(self.shape) * self.dtype.itemsize

    def over(self, raw: NDArray[np.uint8]) -> np.ndarray:
        """Return the tensor whose bytes lie in `raw`, as a view."""
        return ordered_view(raw.view(self.dtype), self.shape, self.order)

    def raw(self, tensor: np.ndarray) -> NDArray[np.uint8]:
        """Return the bytes of a tensor of this shape and dtype, in the order in which they lie in memory."""
        lying = tensor if self.order is None else tensor.transpose(self.order)
        return np.ascontiguousarray(lying).reshape(-1).view(np.uint8)

    def entry(self, base: int = 0) -> Frame:
        """Return what a worker is told of it, `base` bytes further away."""
        facts: Frame = {"name": self.name, "dtype": self.dtype_name, "shape": list(self.shape), "order": self.order}
        return {**facts, "offset": base + self.offset}


def slot_of(entry: Frame) -> Slot:
    """Return the slot that an entry tells of."""
    shape, order = tuple(entry["shape"]), entry["order"]
    return Slot(entry["name"], entry["dtype"], shape, entry["offset"], None if order is None else tuple(order))


def ordered_view(elements: np.ndarray, shape: tuple[int, ...], order: tuple[int, ...] | None) -> np.ndarray:
    """Return elements in a row as a tensor whose dimensions lie in memory by `order` (see `Slot`)."""
    if order is None:
        return elements.reshape(shape)
    lying = elements.reshape([shape[dimension] for dimension in order])
    return lying.transpose([order.index(dimension) for dimension in range(len(shape))])


@dataclass(frozen=True)
class Plain:
    """An input that is no tensor: a number, a word, a truth value."""

    name: str


@dataclass(frozen=True)
class Gap:
    """Bytes that belong to no tensor; `where` says so to whoever writes there."""

    start: int
    end: int
    where: str


@dataclass(frozen=True)
class Layout:
    """Leaves of the arguments and of the result, in order, and what they are put together to.

    `arguments` is the list of positional arguments over the indices of `inputs`; `results` what a call returns over the
    indices of `outputs`, None where a kernel may choose (one value, a tuple, or a dict by name). `axes` are the sizes
    that a C function gets. `changeable` are the indices of inputs that the reference writes to: a kernel may do so too,
    and may return them. Before the first tensor and behind each lies a gap of at least 256 bytes.
    """

    inputs: tuple[Slot | Plain, ...]
    outputs: tuple[Slot, ...]
    arguments: Structure
    results: Structure | None
    axes: tuple[int, ...]
    changeable: tuple[int, ...]
    gaps: tuple[Gap, ...]
    nbytes: int

    @property
    def tensors(self) -> tuple[Slot, ...]:
        """The inputs that are tensors."""
        return tuple(slot for slot in self.inputs if isinstance(slot, Slot))

    @property
    def fixed(self) -> tuple[Slot, ...]:
        """The inputs that a kernel has to leave as they are."""
        inputs = enumerate(self.inputs)
        return tuple(slot for index, slot in inputs if isinstance(slot, Slot) and index not in self.changeable)

    @property
    def moved_bytes(self) -> int:
        """Bytes of all input and output tensors, each counted once."""
        return sum(slot.nbytes for slot in (*self.tensors, *self.outputs))


@dataclass(frozen=True)
class TensorFacts:
    """What a tensor is, wherever it lies."""

    dtype_name: str
    shape: tuple[int, ...]
    order: tuple[int, ...] | None = None


@dataclass
class Placement:
    """Places tensors one after the other, each with a gap behind it."""

    end: int = ALIGNMENT_BYTES
    gaps: list[Gap] = field(default_factory=lambda: [Gap(0, ALIGNMENT_BYTES, "before the first tensor")])

    def place(self, name: str, tensor: TensorFacts) -> Slot:
        """Place one tensor.

        Raises:
            DtypeError: its dtype is none that the referee can hold.
        """
        try:
            numpy_dtype(tensor.dtype_name)
        except DtypeError as error:
            raise DtypeError(f"'{name}': {error}") from None
        slot = Slot(name, tensor.dtype_name, tensor.shape, self.end, tensor.order)
        filled = self.end + slot.nbytes
        self.end = (-(-filled // ALIGNMENT_BYTES) + 1) * ALIGNMENT_BYTES
        self.gaps.append(Gap(filled, self.end, f"beyond the end of '{name}'"))
        return slot


def lay_out(
    inputs: Iterable[tuple[str, TensorFacts | None]],
    outputs: Iterable[tuple[str, TensorFacts]],
    arguments: Structure,
    results: Structure | None,
    axes: tuple[int, ...] = (),
    changeable: tuple[int, ...] = (),
) -> Layout:
    """Lay the leaves of one case out, in order; an input without facts is a plain value.

    Raises:
        DtypeError: a tensor has a dtype that the referee cannot hold.
    """
    placement = Placement()
    placed = tuple(Plain(name) if tensor is None else placement.place(name, tensor) for name, tensor in inputs)
    results_placed = tuple(placement.place(name, tensor) for name, tensor in outputs)
    gaps = tuple(placement.gaps)
    return Layout(placed, results_placed, arguments, results, axes, changeable, gaps, placement.end)
