"""One algorithm for numpy's arrays and torch's: where torch is installed every case is compared by both."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ksearch_referee import compare
from ksearch_referee.compare import Comparison, compare_outputs
from ksearch_referee.dtypes import DtypeError, dtype_name, numpy_dtype
from ksearch_referee.environment import package_version
from ksearch_referee.wire import CorrectnessSettings

_SUMS = {"rms_rel": 0.0, "missing": ""}  # may differ in the last digit, by the order of summation


def compare_output(name: str, got: np.ndarray, want: np.ndarray, s: CorrectnessSettings) -> Comparison:
    found = compare.compare_output(name, got, want, s)
    if package_version("torch"):
        from ksearch_referee.worker.torch_arrays import ARITHMETIC, wrap

        by_torch = compare.compare_output(name, wrap(got), wrap(want), s, ARITHMETIC)
        assert by_torch.rms_rel == pytest.approx(found.rms_rel, rel=1e-9)
        assert bool(by_torch.missing) == bool(found.missing)
        assert replace(by_torch, **_SUMS) == replace(found, **_SUMS)
    return found


def settings(**changes: Any) -> CorrectnessSettings:
    base = CorrectnessSettings(
        trials=1, rtol=1e-2, atol=1e-2, bound="max", matchedRatio=1, rmsRel=None, checkTimed="all"
    )
    base.update(changes)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return base


def f32(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_the_bound_is_the_larger_of_both_or_their_sum() -> None:
    got, want = f32(101.5), f32(100.0)  # error 1.5; rtol·|y| = 1
    assert not compare_output("y", got, want, settings(atol=1.0)).correct
    assert compare_output("y", got, want, settings(atol=1.0, bound="sum")).correct
    assert compare_output("y", f32(101.0), want, settings()).correct, "an error equal to the bound is good"


@pytest.mark.parametrize("kind", [np.inf, -np.inf, np.nan])
def test_nonfinite_positions_and_kinds_are_equal(kind: float) -> None:
    assert compare_output("y", f32(1, kind), f32(1, kind), settings()).correct
    for other in (0.0, np.inf, -np.inf, np.nan):
        if other == kind or (np.isnan(other) and np.isnan(kind)):
            continue
        found = compare_output("y", f32(1, other), f32(1, kind), settings())
        assert not found.correct
        assert found.bad[0]["index"] == [1]
        assert not compare_output("y", f32(1, kind), f32(1, other), settings()).correct


def test_matched_ratio_allows_a_fraction() -> None:
    want = np.ones(100, dtype=np.float32)
    got = want.copy()
    got[[3, 50]] = 1.05
    found = compare_output("y", got, want, settings(matchedRatio=0.98))
    assert found.correct
    assert found.matched_ratio == pytest.approx(0.98)
    assert [bad["index"] for bad in found.bad] == [[3], [50]]
    assert not compare_output("y", got, want, settings(matchedRatio=0.985)).correct


LOW_BIT = settings(matchedRatio=0.95, atol=1e-5)


def low_bit_output() -> np.ndarray:
    """Rows of very different sizes, as those of tokens that got one expert or eight, and one of zeros."""
    values = np.random.default_rng(0).standard_normal((200, 64)) * np.geomspace(1e-2, 1e3, 200)[:, None]
    values[7] = 0
    return values.astype(np.float32)


def test_imprecise_elements_within_the_ratio_pass() -> None:
    want = low_bit_output()
    noise = 1 + 0.005 * np.random.default_rng(1).standard_normal(want.shape)
    found = compare_output("y", (want * noise).astype(np.float32), want, LOW_BIT)
    assert found.correct, found
    assert 0.94 < found.matched_ratio < 1


@pytest.mark.parametrize("skipped", ["one small row", "5 % of the rows", "5 % of the columns", "half of a row's size"])
def test_what_is_left_out_is_missing_though_the_ratio_would_allow_it(skipped: str) -> None:
    want = low_bit_output()
    got = want.copy()
    if skipped == "one small row":
        got[0] = 0
    elif skipped == "5 % of the rows":
        got[20:30] = got[30:40]
    elif skipped == "5 % of the columns":
        got[:, :3] = 0
    else:
        got[3] /= 2
    found = compare_output("y", got, want, LOW_BIT)
    assert found.matched_ratio >= 0.95
    assert not found.correct
    assert " is off by " in found.missing
    assert compare_output("y", want, want, LOW_BIT).correct


def test_a_row_of_zeros_may_be_off_by_atol_and_no_more() -> None:
    want = low_bit_output()
    got = want.copy()
    got[7] = 5e-6
    assert compare_output("y", got, want, LOW_BIT).correct
    got[7] = 1
    assert "row [7] of 'y' is off by more than its size, which is 0" in compare_output("y", got, want, LOW_BIT).missing


def test_no_ratio_excuses_nan() -> None:
    want = low_bit_output()
    got = want.copy()
    got[9, 9] = np.nan
    assert not compare_output("y", got, want, LOW_BIT).correct


def test_rms_catches_what_a_loose_atol_lets_through() -> None:
    want = np.full(1000, 1e-5, dtype=np.float32)
    zeros = np.zeros_like(want)
    assert compare_output("y", zeros, want, settings()).correct
    found = compare_output("y", zeros, want, settings(rmsRel=1e-2))
    assert not found.correct
    assert found.rms_rel == pytest.approx(1)


def test_errors_are_taken_in_float64() -> None:
    want = np.array([60000.0], dtype=np.float16)
    found = compare_output("y", -want, want, settings())
    assert found.max_abs == pytest.approx(120000, rel=1e-3), "float16 would overflow"


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16"])
def test_small_floats(name: str) -> None:
    want = np.array([1.0, -2.0, 0.5, np.nan]).astype(numpy_dtype(name))
    assert dtype_name(want.dtype) == name
    assert compare_output("y", want.copy(), want, settings()).correct
    got = want.copy()
    got[1] = 2.0
    found = compare_output("y", got, want, settings())
    assert found.bad == [{"output": "y", "index": [1], "got": 2.0, "want": -2.0}]


def test_integers_and_booleans_are_exact() -> None:
    want = np.array([1000, 2000], dtype=np.int32)
    assert not compare_output("y", want + 1, want, settings()).correct
    large = np.array([2**62], dtype=np.int64)
    assert not compare_output("y", large + 1, large, settings()).correct, "float64 cannot tell these apart"
    true = np.array([True, True])
    poisoned = np.array([1, 0xFF], dtype=np.uint8).view(np.bool_)
    assert not compare_output("y", poisoned, true, settings()).correct


def test_at_most_five_bad_elements_in_order_across_chunks() -> None:
    want = np.zeros((3, 1 << 20), dtype=np.float32)
    got = want.copy()
    got[0, 5] = got[2, 7] = 1
    assert [bad["index"] for bad in compare_output("y", got, want, settings()).bad] == [[0, 5], [2, 7]]
    assert len(compare_output("y", want + 1, want, settings()).bad) == 5


def test_all_outputs_count_and_empty_ones_are_right() -> None:
    empty = np.zeros((0, 4), dtype=np.float32)
    found = compare_outputs({"a": empty, "b": f32(2)}, {"a": empty, "b": f32(1)}, settings())
    assert not found.correct
    assert found.bad[0]["output"] == "b"


def test_float4_is_refused_clearly() -> None:
    with pytest.raises(DtypeError, match="does not support"):
        numpy_dtype("float4_e2m1")
