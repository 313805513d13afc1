"""Guards over synthetic calls: which figures they refuse, which they correct, and which honest ones they let pass."""

import ast
import json
import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from ksearch_referee.calls import Call
from ksearch_referee.failures import KernelFailure
from ksearch_referee.guards import (
    check_claims,
    check_floor,
    check_host,
    check_preparation,
    check_sleep,
    check_threads,
    resolution_ns,
    shortest_ns,
    unclaimed_ns,
    undercut_ns,
)

CPUS = len(os.sched_getaffinity(0))
WAY_NS = 80_000  # there and back, by the driver's clock; 30 us of it CPU time
WAY_CPU_NS = 30_000


def calls(claimed_ns: int, hidden_ns: int = 0, cpu_ns: int | None = None, collect_ns: int = 0) -> list[Call]:
    """Calls on one thread that claim `claimed_ns` and take `hidden_ns` more."""
    used_ns = claimed_ns + hidden_ns if cpu_ns is None else cpu_ns
    return [Call({}, claimed_ns, WAY_NS + hidden_ns + i, used_ns + WAY_CPU_NS, collect_ns) for i in range(9)]


def times(kernel: list[Call]) -> int:
    claimed_ns = kernel[4].claimed_ns
    return claimed_ns + unclaimed_ns(kernel, calls(claimed_ns), calls(3_000_000, collect_ns=200_000))


def test_an_honest_claim_stands() -> None:
    assert times(calls(40_000)) == 40_000
    assert times(calls(40_000_000)) == 40_000_000
    assert times(calls(400_000, cpu_ns=CPUS * 400_000)) == 400_000, "one that keeps every CPU busy"
    assert times(calls(400_000, collect_ns=200_000)) == 400_000, "one that returns what the reference returns"


def test_single_delays_add_nothing() -> None:
    slow = [Call({}, c.claimed_ns, c.gap_ns + 90_000_000, c.cpu_ns, 0) for c in calls(10_000)]
    assert times([*calls(10_000), *slow[:4]]) == 10_000


@pytest.mark.parametrize("claimed_ns", [1, 20_000, 200_000])
def test_what_was_not_claimed_is_added(claimed_ns: int) -> None:
    true_ns = 300_000
    assert true_ns <= times(calls(claimed_ns, true_ns - claimed_ns)) < 1.1 * true_ns, "and noise counts against it"


def test_a_little_that_was_not_claimed_is_added_less_the_noise() -> None:
    assert times(calls(100_000, 40_000)) == pytest.approx(127_000, abs=100)


def test_work_before_the_call_is_added() -> None:
    early = [replace(c, early_cpu_ns=40_000) for c in calls(100_000)]
    assert times(early) == pytest.approx(127_000, abs=100)


def test_work_of_other_threads_is_added_as_far_as_all_cpus_could_have_shared_it() -> None:
    hidden_ns = 60_000
    assert times(calls(1, cpu_ns=hidden_ns * CPUS)) == pytest.approx(hidden_ns, abs=11_000)


def test_work_while_handing_over_is_added() -> None:
    assert times(calls(1_000, collect_ns=900_000)) == pytest.approx(700_000, rel=0.05)


def test_a_reference_that_copies_its_outputs_excuses_nobody() -> None:
    kernel = calls(1_000, collect_ns=5_000_000)
    assert unclaimed_ns(kernel, calls(1_000), calls(3_000_000, collect_ns=5_000_000)) > 4_000_000


def test_the_resolution_is_what_idle_calls_differ_by() -> None:
    assert resolution_ns(calls(1)) < 11_000
    noisy = [Call({}, 1, WAY_NS + i * 10_000, WAY_CPU_NS, 0) for i in range(9)]
    assert resolution_ns(noisy) == pytest.approx(10_000 + 5 * 40_000 / 3, abs=1)
    wild = [Call({}, 1, WAY_NS + i * 1_000_000, WAY_CPU_NS, 0) for i in range(9)]
    assert resolution_ns(wild) == 100_000, "noise hides no more than that"
    assert shortest_ns(noisy * 2 + noisy[:1] * 9) <= 50_000, "a restless host spoils no score"


def test_a_claim_that_is_far_off_is_refused() -> None:
    idle, reference = calls(10_000), calls(3_000_000)

    def level(kernel: list[Call]) -> str | None:
        guard = check_claims(kernel, idle, reference)
        return guard and guard.level

    with pytest.raises(KernelFailure, match=r"busy for 29896.. ns more"):
        check_claims(calls(10_000, 3_000_000), idle, reference)
    assert level(calls(10_000, 30_000)) == "info"
    assert level(calls(10_000, 400_000)) == "warn"
    assert level(calls(10_000)) is None
    disturbed = [*calls(10_000, 3_000_000)[:6], *calls(10_000)[:3]]
    assert level(disturbed) == "warn", "a busy host is no proof"


def test_threads() -> None:
    assert check_threads(4, 4) is None
    grown = check_threads(1, 1 + CPUS)
    assert grown is not None
    assert grown.level == "warn"
    with pytest.raises(KernelFailure, match="threads"):
        check_threads(1, 2 + CPUS)


def test_a_busy_host_is_noted() -> None:
    quiet = calls(3_000_000)
    waiting = [replace(c, gap_ns=c.gap_ns + 4_000_000) for c in quiet[:3]]
    assert check_host([*quiet, *waiting[:1]]) is None, "one call in ten may happen to anybody"
    busy = check_host([*quiet, *waiting])
    assert busy is not None
    assert "25% of the reference's calls" in busy.evidence


def test_preparation() -> None:
    idle = [replace(c, prepare_cpu_ns=80_000) for c in calls(1)]
    check_preparation([replace(c, prepare_cpu_ns=900_000) for c in idle], idle, idle)
    busy = [replace(c, prepare_cpu_ns=3_000_000) for c in idle]
    check_preparation(busy, idle, busy)  # many arguments: the reference needs as long
    with pytest.raises(KernelFailure, match="while the arguments were bound"):
        check_preparation(busy, idle, idle)


def test_sleep() -> None:
    check_sleep(0)
    with pytest.raises(KernelFailure, match="woke itself 3 times"):
        check_sleep(3)


def test_the_search_has_advice_on_every_guard() -> None:
    package = resources.files("ksearch_referee")
    known = set(json.loads(package.joinpath("schemas", "guards.json").read_text("utf-8")))
    raised: set[str] = set()
    for path in Path(str(package)).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Guard", "rejected"):
                raised |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    assert {"X05", "X11", "X16", "K02"} <= raised
    assert raised <= known, "packages/domain/src/referee/guards.ts has no advice on these"


def test_times_below_the_floor_are_refused() -> None:
    check_floor([9, 10, 11], 10, "a call time")
    check_floor([1], None, "a call time")
    check_floor([], 10, "a device time")
    with pytest.raises(KernelFailure, match="a call time of 9 ns is below the 10 ns") as caught:
        check_floor([9, 9, 11], 10, "a call time")
    assert caught.value.guard is not None
    assert (caught.value.status, caught.value.guard.id) == ("rejected", "X37")


def on_gpu(claimed_ns: int, **more_ns: int) -> list[Call]:
    """Calls that stage for 300 us, hand over for 100 us in the gap, and whose outputs are taken 250 us later."""
    usual = {"staged_ns": 300_000, "gap_ns": WAY_NS + 100_000, "unseen_ns": 250_000}
    times_ns = {key: ns + more_ns.get(key, 0) for key, ns in usual.items()}
    return [replace(call, **times_ns) for call in calls(claimed_ns)]


def test_on_a_gpu_outputs_are_handed_over_in_the_gap_and_taken_at_once() -> None:
    reference = on_gpu(100_000, gap_ns=50_000)
    assert unclaimed_ns(on_gpu(30_000), on_gpu(50_000), reference) == 0
    assert unclaimed_ns(on_gpu(30_000, gap_ns=50_000), on_gpu(50_000), reference) == 0, (
        "it returns, as the reference does"
    )
    assert unclaimed_ns(on_gpu(30_000, gap_ns=1_050_000), on_gpu(50_000), reference) > 900_000


def test_work_on_a_gpu_that_delays_the_taking_of_outputs_is_added() -> None:
    late = on_gpu(30_000, unseen_ns=800_000)
    assert unclaimed_ns(late, on_gpu(50_000), on_gpu(100_000)) == pytest.approx(800_000, rel=0.05)
    with pytest.raises(KernelFailure, match="was busy for"):
        check_claims(on_gpu(30_000, unseen_ns=3_000_000), on_gpu(50_000), on_gpu(100_000))


def test_containers_on_a_gpu_are_charged_nothing_that_the_driver_did_and_could_hide_all_of_it() -> None:
    """They are written and read by the driver, which idle calls spare it: a GPU could work meanwhile."""
    kernel = [Call({}, 100_000, WAY_NS, 100_000, staged_ns=200, unseen_ns=3_000_000)] * 10
    idle = [Call({}, 100_000, WAY_NS, 100_000, staged_ns=200)] * 10
    assert unclaimed_ns(kernel, idle, kernel) == 0
    assert 3_000_000 < undercut_ns(kernel, idle, kernel) < 3_200_000


def test_what_a_gpu_could_do_unseen_counts_as_what_could_be_hidden() -> None:
    hidden = undercut_ns(on_gpu(30_000), on_gpu(50_000), on_gpu(100_000))
    assert hidden == pytest.approx(10_000 + 900 + 75_000 + 260_000, abs=200), "noise, staging, until outputs are taken"


def test_what_a_forged_claim_could_hide_grows_with_what_the_host_hides() -> None:
    reference = calls(3_000_000, collect_ns=200_000)
    quiet = undercut_ns(calls(100_000), calls(100_000), reference)
    assert quiet == pytest.approx(13_000, abs=100), "10 us and 3 %"
    assert undercut_ns(calls(100_000, collect_ns=1), calls(100_000), reference) == quiet + 210_000
    waited = [replace(c, gap_ns=c.gap_ns + 4_000_000) for c in calls(100_000)]
    busy = [*calls(100_000)[:1], *waited[1:]]
    assert undercut_ns(calls(100_000), busy, reference) == pytest.approx(4_000_000, rel=0.05)
