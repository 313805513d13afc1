"""Random tensor values, by FlashInfer-Bench's rules: the same generator state gives the same values on any machine."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

_CHUNK = 1 << 20
"""Elements drawn at a time: a workload of DeepSeek size has a billion, and they need no float32 copy of themselves."""


def random_values(shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator) -> Array:
    """Floats N(0,1), clamped to ±2 in 8 bits; bool 0 or 1; int8 over its range; wider integers in [-1024, 1024)."""
    if dtype.kind == "b":
        return rng.integers(0, 2, shape, dtype=np.bool_)
    if dtype == np.int8:
        return rng.integers(-128, 128, shape, dtype=np.int8)
    if dtype.kind == "i":
        return rng.integers(-1024, 1024, shape, dtype=dtype.type)
    return _few_bit_normal(shape, dtype, rng) if dtype.itemsize == 1 else normal(shape, dtype, rng)


def normal(shape: tuple[int, ...], dtype: DTypeLike, rng: np.random.Generator, scale: float = 1.0) -> Array:
    """Floats N(0, scale²), drawn in float32 and cast."""

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
