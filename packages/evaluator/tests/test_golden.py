"""The golden files: the contract accepts them, and the referee still says of their requests what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from ksearch_referee import contract
from ksearch_referee.driver import judge
from ksearch_referee.environment import package_version

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def golden(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def said(result: dict[str, Any]) -> dict[str, Any]:
    """What does not change from host to host: no times, no guards that tell of a busy machine."""
    return {
        "status": result["status"],
        "phase": result["phase"],
        "guards": sorted(guard["id"] for guard in result["guards"] if guard["level"] == "reject"),
        "workloads": [(workload["id"], workload["status"]) for workload in result["workloads"]],
        "has a score": result.get("score") is not None,
        "digest": result["kernelDigest"],
    }


def test_every_status_and_profile_of_every_format_is_there() -> None:
    statuses = {"passed", "compile_error", "incorrect_shape", "incorrect_dtype", "incorrect_numerical"}
    statuses |= {"runtime_error", "timeout", "rejected", "infra_error"}
    for format_name in ("flashinfer", "gpumode", "kernelbench"):
        assert {f"{format_name}-{status}" for status in (*statuses, "passed-compat")} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_accepts_request_and_result(name: str) -> None:
    known = golden(name)
    assert contract.parse_request(known["request"]) == known["request"]
    contract.check_result(known["result"])
    format_name, status, *profile = name.split("-")
    assert known["request"]["problem"]["format"] == format_name.removesuffix("_cpp")
    assert known["result"]["status"] == status
    assert known["result"]["profile"] == (profile or ["hardened"])[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_referee_still_says_so(name: str) -> None:
    if name.startswith("kernelbench-") and package_version("torch") is None:
        pytest.skip("no torch here (scripts/torch.sh)")
    known = golden(name)
    result = judge(known["request"])
    assert said(result) == said(known["result"]), result["logs"]["feedback"]
