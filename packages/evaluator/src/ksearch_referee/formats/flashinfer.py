"""FlashInfer-Bench: a definition with named inputs and outputs, whose values the driver itself draws."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ksearch_referee.calls import Outputs, Values
from ksearch_referee.compare import Comparison
from ksearch_referee.cpp_task import CppTask
from ksearch_referee.failures import Guard, KernelFailure
from ksearch_referee.formats.advice import missing_module
from ksearch_referee.formats.definition import c_prototype, extension_module, layout_of
from ksearch_referee.formats.format import Case
from ksearch_referee.inputs import generate_inputs
from ksearch_referee.kernels import entry_of
from ksearch_referee.layout import Layout
from ksearch_referee.loading import framework_of, load_extension, load_library, load_module, load_problem
from ksearch_referee.runner import Runner
from ksearch_referee.side import Side
from ksearch_referee.wire import CorrectnessSettings, FlashInferProblem, Kernel, SourceFile
from ksearch_referee.worker_environment import Framework


class FlashInfer:
    """One definition and its workloads."""

    beginnings = frozenset({("cpp", "c-abi"), ("python", "python"), ("triton", "python")})
    gpu_beginnings = frozenset({("cuda", "c-abi"), ("cuda", "torch"), ("python", "python"), ("triton", "python")})
    makes_inputs = False
    judged_by = ""
    cpp: CppTask | None = None
    weights: Layout | None = None

    def __init__(self, problem: FlashInferProblem, correctness: CorrectnessSettings) -> None:
        self._definition = problem["definition"]
        self._workloads = problem["workloads"]
        self._correctness = correctness
        self.name = self._definition["name"]
        self.cases: Sequence[Case] = [Case(w["uuid"], w["axes"], timed=True) for w in self._workloads]

    @property
    def framework(self) -> Framework:
        """What the reference imports."""
        return framework_of([self._definition["reference"]])

    def declaration(self, kernel: Kernel) -> str:
        """Return the C prototype, the module of an extension, or the head of the Python function."""
        _, symbol = entry_of(kernel)
        if kernel["binding"] == "c-abi":
            return c_prototype(self._definition, symbol)
        if kernel["binding"] == "torch":
            return extension_module(symbol, self._names(kernel))
        return f"def {symbol}({', '.join(self._names(kernel))}):"

    def _names(self, kernel: Kernel) -> list[str]:
        """Return what a kernel's arguments are called: the inputs, and the outputs where it fills them."""
        return [*self._definition["inputs"], *(self._definition["outputs"] if kernel["destinationPassing"] else [])]

    def load_reference(self, reference: Runner, rng: np.random.Generator) -> None:
        """Load the definition's reference."""
        del rng
        file = SourceFile(path="reference.py", content=self._definition["reference"])
        load_problem(reference, [file], binding="python", file=file["path"], symbol="run", destinationPassing=False)

    def layouts(self, side: Side, rng: np.random.Generator) -> list[Layout]:
        """Return what the definition says of every workload."""
        del side, rng
        return [layout_of(self._definition, workload) for workload in self._workloads]

    def load_kernel(self, runner: Runner, kernel: Kernel, library: Path | None) -> list[Guard]:
        """Load a function of a shared object, of a torch extension, or of Python."""
        if library is not None and kernel["binding"] == "torch":
            load_extension(runner, kernel, library, self._names(kernel), self.declaration(kernel))
        elif library is not None and kernel["binding"] == "c-abi":
            scalars = [spec["dtype"] for spec in self._definition["inputs"].values() if spec["shape"] is None]
            load_library(runner, kernel, library, scalars, self.declaration(kernel))
        else:
            fills, names = kernel["destinationPassing"], self._names(kernel)
            load_module(runner, kernel, library, binding="python", destination_passing=fills, names=names)
        return []

    def advice(self, failure: KernelFailure, case: int | None) -> str:
        """Suspect indices that are drawn at random."""
        sources = self._workloads[case]["inputs"] if case is not None else {}
        integers = [
            name
            for name, spec in self._definition["inputs"].items()
            if spec["dtype"].startswith("int") and name in sources and sources[name]["type"] == "random"
        ]
        if not integers:
            return missing_module(failure)
        drawn = f"{', '.join(integers)}: integers drawn from -1024 to 1023"
        return f"{drawn}; an index needs a source 'synthetic' or 'captured'"

    def inputs(self, side: Side, case: int, rng: np.random.Generator) -> Values:
        """Draw the inputs by the workload's sources."""
        del side
        return generate_inputs(self._definition, self._workloads[case], rng)

    def compare(self, side: Side, layout: Layout, values: Values, got: Outputs, want: Outputs) -> Comparison:
        """Compare by the request's tolerances."""
        del values
        return side.compare(layout, got, want, self._correctness)
