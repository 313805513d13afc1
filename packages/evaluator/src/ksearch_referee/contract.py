"""The door of the contract: a request that passes here is well formed, and so is every result that leaves.

The schemas are generated from `packages/domain` and never edited. What zod's refinements say and JSON Schema cannot
(axes that exist, unique paths) is repeated here.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, cast

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match  # pyright: ignore[reportUnknownVariableType]

from ksearch_referee.cpp_task import REFERENCE, TASK
from ksearch_referee.formats import format_of
from ksearch_referee.wire import (
    ExaminationRequest,
    FlashInferProblem,
    GpuModeProblem,
    KernelBenchProblem,
    Problem,
    Request,
)

_SAMPLING = (
    "problems of the family 'sampling' are not judged: a right output is a draw at random, which has to be told from a"
    " wrong one by its distribution over many calls, and this referee compares numbers call by call"
)
_TOLD_CHARS = 240
_FILES = "$.problem.files"
_RUN = re.compile(r"^\s*def\s+run\s*\(", re.MULTILINE)


class RequestInvalid(ValueError):
    """A request that breaks the contract. `path` is where, as a JSON path (`$.problem.workloads[0]`)."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def _is_integer(_checker: Any, value: object) -> bool:
    """Tell whether a value is one; JSON Schema counts 1e12 among them, and no shape can be made of that."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_pattern(_validator: Any, pattern: str, value: object, _schema: Any) -> Iterator[ValidationError]:
    """Check a text against a pattern of JavaScript's, in which `$` is the very end and not before a last new-line."""
    if isinstance(value, str) and re.search(re.sub(r"\$$", r"\\Z", pattern), value) is None:
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_VALIDATOR = cast(
    "Any",
    validators.extend(  # pyright: ignore[reportUnknownMemberType]
        Draft202012Validator,
        {"pattern": _check_pattern},
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
    ),
)


@cache
def _validator(name: str) -> Draft202012Validator:
    text = resources.files("ksearch_referee").joinpath("schemas", f"{name}.schema.json").read_text("utf-8")
    return _VALIDATOR(json.loads(text))


def _first_error(name: str, value: Any) -> tuple[str, str] | None:
    """Return (message, JSON path) of the most telling violation, None when `value` is valid."""
    errors: Iterator[ValidationError] = _validator(name).iter_errors(value)  # pyright: ignore[reportUnknownMemberType]
    try:
        error = cast("ValidationError | None", best_match(errors))
        return None if error is None else (_short(str(error.message)), error.json_path)
    except RecursionError:
        return "it is nested too deeply", "$"


def _short(message: str) -> str:
    """Return a message with its beginning and end: the value comes first, and what is wrong with it last."""
    return message if len(message) <= 2 * _TOLD_CHARS else f"{message[:_TOLD_CHARS]} … {message[-_TOLD_CHARS:]}"


def _flashinfer_faults(problem: FlashInferProblem) -> Iterator[tuple[str, str]]:
    definition = problem["definition"]
    axes = definition["axes"]
    for name, spec in [*definition["inputs"].items(), *definition["outputs"].items()]:
        for axis in spec["shape"] or []:
            if axis not in axes:
                yield f"tensor '{name}' uses the axis '{axis}', which is not defined", "$.problem.definition"
    for name, spec in definition["outputs"].items():
        if name in definition["inputs"]:
            yield f"'{name}' is an input and an output", "$.problem.definition.outputs"
        if spec["shape"] is None:
            yield f"output '{name}' is a scalar; an output is a tensor", "$.problem.definition.outputs"
    if not definition["outputs"]:
        yield "no outputs", "$.problem.definition.outputs"
    if not _RUN.search(definition["reference"]):
        yield "the reference has no top-level function 'run'", "$.problem.definition.reference"
    if definition["op_type"] == "sampling":
        yield _SAMPLING, "$.problem.definition.op_type"
    variable = [axis for axis, spec in axes.items() if spec["type"] == "var"]
    for index, workload in enumerate(problem["workloads"]):
        missing = [f"axis '{axis}'" for axis in variable if axis not in workload["axes"]]
        missing += [f"input '{name}'" for name in definition["inputs"] if name not in workload["inputs"]]
        if missing:
            yield f"workload {workload['uuid']} lacks {', '.join(missing)}", f"$.problem.workloads[{index}]"
    if len({workload["uuid"] for workload in problem["workloads"]}) != len(problem["workloads"]):
        yield "two workloads share a uuid", "$.problem.workloads"


def _gpumode_faults(problem: GpuModeProblem) -> Iterator[tuple[str, str]]:
    contents = {file["path"]: file["content"] for file in problem["files"]}
    references = [name for name in ("reference.py", REFERENCE) if name in contents]
    if len(references) != 1:
        both = f"there is both a reference.py and a {REFERENCE}: leave one out"
        yield both if references else f"there is no file reference.py, nor {REFERENCE}", _FILES
        return
    for name in ("generate_input", "ref_kernel", "check_implementation"):
        pattern = rf"\b{name}\s*\(" if references == [REFERENCE] else rf"^(def\s+{name}\s*\(|{name}\s*=)"
        if re.search(pattern, contents[references[0]], re.MULTILINE) is None:
            yield f"{references[0]} has no top-level '{name}'", _FILES
    if references == [REFERENCE]:
        yield from _cpp_faults(contents)
    ids = [case["id"] for case in [*problem["tests"], *problem["benchmarks"]]]
    twice = [name for index, name in enumerate(ids) if ids.index(name) != index]
    if twice:
        yield f"two cases are called '{twice[0]}'", "$.problem.benchmarks"


def _cpp_faults(contents: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in ("input_t", "output_t"):
        if re.search(rf"\b{name}\b", contents.get(TASK, "")) is None:
            yield f"there is no {TASK} with '{name}': kernels are compiled with it, and without the reference", _FILES
    compiled = next((path for path in contents if path.endswith((".cu", ".cpp", ".cc"))), None)
    if compiled is not None:
        yield f"'{compiled}' would be compiled by itself: a problem's files are headers", _FILES


def _kernelbench_faults(problem: KernelBenchProblem) -> Iterator[tuple[str, str]]:
    wanted = {
        "class Model": r"^class\s+Model\b",
        "function get_inputs": r"^def\s+get_inputs\s*\(",
        "function get_init_inputs": r"^def\s+get_init_inputs\s*\(",
    }
    for what, pattern in wanted.items():
        if re.search(pattern, problem["source"], re.MULTILINE) is None:
            yield f"the source has no top-level {what}", "$.problem.source"


def _problem_faults(problem: Problem) -> Iterator[tuple[str, str]]:
    if problem["format"] == "flashinfer":
        yield from _flashinfer_faults(problem)
    elif problem["format"] == "gpumode":
        yield from _gpumode_faults(problem)
    else:
        yield from _kernelbench_faults(problem)


def _baseline_faults(request: Request) -> Iterator[tuple[str, str]]:
    baseline = request["settings"]["baselineNs"]
    if baseline is None:
        if request["settings"]["aggregate"].endswith("vs_baseline"):
            yield "a score against the baseline needs the baseline's times", "$.settings.aggregate"
        return
    cases = format_of(request["problem"], request["settings"]["correctness"]).cases
    missing = [case.id for case in cases if case.timed and case.id not in baseline]
    if missing:
        yield f"the baseline has no time for {', '.join(missing)}"[:500], "$.settings.baselineNs"


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _not_finite(value: object) -> Iterator[float]:
    """Yield the numbers of a JSON value that are none: no comparison with a bound refuses NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        yield value
    elif isinstance(value, dict):
        yield from (number for part in cast("dict[str, object]", value).values() for number in _not_finite(part))
    elif isinstance(value, list):
        yield from (number for part in cast("list[object]", value) for number in _not_finite(part))


def _number_faults(request: Request | ExaminationRequest) -> Iterator[tuple[str, str]]:
    for number in _not_finite(request["settings"]):
        yield f"{number} is no number that can be compared", "$.settings"
    problem = request["problem"]
    for number in _not_finite(problem["workloads"] if problem["format"] == "flashinfer" else problem):
        yield f"{number} is no number of JSON", "$.problem"


def _faults(request: Request) -> Iterator[tuple[str, str]]:
    yield from _number_faults(request)
    yield from _problem_faults(request["problem"])
    settings = request["settings"]
    yield from _baseline_faults(request)
    lenient = settings["timing"]["inputs"] != "fresh" or settings["correctness"]["checkTimed"] != "all"
    if settings["profile"] == "hardened" and lenient:
        yield "the profile 'hardened' needs fresh inputs, and every timed call checked", "$.settings.profile"
    for role, kernel in (("kernel", request["kernel"]), ("incumbent", request["incumbent"])):
        if kernel and len({file["path"] for file in kernel["files"]}) != len(kernel["files"]):
            yield "file paths are not unique", f"$.{role}.files"
        for index, file in enumerate(kernel["files"] if kernel else []):
            if not file["content"].isascii() and _has_lone_surrogate(file["content"]):
                yield "the content is not valid Unicode", f"$.{role}.files[{index}].content"


def _refuse(fault: tuple[str, str] | None) -> None:
    if fault is not None:
        raise RequestInvalid(*fault)


def parse_request(value: object) -> Request:
    """Check a decoded JSON value against the request contract.

    Raises:
        RequestInvalid: the first fault found.
    """
    _refuse(_first_error("request", value))
    request = cast("Request", value)
    _refuse(next(_faults(request), None))
    return request


def parse_examination_request(value: object) -> ExaminationRequest:
    """Check a decoded JSON value against the contract of a request to examine a problem.

    Raises:
        RequestInvalid: the first fault found.
    """
    _refuse(_first_error("examine", value))
    request = cast("ExaminationRequest", value)
    _refuse(next(_number_faults(request), None))
    _refuse(next(_problem_faults(request["problem"]), None))
    if "baseline" in request and request["problem"]["format"] != "kernelbench":
        _refuse(("a baseline by torch.compile belongs to problems of KernelBench", "$.baseline"))
    return request


def check_result(result: dict[str, Any]) -> None:
    """Check that a result is what the contract promises.

    Raises:
        AssertionError: it is not; a defect of the referee.
    """
    _assert_valid("result", result)


def check_examination(examination: dict[str, Any]) -> None:
    """Check that an examination is what the contract promises.

    Raises:
        AssertionError: it is not; a defect of the referee.
    """
    _assert_valid("examined", examination)


def _assert_valid(name: str, value: dict[str, Any]) -> None:
    error = _first_error(name, value)
    if error is not None:
        raise AssertionError(f"the referee wrote an invalid answer at {error[1]}: {error[0]}")
