"""Whether a reference was slowed by what a kernel's process left behind (K13); on a CPU, with forged times."""

import affine
import pytest

from ksearch_referee.alone import check_alone, compare_alone
from ksearch_referee.contract import parse_request
from ksearch_referee.failures import KernelFailure
from ksearch_referee.judgement import Judgement
from ksearch_referee.preparation import prepare
from ksearch_referee.session import Times

ALONE = [50_000, 51_000, 52_000]


def scaled(factor: float, more_ns: int = 0) -> list[int]:
    return [round(time * factor) + more_ns for time in ALONE]


def test_a_reference_that_was_as_quick_says_nothing() -> None:
    assert compare_alone(ALONE, ALONE) is None
    assert compare_alone(scaled(1.2), ALONE) is None
    assert compare_alone(scaled(0.5), ALONE) is None, "one that was quicker harms the kernel alone"
    assert compare_alone(scaled(1, 60_000), ALONE) is None


def test_a_reference_that_was_slower_is_told_of_and_one_that_was_slower_by_far_refused() -> None:
    guard = compare_alone(scaled(4), ALONE)
    assert guard is not None
    assert (guard.id, guard.level) == ("K13", "warn")
    assert "204000 ns beside this kernel's process and 51000 ns without it" in guard.evidence
    with pytest.raises(KernelFailure, match="beside this kernel") as refused:
        compare_alone(scaled(10), ALONE)
    assert refused.value.guard is not None
    assert refused.value.guard.id == "K13"


def test_the_kernels_process_has_ended_when_the_reference_is_timed_alone() -> None:
    session = Judgement(parse_request(affine.request(affine.python(), "benchmark")))
    with session.cleanup:
        workers = prepare(session)
        slowed, quick = session.records
        slowed.times = Times([1_000], [1 << 50] * 4, [])
        quick.times = Times([1_000], [1], [])
        with pytest.raises(KernelFailure, match="beside this kernel"):
            check_alone(session, workers)
        assert workers.kernel.has_ended, "nothing of it may be left while the reference is timed"
        assert quick.times.reference == [1]
