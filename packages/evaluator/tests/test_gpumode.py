"""GPU MODE's format: what honest and hostile submissions get. In numpy, so that it needs no torch."""

from typing import Any

import pytest
from masked import KERNEL, REFERENCE, problem, request, submission

from ksearch_referee.driver import judge

RETURN = 'return (x * weights["norm.scale"] + weights["norm.shift"]) * mask[:, None].astype(np.float32)'


def kernel(replaced: str = "", by: str = "") -> dict[str, Any]:
    assert replaced in KERNEL
    return submission(KERNEL.replace(replaced, by))


def guard_ids(result: dict[str, Any]) -> list[str]:
    return [guard["id"] for guard in result["guards"] if guard["level"] == "reject"]


def test_an_honest_submission_passes_and_only_benchmarks_are_timed() -> None:
    result = judge(request(kernel(), "benchmark"))
    assert (result["status"], result["phase"]) == ("passed", "done"), result
    assert [(w["id"], w["status"], w["call"] is not None) for w in result["workloads"]] == [
        ("t0", "passed", False),
        ("t1", "passed", False),
        ("b0", "passed", True),
    ]
    assert result["workloads"][1]["axes"] == {"rows": 40, "cols": 8, "nomask": False}
    checked = [w["correctness"]["checkedTimed"] for w in result["workloads"]]
    assert checked[:2] == [0, 0]
    assert checked[2] >= 6
    assert result["score"]["value"] > 0


def test_an_incumbent_is_timed_on_the_same_inputs() -> None:
    asked = request(kernel(), "benchmark")
    asked["incumbent"] = kernel()
    assert judge(asked)["aggregate"]["vsIncumbent"] is not None


def test_parallel_and_isolated_cases() -> None:
    asked = request(kernel(), "benchmark")
    asked["settings"] |= {"isolateWorkloads": True, "parallelWorkloads": 2}
    assert judge(asked)["status"] == "passed"


def test_a_baseline_covers_the_benchmarks() -> None:
    asked = request(kernel(), "benchmark")
    asked["settings"] |= {"baselineNs": {"b0": 10_000_000}, "aggregate": "geomean_vs_baseline"}
    assert judge(asked)["score"]["name"] == "geomean_vs_baseline"


def test_a_mask_is_really_applied() -> None:
    """Upstream turns `False` into a truthy text and never tests one."""
    result = judge(request(kernel("* mask[:, None].astype(np.float32)", "")))
    assert (result["status"], result["phase"]) == ("incorrect_numerical", "correctness")
    assert [w["status"] for w in result["workloads"]] == ["passed", "incorrect_numerical", "incorrect_numerical"]
    assert "elements are off, the first at" in result["message"], "the problem's own words"


def test_the_problems_own_check_decides_over_the_tolerances() -> None:
    asked = request(kernel(RETURN, RETURN + " * np.float32(1.015)"))
    result = judge(asked)
    assert result["status"] == "passed", "within the problem's 2 %, beyond the request's 1 %"
    assert result["workloads"][1]["correctness"]["maxRel"] == pytest.approx(0.015, rel=1e-2)
    assert "want" not in result["logs"]["feedback"], "no complaint about elements that were accepted"
    asked["problem"] = problem(task="TOLERANCE = 1e-4\n")
    assert judge(asked)["status"] == "incorrect_numerical"


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("None", True),
        ("''", True),
        ("True", True),
        ("[]", True),
        ("(True, '')", True),
        ("np.bool_(True)", True),
        ("False", False),
        ("'it is off'", False),
        ("['it', 'is', 'off']", False),
        ("(False, 'it is off')", False),
        ("(np.bool_(False), None)", False),
    ],
)
def test_what_a_check_may_answer(answer: str, accepted: bool) -> None:
    asked = problem(REFERENCE.replace("return mismatches(output, ref_kernel(data), TOLERANCE)", f"return {answer}"))
    result = judge(request(kernel(), asked=asked))
    assert result["status"] == ("passed" if accepted else "incorrect_numerical")


def test_a_check_may_assert() -> None:
    asked = problem(
        REFERENCE.replace("return mismatches", "assert output.sum() > 1e9, 'too little'\n    return mismatches")
    )
    assert judge(request(kernel(), asked=asked))["message"].endswith("too little")


def test_nonfinite_values_must_agree_whatever_the_check_says() -> None:
    """A NaN compares false with everything, so this problem's check lets it pass."""
    result = judge(request(kernel(RETURN, f"y = {RETURN[7:]}\n    y[0] = np.nan\n    return y")))
    assert result["status"] == "incorrect_numerical"
    assert result["workloads"][0]["correctness"]["maxAbs"] == "inf"


def test_a_submission_may_import_the_problems_modules_but_not_its_reference() -> None:
    source = "from task import TOLERANCE\nfrom utils import mismatches\n" + KERNEL
    assert judge(request(submission(source)))["status"] == "passed"
    for module in ("reference", "eval"):
        result = judge(request(submission(f"import {module}\n{KERNEL}")))
        assert (result["status"], result["phase"]) == ("compile_error", "build")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return (x * 0).astype(np.float16)", "incorrect_dtype"),
        ("return x[:1].copy()", "incorrect_shape"),
        ("return [x * 1]", "runtime_error"),
        ("return {'output': x * 1}", "runtime_error"),
        ("return None", "runtime_error"),
        ("import sys; sys.exit(0)", "runtime_error"),
        ("raise ValueError('no')", "runtime_error"),
    ],
)
def test_wrong_results(body: str, status: str) -> None:
    result = judge(request(kernel(RETURN, body)))
    assert (result["status"], result["phase"]) == (status, "smoke"), result["message"]


@pytest.mark.parametrize(
    ("body", "guard"),
    [
        ("x *= 0\n    return x", "X10"),
        ("x[0, 0] += 1\n    return x * 1", "X09"),
        ("weights['norm.scale'] *= 0\n    return x * 1", "X09"),
        ("return np.broadcast_to(np.float32(0), x.shape)", "X20"),
    ],
)
def test_what_is_rejected(body: str, guard: str) -> None:
    result = judge(request(kernel(RETURN, body)))
    assert result["status"] == "rejected"
    assert guard_ids(result) == [guard]


@pytest.mark.parametrize(
    "keep",
    [
        "kept.setdefault(x.shape, {})",  # X01: by sizes
        "kept.setdefault((x.shape, bool(mask[0])), {})",  # X02: by a fingerprint
        "weights",  # X03: in the caller's dict, which would be the next call's too
        "config",
    ],
)
def test_a_kept_result_is_of_no_use(keep: str) -> None:
    body = f"""cache = {keep}
    if "y" not in cache:
        cache["y"] = {RETURN[7:]}
    return cache["y"].copy()"""
    result = judge(request(submission("kept = {}\n" + KERNEL.replace(RETURN, body)), "benchmark"))
    fresh = keep in ("weights", "config")
    assert result["status"] == ("passed" if fresh else "incorrect_numerical"), "the dicts are new in every call"


def test_x04_right_until_it_is_timed() -> None:
    source = KERNEL.replace(RETURN, f"calls.append(0)\n    return x * 0 if len(calls) > 9 else {RETURN[7:]}")
    result = judge(request(submission("calls = []\n" + source), "benchmark"))
    assert (result["status"], result["phase"]) == ("incorrect_numerical", "timing")


IN_PLACE = """
import numpy as np

def generate_input(n, seed):
    rng = np.random.default_rng(seed)
    return {"a": rng.standard_normal(n, dtype=np.float32), "out": np.empty(n, dtype=np.float32)}

def ref_kernel(data):
    np.multiply(data["a"], 2, out=data["out"])
    return data["out"]

def check_implementation(data, output):
    return np.allclose(output, 2 * data["a"])
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("np.multiply(data['a'], 2, out=data['out'])\n    return data['out']", "passed"),
        ("return data['a'] * 2", "passed"),
        ("np.multiply(data['a'], 2, out=data['out'])\n    return data['out'].copy()", "passed"),
        ("data['a'] *= 2\n    return data['a']", "rejected"),
        ("return data['out']", "incorrect_numerical"),
        ("data['out'][:] = 2 * data['a'][0]\n    return data['out']", "incorrect_numerical"),
    ],
)
def test_an_output_that_is_handed_in(body: str, status: str) -> None:
    """Where the reference writes to an input, a kernel may, and may return it."""
    asked = problem(IN_PLACE)
    asked["tests"], asked["benchmarks"] = [], [{"id": "b0", "args": {"n": 5_000}}]
    source = f"import numpy as np\ndef custom_kernel(data):\n    {body}\n"
    assert judge(request(submission(source), "benchmark", asked))["status"] == status


SEVERAL = """
import random
import numpy as np

def generate_input(n):
    a = np.random.random() * np.arange(1.0, 3 * n + 1).reshape(n, 3).T  # an order of memory of its own
    return [a, (random.randint(1, 9), np.arange(n, dtype=np.uint8))]

def ref_kernel(data):
    a, (k, ids) = data
    assert a.strides[0] == 8, "transposed, as it was made"
    assert np.isclose(a[1, 0], 2 * a[0, 0]) and np.isclose(a[0, 1], 4 * a[0, 0])
    return {"sum": a.sum(axis=1), "pair": (a.T * k, ids[::-1])}

def check_implementation(data, output):
    want = ref_kernel(data)
    same = [np.array_equal(got, right) for got, right in zip(output["pair"], want["pair"], strict=True)]
    return all(same) and np.array_equal(want["sum"], output["sum"])
"""


def test_trees_orders_and_global_random_numbers_survive_the_way() -> None:
    asked = problem(SEVERAL)
    asked["tests"], asked["benchmarks"] = [], [{"id": "b0", "args": {"n": 7}}]
    source = """
import numpy as np
def custom_kernel(data):
    assert type(data) is list and type(data[1]) is tuple
    a, (k, ids) = data
    assert a.shape == (3, 7) and a.strides[0] == 8 and ids.dtype == np.uint8
    return {"pair": [a.T * k, ids[::-1].copy()], "sum": a.sum(axis=1)}
"""
    assert judge(request(submission(source), asked=asked))["status"] == "passed"
    wrong = judge(request(submission(source.replace("ids[::-1].copy()", "ids.copy()")), asked=asked))
    assert wrong["status"] == "incorrect_numerical"
    assert wrong["workloads"][0]["correctness"]["bad"][0]["output"] == "output['pair'][1]"
    other = judge(request(submission(source.replace('"sum": a.sum(axis=1)', '"sums": 0')), asked=asked))
    assert "has to be a dict with the keys ['sum', 'pair']" in other["message"]


NATIVE = """
import ctypes, os
import numpy as np

lib = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "kernel.so"))

def custom_kernel(data):
    x, mask, weights, config = data
    y = np.empty_like(x)
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (x, mask, weights["norm.scale"], weights["norm.shift"], y)]
    lib.masked(*pointers, ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1]))
    return y
"""

SOURCE = """#include <cstdint>
extern "C" void masked(const float* x, const uint8_t* mask, const float* scale, const float* shift, float* y,
                       int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) y[i * cols + j] = mask[i] ? x[i * cols + j] * scale[j] + shift[j] : 0.0f;
}
"""


def native(source: str = SOURCE, python: str = NATIVE) -> dict[str, Any]:
    files = [{"path": "submission.py", "content": python}, {"path": "kernel.cpp", "content": source}]
    return submission(language="cpp", files=files)


def test_native_code_beside_the_submission() -> None:
    asked = request(native(), "benchmark")
    asked["incumbent"] = native(SOURCE.replace("++j", "j += 1"))
    result = judge(asked)
    assert result["status"] == "passed", result
    assert result["env"]["compiler"] is not None
    assert result["aggregate"]["vsIncumbent"] is not None


def test_native_code_that_does_not_build_or_load() -> None:
    broken = judge(request(native(SOURCE.replace("scale[j]", "undefined_name"))))
    assert (broken["status"], broken["phase"]) == ("compile_error", "build")
    assert "kernel.cpp:5: error" in broken["logs"]["feedback"]
    alone = submission(language="cpp", files=[{"path": "submission.py", "content": NATIVE}])
    assert "no .cpp or .cc file" in judge(request(alone))["message"]
    lost = judge(request(native(python=NATIVE.replace("kernel.so", "other.so"))))
    assert (lost["status"], lost["phase"]) == ("compile_error", "build")
    unnamed = judge(request(native(python=NATIVE.replace("lib.masked", "lib.unmasked"))))
    assert (unnamed["status"], unnamed["phase"]) == ("runtime_error", "smoke")


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"entryPoint": "submission.py::other"}, "compile_error", "no 'other' to call"),
        ({"language": "cuda"}, "infra_error", "judge it on a GPU"),
        ({"language": "cuda", "binding": "torch"}, "infra_error", "judge it on a GPU"),
        ({"binding": "c-abi"}, "compile_error", "use 'cpp' with 'python', 'python' with 'python'"),
        ({"definition": "other"}, "compile_error", "the kernel is for 'other'"),
    ],
)
def test_how_a_submission_may_begin(fields: dict[str, Any], status: str, words: str) -> None:
    result = judge(request(submission(**fields)))
    assert (result["status"], result["phase"]) == (status, "static")
    assert words in result["message"]


def test_a_problem_that_fails_is_not_the_submissions_fault() -> None:
    result = judge(
        request(
            kernel(), asked=problem(REFERENCE.replace("return np.where", "raise KeyError('w')\n    return np.where"))
        )
    )
    assert result["status"] == "infra_error"
    assert "case t0: the reference raised KeyError" in result["message"]
