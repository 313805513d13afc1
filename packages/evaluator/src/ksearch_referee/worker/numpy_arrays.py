"""numpy arrays as the referee sees them (see `arrays.Arrays`)."""

from typing import Any

import numpy as np

from ksearch_referee.dtypes import dtype_name
from ksearch_referee.frames import Frame
from ksearch_referee.worker.arrays import Span, memory_order


def wrap(array: np.ndarray) -> np.ndarray:
    """Return the array itself."""
    return array


def is_tensor(value: Any) -> bool:
    """Tell whether `value` is an array, or of a class derived from it."""
    return isinstance(value, np.ndarray)


def _order(array: np.ndarray) -> list[int] | None:
    return memory_order(array.shape, [stride // max(1, array.itemsize) for stride in array.strides])


def fault(value: Any) -> Frame | None:
    """Refuse what is not exactly an array whose elements lie densely in memory."""
    if type(value) is not np.ndarray:
        kind = "subclass" if issubclass(type(value), np.ndarray) else "type"
        return {"fault": kind, "detail": f"is a {type(value).__name__}, not a numpy.ndarray"}
    if not value.flags.c_contiguous and _order(value) is None:
        return {"fault": "layout", "detail": f"has the strides {value.strides} and does not lie densely in memory"}
    return None


def host(tensor: np.ndarray) -> np.ndarray:
    """Return the array itself."""
    return tensor


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Compare bytes: a NaN is the same as itself."""
    return first.tobytes() == second.tobytes()


def facts(tensor: np.ndarray) -> Frame:
    """Say what an array is and where it lies."""
    order = None if tensor.flags.c_contiguous else _order(tensor)
    name, shape = dtype_name(tensor.dtype), list(tensor.shape)
    return {"dtype": name, "shape": shape, "order": order, "address": tensor.ctypes.data}


def dense(tensor: Any) -> np.ndarray:
    """Return the array itself, or one in row-major order."""
    return tensor if fault(tensor) is None else np.array(tensor, order="C", subok=False)


def copy(tensor: np.ndarray) -> np.ndarray:
    """Return the array in other memory."""
    return tensor.copy()


def seed(seed: int) -> None:
    """Do nothing: whoever asks sets numpy's source anyway."""
    del seed


def span(tensor: np.ndarray) -> Span:
    """Return the memory of an array that lies densely."""
    return tensor.ctypes.data, tensor.ctypes.data + tensor.nbytes
