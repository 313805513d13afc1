"""Problems whose reference is torch. They run where torch is installed; it is never a dependency."""

from typing import Any

import pytest
from affine import cpp, python, request
from on_gpu import TRITON

from ksearch_referee.driver import judge
from ksearch_referee.environment import package_version

pytest.importorskip("torch")

REFERENCE = "import torch\n\ndef run(x, scale):\n    return (x.float() * scale + 1).to(x.dtype)\n"


def asked(kernel: dict[str, Any], dtype: str) -> dict[str, Any]:
    made = request(kernel)
    definition = made["problem"]["definition"]
    definition["reference"] = REFERENCE
    definition["inputs"]["x"]["dtype"] = definition["outputs"]["y"]["dtype"] = dtype
    return made


def test_every_float_crosses_over() -> None:
    dtypes = ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
    made = asked(python(), "float32")
    tensors = [{"shape": ["n", "m"], "dtype": dtype} for dtype in dtypes]
    definition = made["problem"]["definition"]
    definition["inputs"] = {f"x{index}": tensor for index, tensor in enumerate(tensors)}
    definition["outputs"] = {f"y{index}": tensor for index, tensor in enumerate(tensors)}
    names = ", ".join(definition["inputs"])
    scaled = f"    return tuple((x.float() * 3 + 1).to(x.dtype) for x in ({names}))\n"
    definition["reference"] = f"import torch\n\ndef run({names}):\n{scaled}"
    for workload in made["problem"]["workloads"]:
        workload["inputs"] = {name: {"type": "random"} for name in definition["inputs"]}
    types = f"    assert [str(x.dtype) for x in ({names})] == {[f'torch.{dtype}' for dtype in dtypes]}\n"
    made["kernel"] = python(f"import torch\n\ndef affine({names}):\n{types}{scaled}")
    result = judge(made)
    assert result["status"] == "passed", result


def test_a_cpp_kernel_against_a_torch_reference() -> None:
    assert judge(asked(cpp(), "float32"))["status"] == "passed"


def test_destination_passing() -> None:
    kernel = python("def affine(x, scale, y):\n    y.copy_(x.float() * scale + 1)\n")
    kernel["destinationPassing"] = True
    assert judge(asked(kernel, "bfloat16"))["status"] == "passed"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return x", "rejected"),
        ("return x.new_ones(1, 1).expand(x.shape)", "rejected"),
        ("return (x * scale + 1).double()", "incorrect_dtype"),
        ("return (x * scale + 1)[:1].clone()", "incorrect_shape"),
        ("return (x * scale + 1).numpy()", "runtime_error"),
    ],
)
def test_wrong_results(body: str, status: str) -> None:
    assert judge(asked(python(f"def affine(x, scale):\n    {body}\n"), "float32"))["status"] == status


@pytest.mark.skipif(package_version("triton") is None, reason="no triton here")
def test_triton_is_interpreted() -> None:
    """Also against a reference in numpy."""
    source = TRITON.replace("def run", "def affine")
    kernel = {**python(source), "language": "triton"}
    result = judge(request(kernel))
    assert result["status"] == "passed", result
    assert [(g["id"], g["level"]) for g in result["guards"]] == [("K04", "info")]
    wrong = {**python(source.replace("scale + 1", "scale + 2")), "language": "triton"}
    assert judge(request(wrong))["status"] == "incorrect_numerical"


def test_a_torch_kernel_finds_all_cores_and_no_gpu() -> None:
    source = """
import os
import torch
def affine(x, scale):
    assert torch.get_num_threads() == len(os.sched_getaffinity(0))
    assert not torch.cuda.is_available()
    return x * scale + 1
"""
    assert judge(asked(python(source), "float32"))["status"] == "passed"


def test_memory_is_limited_beside_what_torch_takes() -> None:
    made = asked(python("def affine(x, scale):\n    x.new_empty(1 << 28)\n    return x * scale + 1\n"), "float32")
    made["settings"]["limits"]["memoryMb"] = 256
    result = judge(made)
    assert result["status"] == "runtime_error"
    assert "memory" in result["message"]
    made["settings"]["limits"]["memoryMb"] = 2_048
    assert judge(made)["status"] == "passed"
