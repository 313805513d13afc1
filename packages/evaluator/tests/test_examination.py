"""What an examination says of a problem: honest ones are admitted, those that cannot be judged refused with words."""

import copy
import json
import re
import subprocess
import sys
from typing import Any

import masked
import pytest
from affine import DEFINITION, REFERENCE, SETTINGS, workload

from ksearch_referee.contract import RequestInvalid
from ksearch_referee.examination import examine


def asked(problem: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(
        {
            "schema": "ksearch.examine/1",
            "requestId": "test",
            "problem": problem,
            "settings": SETTINGS,
            "device": "cpu",
        }
    )


def affine(reference: str = REFERENCE, sizes: tuple[int, ...] = (8, 2), **definition: Any) -> dict[str, Any]:
    made = {**DEFINITION, "reference": reference, **definition}
    return {"format": "flashinfer", "definition": made, "workloads": [workload(n) for n in sizes]}


def run(body: str) -> str:
    return f"import numpy as np\n\ndef run(x, scale):\n    {body}\n"


def refusal(problem: dict[str, Any]) -> str:
    examination = examine(asked(problem))
    assert examination["status"] == "refused", examination
    return "\n".join(examination["reasons"])


@pytest.mark.parametrize("problem", [affine(), masked.problem()], ids=["flashinfer", "gpumode"])
def test_an_honest_problem_is_admitted(problem: dict[str, Any]) -> None:
    examination = examine(asked(problem))
    assert (examination["status"], examination["reasons"]) == ("admitted", [])
    assert all(w["referenceNs"] > 0 and w["trivialPasses"] == [] for w in examination["workloads"])
    assert examination["env"]["cpu"]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("return np.float32(1e-4) * x", "zeros"),
        ("return 1 + np.float32(1e-4) * x", "ones"),
        ("return 5 + np.float32(1e-3) * x", "mean"),
        ("return x + np.float32(1e-4)", "input"),
    ],
)
def test_x21_a_trivial_answer_that_passes_everywhere_refuses_the_problem(body: str, answer: str) -> None:
    made = asked(affine(run(body)))
    made["settings"]["correctness"]["rmsRel"] = None
    examination = examine(made)
    assert examination["status"] == "refused"
    assert all(answer in w["trivialPasses"] for w in examination["workloads"])
    assert "X21" in examination["reasons"][0]
    assert "atol 0.01" in examination["reasons"][0]


def test_a_trivial_answer_that_passes_on_some_workloads_is_only_listed() -> None:
    examination = examine(asked(affine(run("return x * scale if len(x) > 4 else np.zeros_like(x)"))))
    assert examination["status"] == "admitted"
    assert [w["trivialPasses"] for w in examination["workloads"]] == [[], ["zeros", "mean"]]


def test_the_check_that_candidates_face_decides() -> None:
    """Zeros pass this problem's own check, though the request's tolerances would refuse them."""
    lenient = masked.problem(task="TOLERANCE = 1e6\n")
    assert "by the problem's own check" in refusal(lenient)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return x[10**6]", "the reference raised IndexError.*reference.py, line 4, in run: return x"),
        ("return x.astype('float64')", "dtype float64, not float32"),
        ("return (x * 2)[: 1 if len(x) == 2 else 8].copy()", r"n2: the reference: output 'y' has the shape \[1, 64\]"),
        ("return x * np.random.rand()", "another answer to the same inputs"),
        ("x *= 2\n    return x + 1", "changed its input 'x'"),
        ("import os; os._exit(3)", "exited with code 3"),
        ("import nothing_of_that_name", "needs the module 'nothing_of_that_name'"),
        ("return (", "not valid Python"),
    ],
)
def test_a_reference_that_does_not_work(body: str, words: str) -> None:
    reasons = refusal(affine(run(body)))
    assert re.search(words, reasons.replace("\n", " ")), reasons


def test_a_random_index_is_suspected() -> None:
    problem = affine("import numpy as np\n\ndef run(x, at):\n    return np.ascontiguousarray(x[at.astype(int)])\n")
    problem["definition"]["inputs"] = {
        "x": {"shape": ["n", "m"], "dtype": "float32"},
        "at": {"shape": ["n"], "dtype": "int32"},
    }
    for made in problem["workloads"]:
        made["inputs"] = {"x": {"type": "random"}, "at": {"type": "random"}}
    reasons = refusal(problem)
    assert "n8: the reference raised IndexError" in reasons
    assert "at: integers drawn from -1024 to 1023" in reasons
    assert "'captured'" in reasons


@pytest.mark.parametrize(
    ("replaced", "by", "words"),
    [
        ("x = rng.standard", "rows += int(rng.integers(2))\n    x = rng.standard", "one seed and .* with another"),
        ("default_rng(seed)", "default_rng(1)", "do not follow the seed"),
        ('"nothing": None}', '"nothing": object()}', "case t0: the reference raised TypeError.*data.3.*object"),
        (
            '"nothing": None}',
            '"nothing": np.zeros(2, complex)}',
            "case t0: data.3..*nothing.*: unknown dtype 'complex",
        ),
        ("return np.where", "return 3\n    return np.where", "case t0: the reference returns 3 as output"),
        (
            "mismatches(output,",
            "mismatches(output + 1,",
            "own check refuses the reference's output: .* elements are off",
        ),
        ("return mismatches", "raise KeyError('w')\n    return mismatches", "t0: the reference raised KeyError"),
        (
            "x, mask, weights, config = data\n",
            "x, mask = data\n",
            "case t0: .*ValueError.*in ref_kernel: x, mask = data",
        ),
        ("def generate_input(rows,", "def generate_input(lines,", "unexpected keyword argument 'rows'"),
    ],
)
def test_a_gpumode_problem_that_does_not_work(replaced: str, by: str, words: str) -> None:
    assert replaced in masked.REFERENCE
    reasons = refusal(masked.problem(masked.REFERENCE.replace(replaced, by)))
    assert re.search(words, reasons.replace("\n", " ")), reasons


def test_what_is_no_fault_of_the_problem() -> None:
    elsewhere = asked(affine())
    elsewhere["device"] = "H100"
    assert examine(elsewhere)["status"] == "infra_error"
    hasty = asked(affine(run("import time; time.sleep(60)")))
    hasty["settings"]["limits"]["totalMs"] = 1_000
    examination = examine(hasty)
    assert examination["status"] == "infra_error"
    assert "too little for this problem" in examination["reasons"][0]


def test_a_bad_request_is_an_error_of_the_caller() -> None:
    broken = masked.problem()
    broken["files"] = [file for file in broken["files"] if file["path"] != "reference.py"]
    with pytest.raises(RequestInvalid, match="no file reference"):
        examine(asked(broken))
    twice = masked.problem()
    twice["benchmarks"][0]["id"] = "t0"
    with pytest.raises(RequestInvalid, match="two cases are called 't0'"):
        examine(asked(twice))
    with pytest.raises(RequestInvalid, match="no top-level 'ref_kernel'"):
        examine(asked(masked.problem(masked.REFERENCE.replace("def ref_kernel", "def other"))))


def test_the_door() -> None:
    for given, code in ((json.dumps(asked(affine())), 0), ("{}", 2)):
        command = [sys.executable, "-m", "ksearch_referee", "examine", "-", "--with-parent"]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code
        answer = json.loads(done.stdout)
        assert answer["status"] == "admitted" if code == 0 else answer["error"]["code"] == "request.invalid"
