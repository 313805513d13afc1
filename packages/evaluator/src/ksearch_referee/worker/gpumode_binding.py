"""Binding `gpumode`: the code of a GPU MODE problem, `generate_input`, `ref_kernel` and `check_implementation`."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from ksearch_referee import trees
from ksearch_referee.frames import Frame
from ksearch_referee.worker.arrays import Arrays, arrays_of
from ksearch_referee.worker.binding import Arguments
from ksearch_referee.worker.problem_code import ProblemCode
from ksearch_referee.worker.python_binding import load_module


def _takes_seed(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "seed" or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def opinion_of(answer: object) -> tuple[bool, str]:
    """Return whether a check accepts, and what it says.

    The conventions in use: nothing, or an empty text or list, is an acceptance and a text or list of texts the
    complaint; a truth value alone; a truth value and a text.
    """
    if isinstance(answer, tuple):
        accepted, said = cast("tuple[Any, Any]", answer)
        return bool(accepted), str(said or "")
    if answer is None or isinstance(answer, str):
        return not answer, answer or ""
    if isinstance(answer, list):
        return not answer, "; ".join(map(str, cast("list[Any]", answer)))
    return bool(answer), ""


class _GpuModeProblem(ProblemCode):
    def __init__(self, module: Any, arrays: Arrays) -> None:
        seeded = _takes_seed(module.generate_input)

        def make(frame: Frame) -> Any:
            seed = {"seed": frame["seed"]} if seeded else {}
            return module.generate_input(**frame["args"], **seed)

        super().__init__(make, lambda data: [data], module.ref_kernel, arrays)
        self.answers = {**self.answers, "check": self._check}
        self._implementation_check: Callable[[Any, Any], Any] = module.check_implementation

    def _check(self, call: Arguments, _frame: Frame) -> Frame:
        """Have the problem judge an output; both are the driver's copies. One that asserts complains by raising."""
        self.forget()
        (data,) = trees.build(call.arguments, [self.wrapped(value) for value in call.inputs])
        output = trees.build(call.results or {}, [self.wrapped(buffer) for buffer in call.buffers])
        try:
            accepted, said = opinion_of(self._implementation_check(data, output))
        except AssertionError as error:
            accepted, said = False, str(error)
        return {"accepted": accepted, "said": said[:2_000]}


def load(frame: Frame) -> ProblemCode:
    """Load `reference.py` from the folder `root`."""
    module = load_module(Path(frame["root"]), "reference.py", "reference")
    return _GpuModeProblem(module, arrays_of(frame["framework"]))
