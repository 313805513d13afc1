"""Binding `c-abi`: an `extern "C"` function called through ctypes with ready-made C values (see `c_prototype`)."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ksearch_referee.dtypes import numpy_dtype
from ksearch_referee.frames import Frame
from ksearch_referee.worker.binding import Answer, Arguments, DestinationCall

_BITS = {1: np.uint8, 2: np.uint16}
_C_SCALARS: dict[str, Callable[[Any], Any]] = {
    "float32": ctypes.c_float,
    "int64": ctypes.c_int64,
    "int32": ctypes.c_int32,
    "int16": ctypes.c_int16,
    "int8": ctypes.c_int8,
    "bool": ctypes.c_uint8,
}


def _c_scalar(value: float, name: str) -> Any:
    """Return a scalar as its C type; floats of 16 and 8 bits travel as their bits."""
    if name in _C_SCALARS:
        return _C_SCALARS[name](value)
    dtype = numpy_dtype(name)
    bits = int(np.array(value, dtype=dtype).view(_BITS[dtype.itemsize]))
    return ctypes.c_uint8(bits) if dtype.itemsize == 1 else ctypes.c_uint16(bits)


def _pointer(tensor: Any) -> ctypes.c_void_p:
    """Return where an array lies in memory, or a torch tensor in that of its device."""
    return ctypes.c_void_p(tensor.ctypes.data if isinstance(tensor, np.ndarray) else tensor.data_ptr())


class _CKernel:
    answers: Mapping[str, Answer] = {}
    fills = True

    def __init__(self, function: Callable[..., Any], scalar_dtypes: Sequence[str]) -> None:
        self._function = function
        self._scalar_dtypes = scalar_dtypes

    def prepare(self, call: Arguments) -> DestinationCall:
        """Turn every argument into the C value that the prototype names."""
        scalar_dtypes = iter(self._scalar_dtypes)
        values = [
            _c_scalar(a, next(scalar_dtypes)) if isinstance(a, bool | int | float) else _pointer(a) for a in call.inputs
        ]
        values += map(_pointer, call.buffers)
        values += [ctypes.c_int64(axis) for axis in call.axes]
        return DestinationCall(partial(self._function, *values))


def load(frame: Frame) -> _CKernel:
    """Open the shared object at `library` and find `symbol`.

    Raises:
        OSError: it does not load (an undefined symbol, say).
        AttributeError: it has no such symbol.
    """
    function = getattr(ctypes.CDLL(frame["library"]), frame["symbol"])
    function.restype = None
    return _CKernel(function, frame["scalarDtypes"])
