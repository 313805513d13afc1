"""One workload as memory: where each tensor lies in the shared arena, and the C prototype that a kernel implements."""

from dataclasses import dataclass
from math import prod

import numpy as np

from ksearch_referee.dtypes import numpy_dtype
from ksearch_referee.wire import Definition, TensorSpec, Workload

ALIGNMENT_BYTES = 256
_C_TYPES = {
    "float32": "float",
    "float16": "uint16_t",
    "bfloat16": "uint16_t",
    "float8_e4m3fn": "uint8_t",
    "float8_e5m2": "uint8_t",
    "float4_e2m1": "uint8_t",
    "int64": "int64_t",
    "int32": "int32_t",
    "int16": "int16_t",
    "int8": "int8_t",
    "bool": "uint8_t",
}


@dataclass(frozen=True)
class Slot:
    """One tensor in the arena: row-major, `offset` bytes from its start, aligned to 256 bytes."""

    name: str
    dtype_name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def dtype(self) -> np.dtype:
        """Numpy dtype of the elements."""
        return numpy_dtype(self.dtype_name)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Scalar:
    """An input passed by value."""

    name: str
    dtype_name: str


@dataclass(frozen=True)
class Gap:
    """Bytes that belong to no tensor; `where` says so to whoever writes there."""

    start: int
    end: int
    where: str


@dataclass(frozen=True)
class Layout:
    """Arguments of one workload: inputs and outputs in definition order, then the variable axes' values.

    Before the first tensor and behind each lies a gap of at least 256 bytes.
    """

    inputs: tuple[Slot | Scalar, ...]
    outputs: tuple[Slot, ...]
    axes: tuple[int, ...]
    gaps: tuple[Gap, ...]
    nbytes: int

    @property
    def tensors(self) -> tuple[Slot, ...]:
        """The inputs that are tensors."""
        return tuple(slot for slot in self.inputs if isinstance(slot, Slot))

    @property
    def moved_bytes(self) -> int:
        """Bytes of all input and output tensors, each counted once."""
        return sum(slot.nbytes for slot in (*self.tensors, *self.outputs))


def variable_axes(definition: Definition) -> list[str]:
    """Axes in definition order that vary by workload."""
    return [axis for axis, spec in definition["axes"].items() if spec["type"] == "var"]


def layout_of(definition: Definition, workload: Workload) -> Layout:
    """Lay the tensors of a workload out, one after the other.

    Raises:
        DtypeError: a tensor has a dtype that the referee cannot hold.
    """
    sizes = {axis: int(spec["value"]) for axis, spec in definition["axes"].items() if spec["type"] == "const"}
    sizes.update({axis: workload["axes"][axis] for axis in variable_axes(definition)})
    end = ALIGNMENT_BYTES
    gaps = [Gap(0, end, "before the first tensor")]

    def place(name: str, spec: TensorSpec) -> Slot:
        nonlocal end
        numpy_dtype(spec["dtype"])
        slot = Slot(name, spec["dtype"], tuple(sizes[axis] for axis in spec["shape"] or []), end)
        filled = end + slot.nbytes
        end = (-(-filled // ALIGNMENT_BYTES) + 1) * ALIGNMENT_BYTES
        gaps.append(Gap(filled, end, f"beyond the end of '{name}'"))
        return slot

    inputs = tuple(
        Scalar(name, spec["dtype"]) if spec["shape"] is None else place(name, spec)
        for name, spec in definition["inputs"].items()
    )
    outputs = tuple(place(name, spec) for name, spec in definition["outputs"].items())
    axes = tuple(workload["axes"][axis] for axis in variable_axes(definition))
    return Layout(inputs, outputs, axes, tuple(gaps), end)


def c_prototype(definition: Definition, symbol: str) -> str:
    """Return the C prototype of a `c-abi` kernel (source: `cPrototype` in packages/domain/src/problem.ts)."""
    inputs = [
        f"{_C_TYPES[spec['dtype']]} {name}" if spec["shape"] is None else f"const {_C_TYPES[spec['dtype']]}* {name}"
        for name, spec in definition["inputs"].items()
    ]
    outputs = [f"{_C_TYPES[spec['dtype']]}* {name}" for name, spec in definition["outputs"].items()]
    axes = [f"int64_t {axis}" for axis in variable_axes(definition)]
    return f'extern "C" void {symbol}({", ".join([*inputs, *outputs, *axes])});'
