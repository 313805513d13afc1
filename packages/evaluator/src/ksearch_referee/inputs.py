"""The inputs of a workload, drawn from a generator that the driver seeds.

The same definition, workload, generator state and numpy give the same inputs on every host. Where a published workload
names captured index tensors that nobody has published, our workloads say `synthetic` and name a recipe
(docs/problems.md); the recipes keep what a kernel relies on: offsets rise, page ids are distinct, a query's key exists.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ksearch_referee.dtypes import numpy_dtype
from ksearch_referee.wire import Definition, TensorSpec, Workload

Array = NDArray[Any]
Value = Array | int | float | bool

MAX_BYTES = 8 * 2**30
"""What the tensors of one workload, inputs and outputs together, may take unless the caller says otherwise."""

_CHUNK = 1 << 20
"""Elements drawn at a time: a workload of DeepSeek size has a billion, and they need no float32 copy of themselves."""


class InputError(ValueError):
    """A workload from which no inputs can be made; the message says what its author has to change."""


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
                f"the input '{name}' is the tensor '{source['tensor_key']}' of the file '{source['path']}', and this "
                "version does not read captured tensors: give the input a 'synthetic' or a 'random' source"
            )
        if spec["shape"] is None:
            if kind == "synthetic":
                raise InputError(f"the input '{name}' is a scalar, and recipes make tensors: use 'scalar' or 'random'")
            return _scalar(name, source["value"] if kind == "scalar" else _random((), dtype, self.rng).item(), dtype)
        shape = self._shape(spec["shape"])
        if kind == "scalar":
            raise InputError(f"the input '{name}' is a tensor, and a 'scalar' source fits only where the shape is null")
        if kind == "random":
            return _random(shape, dtype, self.rng)
        recipe = source["recipe"]
        if recipe not in _RECIPES:
            raise InputError(f"the input '{name}' asks for the recipe '{recipe}'; known are {', '.join(_RECIPES)}")
        make, known_args = _RECIPES[recipe]
        call = _Call(self, name, recipe, source.get("args") or {}, shape, dtype)
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


# Random values (FlashInfer-Bench's rules)


def _random(shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator) -> Array:
    """Floats N(0,1), clamped to ±2 in 8 bits; bool 0 or 1; int8 over its range; wider integers in [-1024, 1024)."""
    if dtype.kind == "b":
        return rng.integers(0, 2, shape, dtype=np.bool_)
    if dtype == np.int8:
        return rng.integers(-128, 128, shape, dtype=np.int8)
    if dtype.kind == "i":
        return rng.integers(-1024, 1024, shape, dtype=dtype.type)
    return _few_bit_normal(shape, dtype, rng) if dtype.itemsize == 1 else _normal(shape, dtype, rng)


def _normal(shape: tuple[int, ...], dtype: DTypeLike, rng: np.random.Generator, scale: float = 1.0) -> Array:
    def draw(part: Array, stream: np.random.Generator) -> None:
        part[:] = stream.standard_normal(part.size, dtype=np.float32) * np.float32(scale)

    values = np.empty(shape, dtype)
    _fill(values.reshape(-1), rng, draw)
    return values


def _few_bit_normal(shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator) -> Array:
    """N(0,1) clamped to ±2 and cast, by looking 16 random bits up in a table of quantiles.

    Several times faster than drawing floats and casting them. Values that would come up less often than once in 2**16
    draws (float8_e5m2 has some next to zero) do not come up.
    """
    table = _clamped_normal_quantiles(dtype)

    def draw(part: NDArray[np.uint8], stream: np.random.Generator) -> None:
        table.take(stream.integers(0, 1 << 16, part.size, dtype=np.uint16), out=part, mode="wrap")

    values = np.empty(shape, dtype)
    _fill(values.reshape(-1).view(np.uint8), rng, draw)
    return values


def _fill(flat: Array, rng: np.random.Generator, draw: Callable[[Array, np.random.Generator], None]) -> None:
    """Fill `flat` on all cores. A chunk has a stream of its own, so the values do not depend on how many cores."""
    seed = int(rng.integers(1 << 63))

    def fill(start: int) -> None:
        draw(flat[start : start + _CHUNK], np.random.default_rng((seed, start)))

    if flat.size <= _CHUNK:
        fill(0)
        return
    with ThreadPoolExecutor() as pool:
        deque(pool.map(fill, range(0, flat.size, _CHUNK)), maxlen=0)


@lru_cache
def _clamped_normal_quantiles(dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Return clamp(N(0,1), ±2) in the bits of `dtype`, at the middles of 2**16 equally likely intervals."""
    normal = NormalDist()
    quantiles = np.array([normal.inv_cdf((index + 0.5) / (1 << 16)) for index in range(1 << 16)], np.float32)
    return np.clip(quantiles, -2.0, 2.0).astype(dtype).view(np.uint8)


def _scalar(name: str, value: float | bool, dtype: np.dtype[Any]) -> int | float | bool:
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        if value != int(value) or not limits.min <= value <= limits.max:
            raise InputError(f"the scalar '{name}' is {value}, which is not a value of {dtype}")
        return int(value)
    return float(np.float32(value).astype(dtype))


# Recipes


class _Call:
    """One use of a recipe: which input it makes, and its arguments, resolved against the rest of the workload."""

    def __init__(
        self,
        draw: _Draw,
        name: str,
        recipe: str,
        args: Mapping[str, str | int | float],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.rng = draw.rng
        self.shape = shape
        self.dtype = dtype
        self._draw = draw
        self._args = args
        self._what = f"the input '{name}' (recipe '{recipe}')"

    def error(self, problem: str) -> InputError:
        return InputError(f"{self._what} {problem}")

    def refuse_args_beyond(self, known: frozenset[str]) -> None:
        if unknown := sorted(self._args.keys() - known):
            raise self.error(f"does not know the argument '{unknown[0]}'; it takes {sorted(known) or 'none'}")

    def integer(self, arg: str) -> int:
        """Return an argument that is a whole number, the name of an axis, or the name of a scalar input."""
        value = self._args.get(arg)
        if value is None:
            raise self.error(f"lacks the argument '{arg}', an axis or a whole number")
        if isinstance(value, str):
            value = self._draw.axes[value] if value in self._draw.axes else self._input(arg, value)
        if not isinstance(value, int | float) or value != int(value):
            raise self.error(f"has the argument '{arg}' = {self._args[arg]!r}, which is not a whole number")
        return int(value)

    def number(self, arg: str, default: float) -> float:
        value = self._args.get(arg, default)
        if isinstance(value, str) or not math.isfinite(value):
            raise self.error(f"has the argument '{arg}' = {value!r}, which is not a finite number")
        return float(value)

    def has(self, arg: str) -> bool:
        return arg in self._args

    def tensor(self, arg: str, shape: tuple[int, ...]) -> Array:
        """Return the tensor input that an argument names, which has to have this shape."""
        value = self._args.get(arg)
        if not isinstance(value, str):
            raise self.error(f"lacks the argument '{arg}', the name of an input")
        tensor = self._input(arg, value)
        if not isinstance(tensor, np.ndarray) or tensor.shape != shape:
            raise self.error(f"has the argument '{arg}' = '{value}', which is not a tensor of the shape {list(shape)}")
        return tensor

    def parts(self) -> int:
        """Return into how many parts this offset tensor cuts its total."""
        if len(self.shape) != 1 or self.shape[0] < 1:
            raise self.error(f"has the shape {list(self.shape)}; offsets are one dimension with at least one element")
        return self.shape[0] - 1

    def integers(self, values: NDArray[np.int64]) -> Array:
        """Return `values` in the declared dtype, which has to be an integer type that can hold them."""
        if self.dtype.kind != "i" or values.max(initial=0) > np.iinfo(self.dtype).max:
            raise self.error(f"holds values up to {values.max(initial=0)}, which do not fit {self.dtype}")
        return values.astype(self.dtype)

    def floats(self) -> None:
        if self.dtype.kind in "biu":
            raise self.error(f"makes floating-point values, and the input is declared as {self.dtype}")

    def _input(self, arg: str, name: str) -> Value:
        if not self._draw.has_input(name):
            raise self.error(f"has the argument '{arg}' = '{name}', which is neither an axis nor an input")
        return self._draw.input(name)


def _indptr(call: _Call) -> Array:
    """Offsets 0 < … < total. The parts have log-normal lengths of at least 1, as prompts of real traffic do.

    args: `total`, an axis.
    """
    parts, total = call.parts(), call.integer("total")
    if total < parts or (parts == 0 and total > 0):
        raise call.error(f"cannot cut {total} into {parts} parts of at least 1")
    return call.integers(_running_sum(_split(total, np.full(parts, total), call.rng)))


def _qo_indptr(call: _Call) -> Array:
    """Query offsets: every sequence has at least one query and never more queries than keys.

    args: `total`, an axis; `within`, the input with the key offsets of the same sequences.
    """
    parts, total = call.parts(), call.integer("total")
    key_counts = np.diff(call.tensor("within", call.shape).astype(np.int64))
    if key_counts.min(initial=1) < 1:
        raise call.error("needs key offsets that rise at every step, as the recipe 'indptr' makes them")
    if not parts <= total <= key_counts.sum():
        raise call.error(
            f"cannot give {parts} sequences {total} queries: at least one each, at most their {key_counts.sum()} keys"
        )
    return call.integers(_running_sum(_split(total, key_counts, call.rng)))


def _page_indices(call: _Call) -> Array:
    """Distinct page ids in random order: no page belongs to two tokens, and a sequence's pages lie all over the cache.

    args: `pages`, the axis that counts the pages of the cache.
    """
    wanted, pages = math.prod(call.shape), call.integer("pages")
    if wanted > pages:
        raise call.error(f"needs {wanted} distinct pages, and the cache has {pages}")
    return call.integers(call.rng.choice(pages, wanted, replace=False).astype(np.int64)).reshape(call.shape)


def _routing_logits(call: _Call) -> Array:
    """N(0,1)·2, with one token sent to two of the local experts.

    Without that a workload of one token leaves the local experts idle every other time, and a kernel that returns zeros
    is right. The two get logits beyond three standard deviations; they are the ones that the bias likes best, because
    a sigmoid hardly tells such logits from lesser ones.

    args: `first`, the scalar input (or a number) with the id of the first local expert; `local`, the axis that counts
    them; `bias`, the input that is added to the scores, if there is one.
    """
    call.floats()
    first, local = call.integer("first"), call.integer("local")
    if len(call.shape) != 2 or local < 1 or not 0 <= first <= call.shape[1] - local:
        raise call.error(f"has the local experts {first} to {first + local - 1}, and the shape {list(call.shape)}")
    preference = call.tensor("bias", call.shape[1:]) if call.has("bias") else call.rng.random(call.shape[1])
    experts = first + np.argsort(preference[first : first + local].astype(np.float32))[-2:]
    logits = _normal(call.shape, np.float32, call.rng, scale=2.0)
    if len(logits) > 0:
        token = call.rng.integers(len(logits))
        logits[token, experts] = np.abs(logits[token, experts]) + 6.0
    return logits.astype(call.dtype)


def _small_bias(call: _Call) -> Array:
    """N(0,1)·0.02: enough to change which experts are chosen, too little to choose them by itself."""
    call.floats()
    return _normal(call.shape, call.dtype, call.rng, scale=0.02)


def _positive_scale(call: _Call) -> Array:
    """Quantisation scales, uniform in [0.5, 1.5) times `mean`.

    args: `mean`, a positive number; 1 if absent.
    """
    call.floats()
    mean = call.number("mean", default=1.0)
    if mean <= 0:
        raise call.error(f"has the argument 'mean' = {mean}; a scale is positive")
    return ((call.rng.random(call.shape, dtype=np.float32) + np.float32(0.5)) * np.float32(mean)).astype(call.dtype)


_RECIPES: dict[str, tuple[Callable[[_Call], Array], frozenset[str]]] = {
    "indptr": (_indptr, frozenset({"total"})),
    "page_indices": (_page_indices, frozenset({"pages"})),
    "qo_indptr": (_qo_indptr, frozenset({"total", "within"})),
    "routing_logits": (_routing_logits, frozenset({"first", "local", "bias"})),
    "small_bias": (_small_bias, frozenset()),
    "positive_scale": (_positive_scale, frozenset({"mean"})),
}
"""Each recipe with the arguments it knows."""


def _split(total: int, capacity: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """`total` items in len(capacity) parts of at least 1 and at most `capacity`, in log-normal proportions.

    What a full part cannot take flows to the others in the same proportions.
    """
    weights = rng.lognormal(sigma=0.6, size=len(capacity))
    lengths = np.ones(len(capacity), np.int64)
    while (rest := total - int(lengths.sum())) > 0:
        share = np.cumsum(np.where(lengths < capacity, weights, 0.0))
        marks = (rest * (share / share[-1])).astype(np.int64)  # the last one is `rest` itself, so nothing is lost
        lengths = np.minimum(lengths + np.diff(marks, prepend=0), capacity)
    return lengths


def _running_sum(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
