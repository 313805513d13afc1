"""Comparison of one output with the reference: one algorithm for all problems (spec/backends.md 8.4), in float64.

1. Shape and dtype are equal (checked before the bytes are read). 2. Non-finite elements sit at the same places and are
of the same kind. 3. A finite element is bad when its error exceeds the bound. 4. The good fraction reaches
`matchedRatio`. 5. Optionally rms(error) ÷ rms(reference) stays within `rmsRel`.

Integers and booleans are compared exactly: a tolerance on an index would accept another element.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.wire import CorrectnessSettings

_CHUNK_ELEMENTS = 1 << 20
_MAX_BAD = 5


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

    `finite_alike` says that non-finite elements sit at the same places and are of the same kind; `complaint` is what a
    problem's own check said of outputs that it refused.
    """

    correct: bool = True
    max_abs: float = 0.0
    max_rel: float = 0.0
    rms_rel: float = 0.0
    matched_ratio: float = 1.0
    bad: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    finite_alike: bool = True
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
            self.complaint or other.complaint,
        )


def _bad_elements(
    got: NDArray[np.float64], want: NDArray[np.float64], error: NDArray[np.float64], s: CorrectnessSettings
) -> NDArray[np.bool_]:
    """Mark bad elements; `error` is 0 where either side is not finite."""
    finite = np.isfinite(want) & np.isfinite(got)
    same_kind = (got == want) | (np.isnan(got) & np.isnan(want))
    relative = s["rtol"] * np.abs(want, where=finite, out=np.zeros_like(want))
    bound = np.maximum(s["atol"], relative) if s["bound"] == "max" else s["atol"] + relative
    return np.where(finite, error > bound, ~same_kind)


def _comparable(array: np.ndarray) -> np.ndarray:
    """Flatten; booleans become their bytes, so that a byte other than 0 and 1 equals neither."""
    flat = array.reshape(-1)
    return flat.view(np.uint8) if flat.dtype == np.bool_ else flat


def compare_output(name: str, got: np.ndarray, want: np.ndarray, s: CorrectnessSettings) -> Comparison:
    """Compare two arrays of one shape and dtype."""
    exact = want.dtype.kind in "biu"
    flat_got, flat_want = _comparable(got), _comparable(want)
    result = Comparison()
    bad_count, error_squares, want_squares = 0, 0.0, 0.0
    for start in range(0, flat_want.size, _CHUNK_ELEMENTS):
        raw_got, raw_want = flat_got[start : start + _CHUNK_ELEMENTS], flat_want[start : start + _CHUNK_ELEMENTS]
        g, w = raw_got.astype(np.float64), raw_want.astype(np.float64)
        finite = np.isfinite(g) & np.isfinite(w)
        error = np.subtract(g, w, where=finite, out=np.zeros_like(w))
        np.abs(error, out=error)
        bad = raw_got != raw_want if exact else _bad_elements(g, w, error, s)
        if np.any(~finite & bad):
            result.max_abs = result.max_rel = result.rms_rel = math.inf
            result.finite_alike = False
        nonzero = finite & (w != 0)
        relative = np.divide(error, np.abs(w), where=nonzero, out=np.zeros_like(w))
        result.max_abs = max(result.max_abs, float(error.max()))
        result.max_rel = max(result.max_rel, float(relative.max()))
        error_squares += float(np.dot(error, error))
        finite_want = np.where(finite, w, 0.0)
        want_squares += float(np.dot(finite_want, finite_want))
        bad_count += int(np.count_nonzero(bad))
        for offset in np.flatnonzero(bad)[: _MAX_BAD - len(result.bad)]:
            index = [int(i) for i in np.unravel_index(start + int(offset), want.shape)]
            result.bad.append(
                {"output": name, "index": index, "got": measured(float(g[offset])), "want": measured(float(w[offset]))}
            )
    if error_squares > 0:
        rms_rel = math.sqrt(error_squares / want_squares) if want_squares > 0 else math.inf
        result.rms_rel = max(result.rms_rel, rms_rel)
    result.matched_ratio = 1.0 - bad_count / flat_want.size if flat_want.size else 1.0
    within_rms = s["rmsRel"] is None or want_squares == 0 or result.rms_rel <= s["rmsRel"]
    result.correct = result.matched_ratio >= s["matchedRatio"] and within_rms
    return result


def compare_outputs(
    got: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray], settings: CorrectnessSettings
) -> Comparison:
    """Compare all outputs of one call, by name, in definition order."""
    result = Comparison()
    for name, expected in want.items():
        result = result.merge(compare_output(name, got[name], expected, settings))
    return result
