"""Binding `torch`: as `python`, with `torch.Tensor` on the CPU in place of numpy arrays.

numpy has no bfloat16 and fp8 that torch knows: those tensors change sides as integers of the same width.
"""

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ksearch_referee.dtypes import dtype_name
from ksearch_referee.frames import Frame
from ksearch_referee.problem import Slot
from ksearch_referee.worker.binding import DestinationCall, PreparedCall
from ksearch_referee.worker.python_binding import by_output, load_function

torch: Any = importlib.import_module("torch")  # no dependency: present only where problems need it
_BY_BITS = {"bfloat16": np.int16, "float8_e4m3fn": np.uint8, "float8_e5m2": np.uint8}


def _tensor(array: np.ndarray, name: str) -> Any:
    """Return a tensor over the memory of `array`."""
    if name not in _BY_BITS:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(_BY_BITS[name])).view(getattr(torch, name))


def _dtype_name(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _memory(tensor: Any) -> tuple[int, int]:
    start: int = tensor.data_ptr()
    return start, start + tensor.numel() * tensor.element_size()


def _overlaps(tensor: Any, others: Sequence[Any]) -> bool:
    """Tell whether contiguous tensors share a byte."""
    start, end = _memory(tensor)
    return any(start < other_end and other_start < end for other_start, other_end in map(_memory, others))


class _TorchCall:
    def __init__(self, kernel: "_TorchKernel", arguments: Sequence[Any], outputs: Sequence[Slot]) -> None:
        self.invoke: Callable[[], Any] = partial(kernel.function, *arguments)
        self._kernel = kernel
        self._inputs = [a for a in arguments if isinstance(a, torch.Tensor)]
        self._outputs = outputs

    def _fault(self, value: Any) -> Frame | None:
        if type(value) is not torch.Tensor:
            kind = "subclass" if isinstance(value, torch.Tensor) else "type"
            return {"fault": kind, "detail": f"is a {type(value).__name__}, not a torch.Tensor"}
        if value.device.type != "cpu" or value.layout != torch.strided:
            return {"fault": "layout", "detail": f"is a {value.layout} tensor on {value.device}"}
        if not value.is_contiguous():
            return {"fault": "layout", "detail": f"has the strides {value.stride()} and is not contiguous"}
        if _overlaps(value, self._inputs):
            return {"fault": "alias", "detail": "shares memory with an input"}
        if _overlaps(value, self._kernel.earlier):
            return {"fault": "alias", "detail": "shares memory with a result of the call before"}
        return None

    def collect(self, result: Any) -> list[Frame]:
        """Declare what each output is and where it lies."""
        values = by_output(result, self._outputs)
        declared = [
            self._fault(value) or {"dtype": _dtype_name(value), "shape": list(value.shape), "address": value.data_ptr()}
            for value in values
        ]
        self._kernel.earlier = [value for value in values if isinstance(value, torch.Tensor)]
        return declared


class _TorchKernel:
    """`earlier` keeps the last results alive, as in the `python` binding."""

    def __init__(self, function: Callable[..., Any], destination_passing: bool) -> None:
        self.function = function
        self.earlier: list[Any] = []
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
        tensors = [_tensor(a, dtype_name(a.dtype)) if isinstance(a, np.ndarray) else a for a in arguments]
        if not self._destination_passing:
            return _TorchCall(self, tensors, outputs)
        destinations = [_tensor(b, slot.dtype_name) for slot, b in zip(outputs, buffers, strict=True)]
        return DestinationCall(partial(self.function, *tensors, *destinations))


def load(frame: Frame) -> _TorchKernel:
    """Load a kernel whose arguments and results are torch tensors."""
    return _TorchKernel(load_function(frame), frame["destinationPassing"])
