"""Comparison of one output with the reference: one algorithm for all problems (spec/backends.md 8.4), in float64.

1. Shape and dtype are equal (checked before the bytes are read). 2. Non-finite elements sit at the same places and are
of the same kind, all of them. 3. A finite element is bad when its error exceeds the bound. 4. The good fraction reaches
`matchedRatio`. 5. Optionally rms(error) ÷ rms(reference) stays within `rmsRel`.
6. Where some elements may be bad (`matchedRatio` below 1) they have to be imprecise, not absent: neither the output as
a whole nor any of its rows may be off by more than a tenth of its own size, or `rtol` if that is more (X22). Rounding
to 8 bits is off by 2 to 3 %; 5 % of the rows left out are 22 % of the whole, and 100 % of themselves.

Integers and booleans are compared exactly: a tolerance on an index would accept another element.

The arrays may be numpy's, or torch's where they lie on a GPU: the algorithm is written in what both call the same.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ksearch_referee.dtypes import dtype_name
from ksearch_referee.wire import CorrectnessSettings

_MAX_BAD = 5
_ABSENT = 0.1
"""Error ÷ size, in rms, from which numbers are not imprecise but missing."""
_ROW_ELEMENTS = 32
"""Shorter rows have no size to speak of: a single element next to zero is wrong by any factor."""


def measured(value: float) -> float | str:
    """Return a number that JSON can hold, or the word for it: `nan`, `inf`, `-inf`."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


@dataclass
class Comparison:
    """How far the outputs of one or more calls were from the reference; `merge` keeps the worst of two.

    `finite_alike` says that non-finite elements sit at the same places and are of the same kind; `missing` which part
    of an output is not there, of one whose share of right elements would do; `complaint` is what a problem's own check
    said of outputs that it refused.
    """

    correct: bool = True
    max_abs: float = 0.0
    max_rel: float = 0.0
    rms_rel: float = 0.0
    matched_ratio: float = 1.0
    bad: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    finite_alike: bool = True
    missing: str = ""
    complaint: str = ""

    def merge(self, other: "Comparison") -> "Comparison":
        """Return the worst of both; the first bad elements win."""
        return Comparison(
            self.correct and other.correct,
            max(self.max_abs, other.max_abs),
            max(self.max_rel, other.max_rel),
            max(self.rms_rel, other.rms_rel),
            min(self.matched_ratio, other.matched_ratio),
            (self.bad + other.bad)[:_MAX_BAD],
            self.finite_alike and other.finite_alike,
            self.missing or other.missing,
            self.complaint or other.complaint,
        )


@dataclass(frozen=True)
class Arithmetic:
    """Whose arrays are compared: the `module` numpy or torch, and what they call differently.

    `dtype_name` is an array's dtype on the wire; `float64` turns a flat array into one of 64-bit floats, `bytes_of` one
    of booleans into their bytes. `chunk_elements` are looked at in one go.
    """

    module: Any
    dtype_name: Callable[[Any], str]
    float64: Callable[[Any], Any]
    bytes_of: Callable[[Any], Any]
    chunk_elements: int


NUMPY = Arithmetic(
    module=np,
    dtype_name=lambda array: dtype_name(array.dtype),
    float64=lambda array: array.astype(np.float64),
    bytes_of=lambda array: array.view(np.uint8),
    chunk_elements=1 << 20,
)


def _bad_elements(got: Any, want: Any, finite: Any, error: Any, s: CorrectnessSettings, by: Arithmetic) -> Any:
    """Mark bad elements; `error` is 0 where either side is not finite."""
    xp = by.module
    same_kind = (got == want) | (xp.isnan(got) & xp.isnan(want))
    relative = xp.where(finite, s["rtol"] * xp.abs(want), 0.0)
    over = error > s["atol"] + relative if s["bound"] == "sum" else (error > s["atol"]) & (error > relative)
    return xp.where(finite, over, ~same_kind)


def _flat(array: Any, by: Arithmetic) -> Any:
    """Flatten; booleans become their bytes, so that a byte other than 0 and 1 equals neither."""
    flat = array.reshape(-1)
    return by.bytes_of(flat) if by.dtype_name(array) == "bool" else flat


def _missing(name: str, got: Any, want: Any, s: CorrectnessSettings, by: Arithmetic) -> str:
    """Say which part of an output is missing rather than imprecise; nothing, if none is.

    Rows run along the last dimension. A part that is off by no more than `atol` is not.
    """
    xp, size_all = by.module, math.prod(want.shape)
    allowed = max(_ABSENT, s["rtol"])
    width = want.shape[-1] if want.ndim > 1 and want.shape[-1] >= _ROW_ELEMENTS else size_all
    rows_got, rows_want = got.reshape(-1, width), want.reshape(-1, width)
    step = max(1, by.chunk_elements // width)
    error_squares = want_squares = 0.0
    for start in range(0, len(rows_want), step):
        g, w = (by.float64(rows[start : start + step]) for rows in (rows_got, rows_want))
        finite = xp.isfinite(g) & xp.isfinite(w)
        error = (xp.where(finite, g - w, 0.0) ** 2).sum(axis=1)
        size = (xp.where(finite, w, 0.0) ** 2).sum(axis=1)
        error_squares, want_squares = error_squares + float(error.sum()), want_squares + float(size.sum())
        (over,) = xp.where((error > allowed**2 * size) & (error > width * s["atol"] ** 2))
        if len(over) and width < size_all:
            row = int(over[0])
            index = [int(i) for i in np.unravel_index(start + row, tuple(want.shape[:-1]))]
            return _told(f"row {index} of '{name}'", float(error[row]), float(size[row]), allowed, s)
    if error_squares > max(allowed**2 * want_squares, size_all * s["atol"] ** 2):
        return _told(f"'{name}'", error_squares, want_squares, allowed, s)
    return ""


def _told(part: str, error: float, size: float, allowed: float, s: CorrectnessSettings) -> str:
    off = f"{math.sqrt(error / size):.0%} of its size" if size > 0 else "more than its size, which is 0"
    return (
        f"{part} is off by {off}: {1 - s['matchedRatio']:.0%} of the elements may be imprecise,"
        f" and what is off by more than {allowed:.0%} is missing"
    )


@np.errstate(invalid="ignore", over="ignore")
def compare_output(name: str, got: Any, want: Any, s: CorrectnessSettings, by: Arithmetic = NUMPY) -> Comparison:
    """Compare two arrays of one shape and dtype."""
    xp, flat_got, flat_want = by.module, _flat(got, by), _flat(want, by)
    exact = "int" in by.dtype_name(want) or by.dtype_name(want) == "bool"
    result = Comparison()
    bad_count, error_squares, want_squares = 0, 0.0, 0.0
    for start in range(0, len(flat_want), by.chunk_elements):
        raw_got, raw_want = (flat[start : start + by.chunk_elements] for flat in (flat_got, flat_want))
        g, w = by.float64(raw_got), by.float64(raw_want)
        finite = xp.isfinite(g) & xp.isfinite(w)
        error = xp.where(finite, xp.abs(g - w), 0.0)
        bad = raw_got != raw_want if exact else _bad_elements(g, w, finite, error, s, by)
        if bool((~finite & bad).any()):
            result.max_abs = result.max_rel = result.rms_rel = math.inf
            result.finite_alike = False
        nonzero = finite & (w != 0)
        relative = xp.where(nonzero, error / xp.where(nonzero, xp.abs(w), 1.0), 0.0)
        result.max_abs = max(result.max_abs, float(error.max()))
        result.max_rel = max(result.max_rel, float(relative.max()))
        error_squares += float((error * error).sum())
        want_squares += float((xp.where(finite, w, 0.0) ** 2).sum())
        (offsets,) = xp.where(bad)
        bad_count += len(offsets)
        for offset in map(int, offsets[: _MAX_BAD - len(result.bad)]):
            index = [int(i) for i in np.unravel_index(start + offset, tuple(want.shape))]
            result.bad.append(
                {"output": name, "index": index, "got": measured(float(g[offset])), "want": measured(float(w[offset]))}
            )
    if error_squares > 0:
        rms_rel = math.sqrt(error_squares / want_squares) if want_squares > 0 else math.inf
        result.rms_rel = max(result.rms_rel, rms_rel)
    result.matched_ratio = 1.0 - bad_count / len(flat_want) if len(flat_want) else 1.0
    within_rms = s["rmsRel"] is None or want_squares == 0 or result.rms_rel <= s["rmsRel"]
    result.correct = result.finite_alike and result.matched_ratio >= s["matchedRatio"] and within_rms
    if result.correct and bad_count > 0 and not exact:
        result.missing = _missing(name, got, want, s, by)
        result.correct = not result.missing
    return result


def compare_outputs(
    got: Mapping[str, Any], want: Mapping[str, Any], settings: CorrectnessSettings, by: Arithmetic = NUMPY
) -> Comparison:
    """Compare all outputs of one call, by name, in definition order."""
    result = Comparison()
    for name, expected in want.items():
        result = result.merge(compare_output(name, got[name], expected, settings, by))
    return result
