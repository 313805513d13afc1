"""The problems of our own in GPU MODE's and KernelBench's formats: they are admitted, and mistakes in them show."""

import ast
import copy
import re
from pathlib import Path
from typing import Any

import blended
import pytest
from affine import SETTINGS
from masked import submission

from ksearch_referee.driver import judge
from ksearch_referee.environment import package_version
from ksearch_referee.examination import examine

needs_torch = pytest.mark.skipif(package_version("torch") is None, reason="no torch here (scripts/torch.sh)")

PROBLEMS = Path(__file__).resolve().parents[3] / "problems"
TRIMUL = PROBLEMS / "gpumode" / "trimul"
SOFTMAX = PROBLEMS / "gpumode" / "softmax_rows"
STARTER = (TRIMUL / "submission.py").read_text()
KERNELBENCH = sorted((PROBLEMS / "kernelbench").glob("level*/*.py"))


def cases(name: str, group: str) -> list[dict[str, Any]]:
    """Read the flat maps below `tests:` or `benchmarks:`; the format's own reader is written in TypeScript."""
    text = (PROBLEMS / "gpumode" / name / "task.yml").read_text()
    lines = text.split(f"\n{group}:\n")[1].split("\nbenchmarks:")[0].splitlines()
    words = {"true": True, "false": False}
    maps = [dict(re.findall(r"(\w+): (\w+)", line)) for line in lines if line.startswith("  - {")]
    return [{key: words.get(v, int(v) if v.isdigit() else v) for key, v in each.items()} for each in maps]


def trimul(name: str = "trimul_small") -> dict[str, Any]:
    def numbered(group: str) -> list[dict[str, Any]]:
        return [{"id": f"{group}{i}", "args": args} for i, args in enumerate(cases(name, group))]

    files = [{"path": file, "content": (TRIMUL / file).read_text()} for file in ("task.py", "reference.py")]
    return {
        "format": "gpumode",
        "name": name,
        "description": "",
        "files": files,
        "tests": numbered("tests"),
        "benchmarks": numbered("benchmarks"),
        "rankingBy": "geom",
        "madeFor": "cpu",
    }


def softmax() -> dict[str, Any]:
    files = [{"path": file, "content": (SOFTMAX / file).read_text()} for file in ("task.h", "reference.cuh")]
    small = [{"id": "t0", "args": {"rows": 7, "columns": 33, "spread": 200}}]
    more = {"name": "softmax_rows", "files": files, "tests": [], "benchmarks": small}
    return {**blended.problem(), **more}


def kernelbench(path: Path) -> dict[str, Any]:
    problem_id, title = path.stem.split("_", 1)
    level = int(path.parent.name.removeprefix("level"))
    return {
        "format": "kernelbench",
        "name": f"kernelbench_l{level}_p{problem_id}",
        "level": level,
        "problemId": int(problem_id),
        "title": title,
        "source": path.read_text(),
        "precision": "fp32",
        "madeFor": "cpu",
    }


def examined(problem: dict[str, Any]) -> dict[str, Any]:
    """Examine by the lenient rules of the two formats: no bound on the rms error."""
    settings: Any = copy.deepcopy(SETTINGS)
    settings["correctness"].update(rmsRel=None, bound="sum", rtol=1e-2, atol=1e-2)
    asked = {"schema": "ksearch.examine/1", "requestId": "t", "problem": problem, "settings": settings, "device": "cpu"}
    return examine(asked)


def judged(source: str) -> dict[str, Any]:
    problem = trimul()
    problem["tests"], problem["benchmarks"] = problem["tests"][:2], problem["benchmarks"][:1]
    kernel = submission(source, definition="trimul_small")
    asked = {"schema": "ksearch.request/1", "requestId": "t", "problem": problem, "kernel": kernel}
    return judge({**asked, "incumbent": None, "settings": copy.deepcopy(SETTINGS), "device": "cpu"})


def test_trimul_has_all_published_cases_and_its_masks_are_truth_values() -> None:
    tests, benchmarks = cases("trimul", "tests"), cases("trimul", "benchmarks")
    assert (len(tests), len(benchmarks)) == (18, 7)
    assert all(type(case["nomask"]) is bool and case["hiddendim"] == 128 for case in [*tests, *benchmarks])
    assert sum(not case["nomask"] for case in tests) == 7
    assert [(case["seqlen"], case["bs"], case["dim"]) for case in benchmarks if not case["nomask"]] == [
        (256, 2, 384),
        (768, 1, 384),
    ]


@pytest.mark.parametrize("path", KERNELBENCH, ids=lambda path: path.stem)
def test_kernelbench_problems_say_what_they_are_for(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ksearch: made-for cpu\n")
    assert {"Model", "get_inputs", "get_init_inputs"} <= {
        node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


@needs_torch
@pytest.mark.parametrize("path", KERNELBENCH, ids=lambda path: path.stem)
def test_kernelbench_problems_are_admitted(path: Path) -> None:
    examination = examined(kernelbench(path))
    assert examination["status"] == "admitted", examination["reasons"]


@needs_torch
def test_trimul_small_is_admitted() -> None:
    examination = examined(trimul())
    assert examination["status"] == "admitted", examination["reasons"]
    assert all(w["trivialPasses"] == [] for w in examination["workloads"])


@needs_torch
def test_the_starter_passes() -> None:
    result = judged(STARTER)
    assert result["status"] == "passed", result["message"]


@needs_torch
@pytest.mark.parametrize(
    ("replaced", "by"),
    [
        (" * mask.unsqueeze(-1)\n    product", "\n    product"),
        ("bikh,bjkh->bijh", "bkih,bkjh->bijh"),
        (" * out_gate.sigmoid()", ""),
    ],
    ids=["half a mask", "incoming edges", "no gate"],
)
def test_mistakes_show(replaced: str, by: str) -> None:
    assert replaced in STARTER
    result = judged(STARTER.replace(replaced, by))
    assert result["status"] == "incorrect_numerical"
    assert "elements are off" in result["message"]


def test_softmax_rows_is_admitted_and_mistakes_in_its_starter_show() -> None:
    examination = examined(softmax())
    assert examination["status"] == "admitted", examination["reasons"]
    assert examination["workloads"][0]["trivialPasses"] == []
    starter = (SOFTMAX / "submission.cpp").read_text()
    for source, status in (
        (starter, "passed"),
        (starter.replace("- largest", ""), "incorrect_numerical"),
        (starter.replace("row[j] /= sum", "row[j] /= columns"), "incorrect_numerical"),
    ):
        kernel = blended.submission(source, definition="softmax_rows")
        assert judge(blended.request(kernel, asked=softmax()))["status"] == status
