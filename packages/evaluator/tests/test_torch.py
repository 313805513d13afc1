"""Problems whose reference is torch. They run where torch is installed; it is never a dependency."""

from typing import Any

import pytest
from affine import cpp, python, request

from ksearch_referee.driver import judge

pytest.importorskip("torch")

REFERENCE = "import torch\n\ndef run(x, scale):\n    return (x.float() * scale + 1).to(x.dtype)\n"


def asked(kernel: dict[str, Any], dtype: str) -> dict[str, Any]:
    made = request(kernel)
    definition = made["problem"]["definition"]
    definition["reference"] = REFERENCE
    definition["inputs"]["x"]["dtype"] = definition["outputs"]["y"]["dtype"] = dtype
    made["settings"]["limits"]["memoryMb"] = None
    return made


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_every_float_crosses_over(dtype: str) -> None:
    result = judge(asked(python(REFERENCE.replace("run", "affine")), dtype))
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
