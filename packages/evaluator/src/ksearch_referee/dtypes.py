"""The one table between dtype names on the wire and numpy dtypes.

Names are those of FlashInfer-Bench definitions (`Dtype` in packages/domain), and more that problems in torch or C++
use: `float64` and unsigned integers. `bfloat16` and the two fp8 formats are numpy extension types of `ml_dtypes`.
"""

import ml_dtypes
import numpy as np

_NUMPY_DTYPES: dict[str, np.dtype] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "int64": np.dtype(np.int64),
    "int32": np.dtype(np.int32),
    "int16": np.dtype(np.int16),
    "int8": np.dtype(np.int8),
    "uint64": np.dtype(np.uint64),
    "uint32": np.dtype(np.uint32),
    "uint16": np.dtype(np.uint16),
    "uint8": np.dtype(np.uint8),
    "bool": np.dtype(np.bool_),
}
_NAMES = {dtype: name for name, dtype in _NUMPY_DTYPES.items()}


class DtypeError(ValueError):
    """A dtype that the referee cannot hold in memory."""


def numpy_dtype(name: str) -> np.dtype:
    """Return the numpy dtype of a wire name.

    Raises:
        DtypeError: `name` is `float4_e2m1` (two values a byte: no numpy dtype) or unknown.
    """
    if name == "float4_e2m1":
        raise DtypeError("float4_e2m1 packs two values in a byte; the referee does not support it yet")
    if name not in _NUMPY_DTYPES:
        raise DtypeError(f"unknown dtype '{name}'")
    return _NUMPY_DTYPES[name]


def dtype_name(dtype: np.dtype) -> str:
    """Return the wire name of a numpy dtype, or numpy's own when the wire has none (`float64`, `>f4`)."""
    return _NAMES.get(dtype, str(dtype))
