"""GPU MODE: files that make inputs, compute the reference and judge an output, all in the reference's worker."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ksearch_referee.calls import Outputs, Values, ask_about
from ksearch_referee.compare import Comparison
from ksearch_referee.cpp_task import CppTask
from ksearch_referee.dtypes import DtypeError
from ksearch_referee.failures import Guard, InputError, KernelFailure, ProblemFault
from ksearch_referee.formats.advice import missing_cuda, missing_gpu, missing_module
from ksearch_referee.formats.definition import extension_module
from ksearch_referee.formats.format import GPU_PYTHON_BEGINNINGS, PYTHON_BEGINNINGS, Case
from ksearch_referee.formats.learned import Source
from ksearch_referee.kernels import entry_of
from ksearch_referee.layout import Layout
from ksearch_referee.loading import framework_of, load_containers, load_extension, load_module, load_problem, load_task
from ksearch_referee.runner import Runner
from ksearch_referee.side import Side
from ksearch_referee.wire import CorrectnessSettings, GpuModeProblem, Kernel
from ksearch_referee.worker_environment import Framework

_KEPT_FROM_KERNELS = ("reference.py", "eval.py")


class GpuMode:
    """One problem; its tests are checked, its benchmarks checked and timed."""

    beginnings = PYTHON_BEGINNINGS
    gpu_beginnings = GPU_PYTHON_BEGINNINGS | {("cuda", "torch")}
    makes_inputs = True
    judged_by = "the problem's own check"
    cpp: CppTask | None = None
    weights: Layout | None = None

    def __init__(self, problem: GpuModeProblem, correctness: CorrectnessSettings) -> None:
        self._problem = problem
        self._correctness = correctness
        self._source = Source("data", spread=False)
        self._layouts: list[Layout] = []
        self.name = problem["name"]
        tests = [Case(case["id"], case["args"], timed=False) for case in problem["tests"]]
        benchmarks = [Case(case["id"], case["args"], timed=True) for case in problem["benchmarks"]]
        self.cases: Sequence[Case] = [*tests, *benchmarks]

    @property
    def framework(self) -> Framework:
        """What any of the problem's files imports."""
        return framework_of([file["content"] for file in self._problem["files"] if file["path"].endswith(".py")])

    def declaration(self, kernel: Kernel) -> str:
        """Return the head of the function, or the module of an extension."""
        _, symbol = entry_of(kernel)
        return extension_module(symbol, ()) if kernel["binding"] == "torch" else f"def {symbol}(data):"

    def load_reference(self, reference: Runner, rng: np.random.Generator) -> None:
        """Load the problem's files."""
        del rng
        load_problem(reference, self._problem["files"], binding="gpumode")

    def layouts(self, side: Side, rng: np.random.Generator) -> list[Layout]:
        """Have every case made once."""
        self._layouts = [self._learn(side, rng, case) for case in self.cases]
        return self._layouts

    def _learn(self, side: Side, rng: np.random.Generator, case: Case) -> Layout:
        try:
            return self._source.learn(side, rng, args=dict(case.axes))
        except KernelFailure as failure:
            failure.message = f"case {case.id}: {failure.message}"
            raise
        except (InputError, DtypeError, ProblemFault) as error:
            raise ProblemFault(f"case {case.id}: {error}") from None

    def load_kernel(self, runner: Runner, kernel: Kernel, library: Path | None) -> list[Guard]:
        """Load the function, with the problem's modules in reach as far as a submission may use them."""
        if library is not None and kernel["binding"] == "torch":
            load_extension(runner, kernel, library, None, self.declaration(kernel))
            return []
        beside = [file for file in self._problem["files"] if file["path"] not in _KEPT_FROM_KERNELS]
        load_module(runner, kernel, library, binding="python", destination_passing=False, beside=beside)
        return []

    def advice(self, failure: KernelFailure, case: int | None) -> str:
        """Name a module or a device that is missing."""
        del case
        return missing_module(failure) or missing_gpu(failure)

    def inputs(self, side: Side, case: int, rng: np.random.Generator) -> Values:
        """Have `generate_input` make them from a secret seed."""
        return self._source.draw(side, self._layouts[case], rng, args=dict(self.cases[case].axes))

    def compare(self, side: Side, layout: Layout, values: Values, got: Outputs, want: Outputs) -> Comparison:
        """Ask the problem's own check; beside it, non-finite elements have to agree. Our tolerances only describe."""
        found = side.compare(layout, got, want, self._correctness)
        if not found.finite_alike:
            found.correct = False
            return found
        asked = side.held(layout, got) or got
        answer = ask_about(side.code, "check", layout, values, asked, np.random.default_rng())
        found.correct = bool(answer["accepted"])
        if found.correct:
            found.bad = []
        else:
            found.complaint = str(answer["said"]) or "the problem's check refuses it"
        return found


class CppGpuMode(GpuMode):
    """A problem whose code is C++, and so are its kernels: `custom_kernel` takes and returns the task's containers."""

    beginnings = frozenset({("cpp", "c++")})
    gpu_beginnings = frozenset({("cuda", "c++")})

    def __init__(self, problem: GpuModeProblem, correctness: CorrectnessSettings) -> None:
        super().__init__(problem, correctness)
        self._task = CppTask(problem["files"])
        self.cpp = self._task

    @property
    def framework(self) -> Framework:
        """None of torch's: the workers' Python only hands containers on."""
        return "numpy"

    def declaration(self, kernel: Kernel) -> str:
        """Return the declaration that our call of the kernel is compiled with."""
        return f"output_t {entry_of(kernel)[1]}(input_t data);"

    def load_reference(self, reference: Runner, rng: np.random.Generator) -> None:
        """Load the problem's library."""
        del rng
        if self._task.built is None:
            raise RuntimeError("a problem in C++ was to be loaded before it was built")
        load_task(reference, self._task.built)

    def advice(self, failure: KernelFailure, case: int | None) -> str:
        """Say that code is CUDA's where a CPU judges."""
        del case
        return missing_cuda(failure)

    def load_kernel(self, runner: Runner, kernel: Kernel, library: Path | None) -> list[Guard]:
        """Load the kernel's library."""
        if library is None:
            raise KernelFailure("compile_error", "there is nothing to build")
        load_containers(runner, kernel, library, self.declaration(kernel))
        return []
