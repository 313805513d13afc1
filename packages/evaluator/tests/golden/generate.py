"""Writes the golden files beside it: requests of every format, and the results that the referee gives.

Their names are format and status, and `compat` where that is the profile. In `tests`: `python -m golden.generate`, with
torch, after a change of the contract. Python's tests hold the referee to status, phase and guards of each, TypeScript's
parse both and make traces and scores of them. What a host says of itself is replaced.
"""

import copy
import json
import re
from pathlib import Path
from typing import Any

import affine
import blended
import layers
import masked

from ksearch_referee.driver import judge

FOLDER = Path(__file__).parent

_ENV: dict[str, Any] = {
    **{"gpu": None, "gpuCount": 0, "cpu": "a processor", "cpuCount": 2, "os": "Linux", "python": "3.12.0"},
    **{"numpy": "2.4.6", "torch": None, "compiler": "g++", "compilerFlags": ["-O3"]},
    **{"isolation": ["process", "empty-env", "rlimits"]},
}

AFFINE = {
    "passed": affine.PYTHON,
    "compile_error": affine.PYTHON + "def broken(:\n    pass\n",
    "incorrect_shape": affine.PYTHON.replace("x * ", "x[:1] * "),
    "incorrect_dtype": affine.PYTHON.replace("np.float32(1)", "np.float64([1])"),
    "incorrect_numerical": affine.PYTHON.replace("np.float32(1)", "np.float32(2)"),
    "runtime_error": affine.PYTHON.replace("return x", "return x.nope"),
    "timeout": affine.PYTHON.replace("    return", "    while True:\n        pass\n    return"),
    "rejected": affine.PYTHON.replace("    return", "    x *= 1\n    x += 1\n    return"),
}
MASKED = {
    "passed": masked.KERNEL,
    "compile_error": masked.KERNEL.replace("custom_kernel", "other_kernel"),
    "incorrect_shape": masked.KERNEL.replace("return (x", "return (x[:2]").replace("* mask", "* mask[:2]"),
    "incorrect_dtype": masked.KERNEL.replace("astype(np.float32)", "astype(np.float64)"),
    "incorrect_numerical": masked.KERNEL.replace(" * mask[:, None].astype(np.float32)", ""),
    "runtime_error": masked.KERNEL.replace("config = data", "config = data[:3]"),
    "timeout": masked.KERNEL.replace("    return", "    while True:\n        pass\n    return"),
    "rejected": masked.KERNEL.replace("    return", "    x += 1\n    return"),
}
LAYERS = {
    "passed": layers.KERNEL,
    "compile_error": layers.KERNEL.replace("ModelNew", "Model"),
    "incorrect_shape": layers.KERNEL.replace("keep[:, None]", "keep[:, None, None]"),
    "incorrect_dtype": layers.KERNEL.replace("keep[:, None]", "keep[:, None].double()"),
    "incorrect_numerical": layers.KERNEL.replace("min=-0.5", "min=0.5"),
    "runtime_error": layers.KERNEL.replace("self.linear(x)", "self.linear(x.T)"),
    "timeout": layers.KERNEL.replace("        return", "        while True:\n            pass\n        return"),
    "rejected": layers.KERNEL.replace("        return", "        keep.zero_()\n        return"),
}
BLENDED = {
    "passed": blended.KERNEL,
    "compile_error": blended.KERNEL.replace("factor", "faktor"),
    "incorrect_numerical": blended.KERNEL.replace("+=", "-="),
}
_FAULTY = ("return", "raise ValueError('no reference')\n    return")


def _compat(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request for figures as they are published."""
    made = copy.deepcopy(request)
    made["settings"] |= {"profile": "compat", "mode": "benchmark"}
    made["settings"]["correctness"] |= {"checkTimed": "none"}
    made["settings"]["timing"] |= {"inputs": "same", "statistic": "mean"}
    return made


def requests() -> dict[str, dict[str, Any]]:
    """Return the requests by the names of their files."""
    made = {
        **{f"flashinfer-{status}": affine.request(affine.python(code), sizes=(2,)) for status, code in AFFINE.items()},
        **{f"gpumode-{status}": masked.request(masked.submission(code)) for status, code in MASKED.items()},
        **{f"gpumode_cpp-{status}": blended.request(blended.submission(code)) for status, code in BLENDED.items()},
        **{f"kernelbench-{status}": layers.request(layers.model_new(code)) for status, code in LAYERS.items()},
    }
    made["flashinfer-passed"]["settings"]["mode"] = "benchmark"
    faulty = affine.request(affine.python(), sizes=(2,))
    definition = faulty["problem"]["definition"]
    definition["reference"] = definition["reference"].replace(*_FAULTY)
    made["flashinfer-infra_error"] = faulty
    made["gpumode-infra_error"] = masked.request(
        masked.submission(), asked=masked.problem(masked.REFERENCE.replace("return x, mask", "raise ValueError('no')"))
    )
    made["kernelbench-infra_error"] = layers.request(
        layers.model_new(), asked=layers.problem(layers.PROBLEM.replace("return self.norm", "return self.nope"))
    )
    for format_name in ("flashinfer", "gpumode", "kernelbench"):
        made[f"{format_name}-passed-compat"] = _compat(made[f"{format_name}-passed"])
    for name, request in made.items():
        request["requestId"] = f"golden/{name}"
        request["settings"]["correctness"]["trials"] = 1
        if name.endswith("timeout"):
            request["settings"]["limits"]["workloadMs"] = 1_500
    return made


def main() -> None:
    """Judge every request and write it with its result."""
    for name, request in requests().items():
        result = judge(request)
        if result["status"] != name.split("-")[1]:
            raise SystemExit(f"{name}: {result['status']}: {result['logs']['feedback']}")
        result["env"] = {**result["env"], **_ENV}
        result["usage"] = dict.fromkeys(result["usage"], 1)
        text = json.dumps({"request": request, "result": result}, indent=1, ensure_ascii=False)
        text = re.sub(r'(?<=File \\")/[^"\\]*/', "", text)
        foreign = [part for part in ("/tmp/", "/root/", "/home/", str(FOLDER)) if part in text]
        if foreign:
            raise SystemExit(f"{name} tells of this host: {foreign}")
        (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
