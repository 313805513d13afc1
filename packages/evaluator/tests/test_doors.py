"""The command line: one JSON document on standard output, whatever happens."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from affine import cpp, python, request

from ksearch_referee.contract import RequestInvalid, check_result, parse_request
from ksearch_referee.report import kernel_digest


def door(*arguments: str, given: str = "") -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "ksearch_referee", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done
    return done.returncode, json.loads(lines[0])


def test_judge_from_a_file_and_from_standard_input(tmp_path: Path) -> None:
    text = json.dumps(
        request(python("print('noise')\ndef affine(x, scale):\n    return (x * scale + 1).astype('f')\n"))
    )
    path = tmp_path / "request.json"
    path.write_text(text)
    for status, result in (door("judge", str(path)), door("judge", "-", given=text)):
        assert status == 0
        assert result["status"] == "passed"
        assert result["logs"]["run"] == "noise\n"
        check_result(result)


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        ("{", "$", "no JSON request"),
        ("[]", "$", "is not of type 'object'"),
        (json.dumps({**request(cpp()), "device": "abacus"}), "$.device", "abacus"),
        (json.dumps({**request(cpp()), "extra": 1}), "$", "extra"),
    ],
)
def test_a_bad_request_is_an_error_of_the_caller(given: str, path: str, words: str) -> None:
    status, answer = door("judge", "-", given=given)
    assert status == 2
    assert answer["error"]["code"] == "request.invalid"
    assert answer["error"]["path"] == path
    assert words in answer["error"]["message"]


def test_what_json_schema_cannot_say_is_checked_too() -> None:
    broken = request(cpp())
    broken["problem"]["definition"]["outputs"]["y"]["shape"] = ["q"]
    with pytest.raises(RequestInvalid, match="axis 'q'"):
        parse_request(broken)
    twice = request(cpp())
    twice["kernel"]["files"] *= 2
    with pytest.raises(RequestInvalid, match="not unique"):
        parse_request(twice)
    lacking = request(cpp())
    del lacking["problem"]["workloads"][1]["inputs"]["scale"]
    with pytest.raises(RequestInvalid, match="lacks input 'scale'"):
        parse_request(lacking)
    for part, key, value in (("timing", "inputs", "same"), ("correctness", "checkTimed", "none")):
        lenient = request(cpp())
        lenient["settings"][part][key] = value
        with pytest.raises(RequestInvalid, match="needs fresh inputs"):
            parse_request(lenient)


def test_doctor() -> None:
    status, report = door("doctor")
    assert status == 0
    assert report["ok"] is True
    assert report["reasons"] == []
    assert {"python", "numpy", "torch", "compiler", "compilerFlags", "cpu", "isolation"} <= set(report)
    assert "seccomp" in report["isolation"] or report["warnings"]
    assert report["judges"]["gpumode"][:2] == ["cpp", "python"]
    assert bool(report["judges"]["kernelbench"]) is (report["torch"] is not None)
    assert ("triton" in report["judges"]["flashinfer"]) is (report["triton"] is not None)
    assert set(report["simd"]) & {"sse4_2", "asimd"}, "every x86-64 and aarch64 host of today has one of them"
    assert all(level in ("L1", "L2", "L3", "L4") and size > 1_000 for level, size in report["cacheBytes"].items())


def test_the_digest_is_that_of_the_domain_package() -> None:
    kernel: Any = {"b": ["é", 1, True, None], "a": {"d": "x\n", "c": 2}}
    assert kernel_digest(kernel) == "ker_71fe78b511cb7dd9"
