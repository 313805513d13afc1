"""Guards over synthetic calls: which figures they refuse, and which honest ones they let pass."""

import os

import pytest

from ksearch_referee.calls import Call
from ksearch_referee.failures import KernelFailure
from ksearch_referee.guards import check_clocks, check_idle, check_threads

CPUS = len(os.sched_getaffinity(0))


def calls(claimed_ns: int, gap_ns: int, idle_cpu_ns: int = 0, count: int = 9) -> list[Call]:
    return [Call({}, claimed_ns, gap_ns, idle_cpu_ns)] * count


def test_a_gap_like_the_references_is_honest_however_long() -> None:
    check_clocks(calls(10_000, 80_000_000), calls(500_000, 25_000_000))


def test_single_delays_do_not_refuse() -> None:
    check_clocks([*calls(10_000, 200_000, count=5), *calls(10_000, 90_000_000, count=4)], calls(50_000, 150_000))


def test_a_worker_busy_for_longer_than_it_claims_is_refused() -> None:
    with pytest.raises(KernelFailure, match="busy for 5000000 ns more"):
        check_clocks(calls(10_000, 5_000_000), calls(500_000, 200_000))


def test_a_pool_that_spins_for_a_moment_is_honest_and_a_busy_thread_is_not() -> None:
    check_idle(calls(1, 1, idle_cpu_ns=(CPUS - 1) * 400_000))
    with pytest.raises(KernelFailure, match="outside of 9 calls"):
        check_idle(calls(1, 1, idle_cpu_ns=(CPUS - 1) * 1_000_000 + 1_000_000))


def test_threads() -> None:
    assert check_threads(4, 4) is None
    grown = check_threads(1, 1 + CPUS)
    assert grown is not None
    assert grown.level == "warn"
    with pytest.raises(KernelFailure, match="threads"):
        check_threads(1, 2 + CPUS)
