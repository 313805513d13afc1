"""The inputs of a workload, drawn from a generator that the driver seeds.

The same definition, workload, generator state and numpy give the same inputs on every host. Where a published workload
names captured index tensors that nobody has published, our workloads say `synthetic` and name a recipe
(docs/problems.md); the recipes keep what a kernel relies on: offsets rise, page ids are distinct, a query's key exists.
"""

import base64
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ksearch_referee.dtypes import numpy_dtype
from ksearch_referee.failures import InputError
from ksearch_referee.random_values import Array, random_values
from ksearch_referee.recipes import RECIPES, Call, Value
from ksearch_referee.wire import Definition, TensorSpec, Workload

MAX_BYTES = 8 * 2**30
"""What the tensors of one workload, inputs and outputs together, may take unless the caller says otherwise."""

_KEPT_TENSORS = 256


def generate_inputs(
    definition: Definition,
    workload: Workload,
    rng: np.random.Generator,
    *,
    max_bytes: int = MAX_BYTES,
) -> dict[str, Value]:
    """Draw every input of `workload`, in the definition's order.

    Tensors are C-contiguous arrays of the declared dtype; inputs whose shape is null are Python numbers, rounded to
    that dtype, so that a reference in Python and a kernel in C see the same value.

    Raises:
        InputError: the axes are unusable or the tensors exceed `max_bytes` (said before anything is drawn), or a source
            does not fit its input.
        DtypeError: a tensor has a dtype that the referee cannot hold.
    """
    return _Draw(definition, workload, rng, max_bytes).inputs()


class _Draw:
    """One set of inputs in the making. Recipes ask it for axes and for the other inputs that they depend on."""

    def __init__(self, definition: Definition, workload: Workload, rng: np.random.Generator, max_bytes: int) -> None:
        self.rng = rng
        self.axes = _axes(definition, workload)
        self._specs = definition["inputs"]
        self._sources = workload["inputs"]
        self._made: dict[str, Value] = {}
        self._under_way: list[str] = []
        self._check_size({**self._specs, **definition["outputs"]}, max_bytes)

    def inputs(self) -> dict[str, Value]:
        return {name: self.input(name) for name in self._specs}

    def has_input(self, name: str) -> bool:
        return name in self._specs

    def input(self, name: str) -> Value:
        """Return the input `name`, made now if it has not been: a recipe may need one that comes later."""
        if name in self._made:
            return self._made[name]
        if name in self._under_way:
            raise InputError(f"the inputs {' → '.join([*self._under_way, name])} wait for each other")
        if name not in self._sources:
            raise InputError(f"the workload does not say where the input '{name}' comes from")
        self._under_way.append(name)
        self._made[name] = self._make(name, self._sources[name])
        self._under_way.pop()
        return self._made[name]

    def _make(self, name: str, source: Mapping[str, Any]) -> Value:
        spec = self._specs[name]
        dtype = numpy_dtype(spec["dtype"])
        kind = source["type"]
        if kind == "safetensors":
            raise InputError(
                f"the input '{name}' is the tensor '{source['tensor_key']}' of the file '{source['path']}', and a "
                "request carries tensors itself: whoever read the dataset has to turn this source into a 'captured' one"
            )
        if spec["shape"] is None:
            if kind in ("synthetic", "captured"):
                raise InputError(
                    f"the input '{name}' is a scalar, and '{kind}' makes tensors: use 'scalar' or 'random'"
                )
            value = source["value"] if kind == "scalar" else random_values((), dtype, self.rng).item()
            return _scalar(name, value, dtype)
        shape = self._shape(spec["shape"])
        if kind == "scalar":
            raise InputError(f"the input '{name}' is a tensor, and a 'scalar' source fits only where the shape is null")
        if kind == "random":
            return random_values(shape, dtype, self.rng)
        if kind == "captured":
            return _captured(name, source, shape, spec["dtype"])
        recipe = source["recipe"]
        if recipe not in RECIPES:
            raise InputError(f"the input '{name}' asks for the recipe '{recipe}'; known are {', '.join(RECIPES)}")
        make, known_args = RECIPES[recipe]
        call = Call(self, name, recipe, source.get("args") or {}, shape, dtype)
        call.refuse_args_beyond(known_args)
        return make(call)

    def _shape(self, axes: list[str]) -> tuple[int, ...]:
        return tuple(self.axes[axis] for axis in axes)

    def _check_size(self, specs: Mapping[str, TensorSpec], max_bytes: int) -> None:
        sizes = {
            name: math.prod(self._shape(spec["shape"])) * numpy_dtype(spec["dtype"]).itemsize
            for name, spec in specs.items()
            if spec["shape"] is not None
        }
        total = sum(sizes.values())
        if total > max_bytes:
            largest = max(sizes, key=lambda name: sizes[name])
            raise InputError(
                f"the tensors of this workload take {total:,} bytes and the limit is {max_bytes:,}; "
                f"the largest is '{largest}' with {sizes[largest]:,}"
            )


def _axes(definition: Definition, workload: Workload) -> dict[str, int]:
    """Return every axis of the definition with its size."""
    given = workload["axes"]
    sizes: dict[str, int] = {}
    for axis, declared in definition["axes"].items():
        if declared["type"] == "const":
            sizes[axis] = declared["value"]
        elif axis not in given:
            raise InputError(f"the workload gives no size for the axis '{axis}'")
        elif given[axis] < 0:
            raise InputError(f"the axis '{axis}' is {given[axis]}; a size cannot be negative")
        else:
            sizes[axis] = given[axis]
    for axis in given:
        if sizes.get(axis) != given[axis]:
            what = f"fixed at {sizes[axis]}" if axis in sizes else "not defined"
            raise InputError(f"the workload sets the axis '{axis}' to {given[axis]}, but it is {what}")
    return sizes


@lru_cache(maxsize=_KEPT_TENSORS)
def _decoded(base64_text: str) -> bytes:
    """Return the bytes of a captured tensor, which every trial needs again."""
    return base64.b64decode(base64_text, validate=True)


def _captured(name: str, source: Mapping[str, Any], shape: tuple[int, ...], dtype_name: str) -> Array:
    """Return a captured tensor, which has to be exactly what the definition and the workload's axes say.

    The array is read-only: it is the same in every trial.
    """
    if source["dtype"] != dtype_name or tuple(source["shape"]) != shape:
        raise InputError(
            f"the input '{name}' was captured as {source['dtype']} {list(source['shape'])}, "
            f"but this workload needs {dtype_name} {list(shape)}"
        )
    dtype = numpy_dtype(dtype_name)
    try:
        raw = _decoded(source["base64"])
    except ValueError as error:
        raise InputError(f"the captured input '{name}' is not base64: {error}") from None
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise InputError(
            f"the captured input '{name}' has {len(raw):,} bytes; {dtype_name} {list(shape)} takes "
            f"{math.prod(shape) * dtype.itemsize:,}"
        )
    if dtype.kind == "b" and np.frombuffer(raw, np.uint8).max(initial=0) > 1:
        raise InputError(f"the captured input '{name}' is a bool, and holds bytes other than 0 and 1")
    return np.frombuffer(raw, dtype).reshape(shape)


def _scalar(name: str, value: float | bool, dtype: np.dtype[Any]) -> int | float | bool:
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        if value != int(value) or not limits.min <= value <= limits.max:
            raise InputError(f"the scalar '{name}' is {value}, which is not a value of {dtype}")
        return int(value)
    return float(np.float32(value).astype(dtype))
