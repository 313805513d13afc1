"""What a request may ask for beyond the defaults: a baseline, isolated and parallel workloads, any failure first."""

from threading import Barrier
from typing import Any

import pytest
from affine import CPP, cpp, python, request

from ksearch_referee import checking
from ksearch_referee.contract import RequestInvalid, parse_request
from ksearch_referee.driver import judge

COUNTING = """
import numpy as np
calls = []
def affine(x, scale):
    calls.append(x.shape)
    if len(set(calls)) > 1:
        raise RuntimeError('this process has served another workload')
    return x * np.float32(scale) + np.float32(1)
"""


def asked(kernel: dict[str, Any], mode: str = "test", sizes: tuple[int, ...] = (8, 2), **settings: Any) -> Any:
    made = request(kernel, mode, sizes)
    made["settings"].update(settings)
    return made


@pytest.mark.parametrize("aggregate", ["geomean_vs_baseline", "mean_vs_baseline"])
def test_a_score_against_a_baseline(aggregate: str) -> None:
    result = judge(asked(cpp(), "benchmark", baselineNs={"n8": 40_000_000, "n2": 10_000_000}, aggregate=aggregate))
    call = {w["id"]: w["call"]["medianNs"] for w in result["workloads"]}
    ratios = [40_000_000 / call["n8"], 10_000_000 / call["n2"]]
    mean, geomean = sum(ratios) / 2, (ratios[0] * ratios[1]) ** 0.5
    assert result["aggregate"]["meanVsBaseline"] == pytest.approx(mean, rel=1e-3)
    assert result["aggregate"]["geomeanVsBaseline"] == pytest.approx(geomean, rel=1e-3)
    score = result["score"]
    assert score["name"] == aggregate
    assert score["value"] == pytest.approx(mean if aggregate == "mean_vs_baseline" else geomean, rel=1e-3)
    assert score["low"] <= score["value"] <= score["high"]


def test_a_baseline_beside_a_score_against_the_reference() -> None:
    result = judge(asked(cpp(), "benchmark", (2,), baselineNs={"n2": 10_000_000}))
    assert result["score"]["name"] == "geomean_speedup"
    assert result["aggregate"]["geomeanVsBaseline"] > 1


def test_a_baseline_that_lacks_a_workload_is_an_invalid_request() -> None:
    with pytest.raises(RequestInvalid, match="no time for n2"):
        parse_request(asked(cpp(), "benchmark", baselineNs={"n8": 1}))
    with pytest.raises(RequestInvalid, match="needs the baseline's times"):
        parse_request(asked(cpp(), "benchmark", aggregate="mean_vs_baseline"))


@pytest.mark.parametrize("parallel", [1, 2])
def test_isolated_workloads_share_no_process(parallel: int) -> None:
    for mode in ("test", "benchmark"):
        together = judge(asked(python(COUNTING), mode, parallelWorkloads=1))
        assert together["status"] == "runtime_error"
        apart = judge(asked(python(COUNTING), mode, isolateWorkloads=True, parallelWorkloads=parallel))
        assert apart["status"] == "passed", apart["message"]


def test_an_isolated_incumbent_is_still_compared() -> None:
    made = asked(cpp(), "benchmark", isolateWorkloads=True)
    made["incumbent"] = python(COUNTING)
    result = judge(made)
    assert result["status"] == "passed"
    assert result["aggregate"]["vsIncumbent"] is not None


def test_parallel_workloads_are_all_checked_and_then_timed_alone() -> None:
    made = asked(cpp(), "benchmark", (8, 4, 2), parallelWorkloads=3)
    made["incumbent"] = python()
    result = judge(made)
    assert result["status"] == "passed", result
    assert [w["correctness"]["trials"] for w in result["workloads"]] == [3, 3, 4], "postcheck, and one smoke test"
    assert result["aggregate"]["vsIncumbent"] is not None


def test_parallel_workloads_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    met = Barrier(3)
    honest = checking.draw_inputs

    def meeting(session: Any, workers: Any, record: Any, purpose: str, trial: int) -> Any:
        if purpose == "correctness" and trial == 0:
            met.wait(30)
        return honest(session, workers, record, "correctness", trial)

    monkeypatch.setattr(checking, "draw_inputs", meeting)
    assert judge(asked(cpp(), sizes=(8, 4, 2), parallelWorkloads=3))["status"] == "passed", "nobody waited in vain"


def test_an_incumbent_that_fails_in_one_of_several_sets_drops_out_of_all() -> None:
    made = asked(cpp(), "benchmark", (8, 4, 2), parallelWorkloads=2)
    made["incumbent"] = python("def affine(x, scale):\n    assert len(x) != 4\n    return x * scale + 1\n")
    result = judge(made)
    assert result["status"] == "passed"
    assert [g["id"] for g in result["guards"]].count("K02") == 1
    assert result["aggregate"]["vsIncumbent"] is None


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_failure_in_one_of_several_sets(parallel: int) -> None:
    kernel = cpp(CPP.replace("for (", "if (n == 4) *(volatile int*)nullptr = 1; for ("))
    result = judge(asked(kernel, sizes=(8, 4, 2), parallelWorkloads=parallel))
    assert (result["status"], result["phase"]) == ("runtime_error", "correctness")
    assert result["workloads"][1]["status"] == "runtime_error"


def test_the_feedback_tells_the_first_failing_workload_or_any() -> None:
    def first_told(order: str) -> str:
        result = judge(
            asked(cpp(CPP.replace("+ 1.0f", "+ (n == 1 ? 1.0f : 2.0f)")), sizes=(5, 4, 1), feedbackOrder=order)
        )
        assert result["status"] == "incorrect_numerical"
        return result["message"].split(":")[0].split()[-1]

    assert {first_told("first") for _ in range(4)} == {"n5"}
    seen: set[str] = set()
    for _ in range(40):
        seen.add(first_told("random"))
        if len(seen) == 2:
            break
    assert seen == {"n5", "n4"}
