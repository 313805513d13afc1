"""What the referee has to know of a framework's tensors, for numpy and torch alike."""

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

import numpy as np

from ksearch_referee.frames import Frame

Span = tuple[int, int]
"""First byte, and the byte behind the last."""


class Arrays(Protocol):
    """A framework on its device; implemented by the modules `numpy_arrays`, `torch_arrays` and `cuda_arrays`."""

    def wrap(self, array: np.ndarray) -> Any:
        """Return a tensor over the memory of `array`, or a copy where tensors are elsewhere."""
        ...

    def is_tensor(self, value: Any) -> bool:
        """Tell whether `value` is a tensor of this framework, or of a class derived from it."""
        ...

    def fault(self, value: Any) -> Frame | None:
        """Return `{fault, detail}` for what is not exactly a tensor on the device with dense memory of its own."""
        ...

    def host(self, tensor: Any) -> Any:
        """Return a tensor without a fault as one in this process's memory: the same one if it lies there."""
        ...

    def same(self, first: Any, second: Any) -> bool:
        """Tell whether two tensors of one shape and dtype hold the same bytes."""
        ...

    def facts(self, tensor: Any) -> Frame:
        """Return `{dtype, shape, order, address}` of a tensor without a fault that `host` returned."""
        ...

    def dense(self, tensor: Any) -> Any:
        """Return a tensor without a fault and of the same values: the same one if it can be."""
        ...

    def copy(self, tensor: Any) -> Any:
        """Return a tensor of the same values in other memory."""
        ...

    def seed(self, seed: int) -> None:
        """Set the framework's global source of random numbers."""
        ...

    def span(self, tensor: Any) -> Span:
        """Return the memory of a tensor without a fault."""
        ...


_MODULES = {"numpy": "numpy_arrays", "torch": "torch_arrays", "triton": "torch_arrays", "cuda": "cuda_arrays"}


def arrays_of(framework: str) -> Arrays:
    """Return a `worker_environment.Framework`'s tensors; only where they are torch's is torch imported."""
    return cast("Arrays", importlib.import_module(f"ksearch_referee.worker.{_MODULES[framework]}"))


def overlaps(span: Span, others: Iterable[Span]) -> bool:
    """Tell whether a span shares a byte with any of the others."""
    start, end = span
    return any(start < other_end and other_start < end for other_start, other_end in others)


def memory_order(shape: Sequence[int], strides: Sequence[int]) -> list[int] | None:
    """Return the dimensions from the slowest to the fastest; None unless the elements lie densely in that order.

    `strides` count elements.
    """
    order = sorted(range(len(shape)), key=lambda dimension: -strides[dimension])
    expected = 1
    for dimension in reversed(order):
        if shape[dimension] != 1 and strides[dimension] != expected:
            return None
        expected *= shape[dimension]
    return order
