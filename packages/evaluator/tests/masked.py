"""Requests for tests of GPU MODE's format: y = (scale·x + shift) where a row's mask is set, 0 elsewhere; in numpy."""

import copy
from typing import Any

from affine import request_about

REFERENCE = """
import numpy as np
from task import TOLERANCE
from utils import mismatches

def generate_input(rows, cols, nomask, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, cols), dtype=np.float32)
    mask = np.ones(rows, dtype=bool) if nomask else rng.random(rows) < 0.5
    weights = {name: rng.standard_normal(cols, dtype=np.float32) for name in ("norm.scale", "norm.shift")}
    return x, mask, weights, {"cols": cols, "note": "plain values travel too", "nothing": None}

def ref_kernel(data):
    x, mask, weights, config = data
    assert type(config) is dict and config["cols"] == x.shape[1] and config["nothing"] is None
    return np.where(mask[:, None], x * weights["norm.scale"] + weights["norm.shift"], np.float32(0))

def check_implementation(data, output):
    return mismatches(output, ref_kernel(data), TOLERANCE)
"""

UTILS = """
import numpy as np

def mismatches(got, want, tolerance):
    bad = np.argwhere(np.abs(got - want) > tolerance + tolerance * np.abs(want))
    if len(bad) == 0:
        return True, ""
    return False, f"{len(bad)} elements are off, the first at {bad[0].tolist()}"
"""

KERNEL = """
import numpy as np

def custom_kernel(data):
    x, mask, weights, config = data
    return (x * weights["norm.scale"] + weights["norm.shift"]) * mask[:, None].astype(np.float32)
"""

CASES = [
    {"id": "t0", "args": {"rows": 4, "cols": 8, "nomask": True}},
    {"id": "t1", "args": {"rows": 40, "cols": 8, "nomask": False}},
]
BENCHMARKS = [{"id": "b0", "args": {"rows": 64, "cols": 32, "nomask": False}}]


def submission(source: str = KERNEL, **fields: Any) -> dict[str, Any]:
    return {
        "definition": "masked",
        "language": "python",
        "entryPoint": "submission.py::custom_kernel",
        "binding": "python",
        "destinationPassing": False,
        "targetHardware": ["cpu"],
        "dependencies": [],
        "files": [{"path": "submission.py", "content": source}],
        **fields,
    }


def problem(reference: str = REFERENCE, **files: str) -> dict[str, Any]:
    contents = {"reference": reference, "task": "TOLERANCE = 2e-2\n", "utils": UTILS, "eval": "", **files}
    return copy.deepcopy(
        {
            "format": "gpumode",
            "name": "masked",
            "description": "",
            "files": [{"path": f"{name}.py", "content": content} for name, content in contents.items()],
            "tests": CASES,
            "benchmarks": BENCHMARKS,
            "rankingBy": "geom",
            "madeFor": "cpu",
        }
    )


def request(kernel: dict[str, Any], mode: str = "test", asked: dict[str, Any] | None = None) -> dict[str, Any]:
    return request_about(problem() if asked is None else asked, kernel, mode)
