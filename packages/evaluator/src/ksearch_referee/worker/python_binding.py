"""Binding `python`: a function of numpy arrays, called positionally in definition order.

It returns an array, a tuple or list in output order, or a dict by output name; or, destination-passing, it fills the
outputs that follow the inputs. A returned array must be an exact, C-contiguous `numpy.ndarray` with memory of its own.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ksearch_referee.dtypes import dtype_name
from ksearch_referee.frames import Frame
from ksearch_referee.problem import Slot
from ksearch_referee.worker.binding import DestinationCall, PreparedCall


def by_output(result: Any, outputs: Sequence[Slot]) -> list[Any]:
    """Put what a kernel returned into output order.

    Raises:
        TypeError: not as many values as the definition has outputs, or other names.
    """
    names = [slot.name for slot in outputs]
    if isinstance(result, dict):
        if set(result) != set(names):  # pyright: ignore[reportUnknownArgumentType]
            raise TypeError(f"the kernel returned a dict with the keys {list(result)!r:.200}, not {names}")  # pyright: ignore[reportUnknownArgumentType]
        return [result[name] for name in names]
    values: list[Any] = list(result) if isinstance(result, tuple | list) else [result]  # pyright: ignore[reportUnknownArgumentType]
    if len(values) != len(names):
        raise TypeError(f"the kernel returned {len(values)} values for the outputs {names}")
    return values


def _overlaps(array: np.ndarray, others: Sequence[np.ndarray]) -> bool:
    """Tell whether contiguous arrays share a byte."""
    return any(np.may_share_memory(array, other) for other in others)


class _PythonCall:
    def __init__(
        self, kernel: "_PythonKernel", arguments: Sequence[np.ndarray | float], outputs: Sequence[Slot]
    ) -> None:
        self.invoke: Callable[[], Any] = partial(kernel.function, *arguments)
        self._kernel = kernel
        self._outputs = outputs
        self._inputs: list[np.ndarray] = [a for a in arguments if isinstance(a, np.ndarray)]

    def _fault(self, value: Any) -> Frame | None:
        if type(value) is not np.ndarray:
            kind = "subclass" if issubclass(type(value), np.ndarray) else "type"
            return {"fault": kind, "detail": f"is a {type(value).__name__}, not a numpy.ndarray"}
        if not value.flags.c_contiguous:
            return {"fault": "layout", "detail": f"has the strides {value.strides} and is not C-contiguous"}
        if _overlaps(value, self._inputs):
            return {"fault": "alias", "detail": "shares memory with an input"}
        if _overlaps(value, self._kernel.earlier):
            return {"fault": "alias", "detail": "shares memory with a result of the call before"}
        return None

    def collect(self, result: Any) -> list[Frame]:
        """Declare what each output is and where it lies."""
        values = by_output(result, self._outputs)
        declared = [
            self._fault(value)
            or {"dtype": dtype_name(value.dtype), "shape": list(value.shape), "address": value.ctypes.data}
            for value in values
        ]
        self._kernel.earlier = [value for value in values if isinstance(value, np.ndarray)]
        return declared


class _PythonKernel:
    """`earlier` keeps the last results alive, so that memory shared with them is a reused buffer for certain."""

    def __init__(self, function: Callable[..., Any], destination_passing: bool) -> None:
        self.function = function
        self.earlier: list[np.ndarray] = []
        self._destination_passing = destination_passing

    def prepare(
        self,
        arguments: Sequence[np.ndarray | float],
        outputs: Sequence[Slot],
        buffers: Sequence[np.ndarray],
        axes: Sequence[int],
    ) -> PreparedCall:
        """Bind one call; a Python kernel reads the axes from shapes."""
        del axes
        if self._destination_passing:
            return DestinationCall(partial(self.function, *arguments, *buffers))
        return _PythonCall(self, arguments, outputs)


def load_function(frame: Frame) -> Callable[..., Any]:
    """Import `file` from the folder `root` and return its `symbol`; whatever the import raises goes through."""
    root = Path(frame["root"])
    sys.path.insert(0, str(root))
    spec = importlib.util.spec_from_file_location("ksearch_kernel", root / frame["file"])
    if spec is None or spec.loader is None:
        raise ImportError(f"'{frame['file']}' is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, frame["symbol"])


def load(frame: Frame) -> _PythonKernel:
    """Load a kernel whose arguments and results are numpy arrays."""
    return _PythonKernel(load_function(frame), frame["destinationPassing"])
