"""How often a workload is timed, what the two profiles say of the same kernel, and what their times are worth."""

from typing import Any

import pytest
from affine import cpp, python, request

from ksearch_referee.calls import Call
from ksearch_referee.driver import judge
from ksearch_referee.timing import timed_calls
from ksearch_referee.wire import TimingSettings

BUSY_NS = 1_000_000


def settings(target_ms: int | None, iterations: int = 10) -> TimingSettings:
    asked: TimingSettings = request(cpp())["settings"]["timing"]
    return {**asked, "iterations": iterations, "targetMs": target_ms}


def warmup(*claims_ns: int) -> list[Call]:
    return [Call({}, claimed_ns, 0, 0) for claimed_ns in claims_ns]


@pytest.mark.parametrize(
    ("target_ms", "claims_ns", "count"),
    [
        (None, [1_000], 10),
        (100, [9_000_000, 2_000_000, 2_000_000], 50),
        (100, [2_000_001], 50),
        (100, [1_999_999], 51),
        (1, [5_000_000], 10),
        (100, [1_000], 200),
        (100, [0], 200),
        (100, [], 10),
    ],
    ids=["no target", "the median", "just above", "just below", "at least", "at most", "nothing", "no warm-up"],
)
def test_the_reference_says_how_often_a_workload_is_timed(
    target_ms: int | None, claims_ns: list[int], count: int
) -> None:
    assert timed_calls(settings(target_ms), warmup(*claims_ns)) == count


def test_who_asks_for_more_calls_than_the_most_gets_them() -> None:
    assert timed_calls(settings(100, iterations=500), warmup(1_000)) == 500


def busy(kernel: dict[str, Any]) -> dict[str, Any]:
    """Ask for a benchmark against a reference that takes a millisecond, and is called for 60."""
    asked = request(kernel, "benchmark", (2,))
    asked["problem"]["definition"]["reference"] = f"""
import time
import numpy as np
def run(x, scale):
    until = time.perf_counter_ns() + {BUSY_NS}
    while time.perf_counter_ns() < until: pass
    return x * np.float32(scale) + np.float32(1)
"""
    asked["settings"]["timing"] |= {"warmup": 3, "targetMs": 60}
    return asked


@pytest.mark.timed
def test_as_many_calls_as_the_target_takes() -> None:
    call = judge(busy(cpp()))["workloads"][0]["call"]
    assert 6 < call["n"] <= 60


CACHES = """
import numpy as np
results = {}
def affine(x, scale):
    if x.shape not in results:
        results[x.shape] = x * np.float32(scale) + np.float32(1)
    return results[x.shape].copy()
"""

FORGED_NS = 1_234
FORGES = f"""
import itertools, sys
import numpy as np
worker = sys.modules['__main__']
ticks = itertools.count(0, {FORGED_NS})
worker.Worker.go.__defaults__ = (ticks.__next__,)
def affine(x, scale):
    for _ in range(300): x.sum()
    return x * np.float32(scale) + np.float32(1)
"""


def compat(kernel: dict[str, Any], **correctness: Any) -> dict[str, Any]:
    asked = request(kernel, "benchmark", (2,))
    asked["settings"] |= {"profile": "compat"}
    asked["settings"]["correctness"] |= {"checkTimed": "none", **correctness}
    asked["settings"]["timing"] |= {"inputs": "same", "statistic": "mean"}
    return asked


def test_published_figures_are_the_workers_own() -> None:
    result = judge(compat(python(FORGES)))
    assert (result["status"], result["profile"], result["timing"]) == ("passed", "compat", "claimed")
    workload = result["workloads"][0]
    assert workload["call"]["medianNs"] == FORGED_NS
    assert workload["undercutNs"] is None
    assert workload["correctness"]["checkedTimed"] == 0
    assert workload["speedup"] == pytest.approx(workload["referenceCall"]["meanNs"] / FORGED_NS, rel=0.01)


def test_published_figures_let_a_kernel_remember() -> None:
    """Only the hardened profile sees it in the timed calls; the check after them sees it in both."""
    remembers = CACHES.replace("not in results", "not in results or calls() < 5").replace(
        "def affine", "import itertools\ncalls = itertools.count().__next__\ndef affine"
    )
    assert judge(compat(python(remembers)))["phase"] == "postcheck"
    hardened = judge(request(python(remembers), "benchmark", (2,)))
    assert (hardened["status"], hardened["phase"]) == ("incorrect_numerical", "timing")


def test_a_hardened_verdict_says_what_a_forged_clock_could_hide() -> None:
    result = judge(request(cpp(), "benchmark"))
    assert (result["profile"], result["timing"]) == ("hardened", "bounded")
    assert all(workload["undercutNs"] > 10_000 for workload in result["workloads"])


def test_without_times_there_is_nothing_to_mark() -> None:
    result = judge(request(cpp()))
    assert result["timing"] is None
    assert [workload["undercutNs"] for workload in result["workloads"]] == [None, None]


@pytest.mark.timed
@pytest.mark.parametrize("kernel", [cpp(), python()], ids=["cpp", "python"])
def test_a_copy_of_the_same_bytes_is_never_found_better(kernel: dict[str, Any]) -> None:
    """By chance one interval in forty lies above 1; no confirmation would find that again, and again."""
    asked = request(kernel, "benchmark", (40,))
    asked["incumbent"] = kernel
    asked["settings"]["timing"] |= {"iterations": 12}
    assert any(judge(asked)["aggregate"]["vsIncumbent"]["low"] <= 1 for _ in range(3))
