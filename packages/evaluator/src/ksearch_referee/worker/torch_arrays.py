"""torch tensors on the CPU as the referee sees them (see `arrays.Arrays`).

numpy has no bfloat16 and fp8 that torch knows: those tensors change sides as integers of the same width.
"""

import importlib
from typing import Any

import numpy as np

from ksearch_referee.compare import Arithmetic
from ksearch_referee.dtypes import dtype_name
from ksearch_referee.frames import Frame
from ksearch_referee.worker.arrays import Span, memory_order

torch: Any = importlib.import_module("torch")  # no dependency: present only where problems need it
_BY_BITS = {"bfloat16": np.int16, "float8_e4m3fn": np.uint8, "float8_e5m2": np.uint8}

ARITHMETIC = Arithmetic(
    module=torch,
    dtype_name=lambda tensor: str(tensor.dtype).removeprefix("torch."),
    float64=lambda tensor: tensor.to(torch.float64),
    bytes_of=lambda tensor: tensor.view(torch.uint8),
    chunk_elements=1 << 24,
)
"""For comparisons on whatever device the tensors are."""


def wrap(array: np.ndarray) -> Any:
    """Return a tensor over the memory of `array`."""
    name = dtype_name(array.dtype)
    if name not in _BY_BITS:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(_BY_BITS[name])).view(getattr(torch, name))


def is_tensor(value: Any) -> bool:
    """Tell whether `value` is a tensor, or of a class derived from it."""
    return isinstance(value, torch.Tensor)


def fault(value: Any, device: str = "cpu") -> Frame | None:
    """Refuse what is not exactly a tensor on `device` whose elements lie densely in memory."""
    if type(value) is not torch.Tensor:
        kind = "subclass" if isinstance(value, torch.Tensor) else "type"
        return {"fault": kind, "detail": f"is a {type(value).__name__}, not a torch.Tensor"}
    if value.device.type != device or value.layout != torch.strided:
        return {"fault": "layout", "detail": f"is a {value.layout} tensor on {value.device}"}
    if not value.is_contiguous() and memory_order(value.shape, value.stride()) is None:
        return {"fault": "layout", "detail": f"has the strides {value.stride()} and does not lie densely in memory"}
    return None


def host(tensor: Any) -> Any:
    """Return the tensor itself."""
    return tensor


def same(first: Any, second: Any) -> bool:
    """Compare bytes: a NaN is the same as itself."""
    return torch.equal(first.reshape(-1).view(torch.uint8), second.reshape(-1).view(torch.uint8))


def facts(tensor: Any) -> Frame:
    """Say what a tensor is and where it lies."""
    order = None if tensor.is_contiguous() else memory_order(tensor.shape, tensor.stride())
    name = str(tensor.dtype).removeprefix("torch.")
    return {"dtype": name, "shape": list(tensor.shape), "order": order, "address": tensor.data_ptr()}


def dense(tensor: Any, device: str = "cpu") -> Any:
    """Return the tensor itself, or one in row-major order; never a class derived from `torch.Tensor`."""
    plain = tensor.detach().as_subclass(torch.Tensor)
    if plain.layout != torch.strided or plain.device.type != device:
        plain = plain.to_dense().to(device)
    return plain if fault(plain, device) is None else plain.contiguous()


def copy(tensor: Any) -> Any:
    """Return the tensor in other memory."""
    return tensor.clone()


def seed(seed: int) -> None:
    """Set torch's global generators."""
    torch.manual_seed(seed)


def span(tensor: Any) -> Span:
    """Return the memory of a tensor that lies densely."""
    start: int = tensor.data_ptr()
    return start, start + tensor.numel() * tensor.element_size()
