"""KernelBench: one Python file with a module class; a kernel is another module class with the same constructor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from ksearch_referee.calls import Outputs, Values, ask_about
from ksearch_referee.compare import Comparison
from ksearch_referee.cpp_task import CppTask
from ksearch_referee.failures import Guard, KernelFailure
from ksearch_referee.formats.advice import missing_gpu, missing_module, missing_weights
from ksearch_referee.formats.format import GPU_PYTHON_BEGINNINGS, PYTHON_BEGINNINGS, Case
from ksearch_referee.formats.learned import Leaf, Source, read_leaves
from ksearch_referee.frames import Frame
from ksearch_referee.kernels import entry_of
from ksearch_referee.layout import Layout, lay_out
from ksearch_referee.loading import compile_errors, load_module, load_problem
from ksearch_referee.runner import Runner
from ksearch_referee.side import Side
from ksearch_referee.trees import Tree, structure_of
from ksearch_referee.wire import CorrectnessSettings, Kernel, KernelBenchProblem, SourceFile
from ksearch_referee.worker_environment import Framework

_REFERENCE_FILE = "reference.py"
_NAMES_TOLD = 8


class KernelBench:
    """One problem, which is one case. The reference's weights, which follow from a secret seed, go to every kernel."""

    beginnings = PYTHON_BEGINNINGS
    gpu_beginnings = GPU_PYTHON_BEGINNINGS
    framework: Framework = "torch"
    makes_inputs = True
    judged_by = ""
    cpp: CppTask | None = None

    def __init__(self, problem: KernelBenchProblem, correctness: CorrectnessSettings) -> None:
        self._problem = problem
        self._correctness = correctness
        self._source = Source("inputs", spread=True)
        self._construction: dict[str, Any] = {}
        self._weight_values: Values = {}
        self._layouts: list[Layout] = []
        self.weights: Layout | None = None
        self.name = problem["name"]
        self.cases: Sequence[Case] = [Case(self.name, {}, timed=True)]

    def declaration(self, kernel: Kernel) -> str:
        """Return the head of the class."""
        return f"class {entry_of(kernel)[1]}(torch.nn.Module):"

    def load_reference(self, reference: Runner, rng: np.random.Generator) -> None:
        """Load the problem's file and construct its model."""
        self._construction = {"seed": int(rng.integers(1 << 31)), "precision": self._problem["precision"]}
        self._load(reference, compiled=False)

    def load_compiled(self, builder: Runner) -> None:
        """Load the problem with its model by torch's compiler, and the reference's weights, which has been loaded.

        Raises:
            KernelFailure: it does not load.
        """
        self._load(builder, compiled=True)

    def _load(self, runner: Runner, *, compiled: bool) -> None:
        file = SourceFile(path=_REFERENCE_FILE, content=self._problem["source"])
        more = {"file": _REFERENCE_FILE, "compiled": compiled, **self._construction}
        load_problem(runner, [file], binding="kernelbench", **more)

    def layouts(self, side: Side, rng: np.random.Generator) -> list[Layout]:
        """Read the weights, before a call can change them; then have inputs made once."""
        tree: Tree = side.code.ask("weights")["weights"]
        self._keep_weights(tree, read_leaves(side.code, tree, "weights"))
        self._layouts = [self._source.learn(side, rng)]
        return self._layouts

    def _keep_weights(self, tree: Tree, weights: Sequence[Leaf]) -> None:
        if weights:
            arguments = {"list": [structure_of(tree)]}
            self.weights = lay_out([(leaf.name, leaf.tensor) for leaf in weights], [], arguments, results=None)
            self._weight_values = {leaf.name: leaf.value for leaf in weights}

    def load_kernel(self, runner: Runner, kernel: Kernel, library: Path | None) -> list[Guard]:
        """Construct the kernel's class as the reference's was, then set its weights by name."""
        problem = runner.folder / "problem.py"
        problem.write_text(self._problem["source"], "utf-8")
        load_module(
            runner,
            kernel,
            library,
            destination_passing=False,
            binding="kernelbench",
            problem=str(problem),
            **self._construction,
        )
        if self.weights is None:
            return []
        with compile_errors():
            answer = ask_about(runner, "adopt", self.weights, self._weight_values, {}, np.random.default_rng())
        return _weights_guard(answer)

    def advice(self, failure: KernelFailure, case: int | None) -> str:
        """Name a module, a device or weights that are missing."""
        del case
        weights = missing_weights(failure, self._problem["source"])
        return missing_module(failure) or missing_gpu(failure) or weights

    def inputs(self, side: Side, case: int, rng: np.random.Generator) -> Values:
        """Have `get_inputs` make them under a secret seed."""
        return self._source.draw(side, self._layouts[case], rng)

    def compare(self, side: Side, layout: Layout, values: Values, got: Outputs, want: Outputs) -> Comparison:
        """Compare by the request's tolerances."""
        del values
        return side.compare(layout, got, want, self._correctness)


def _named(names: object) -> str:
    """Return some of the names in a worker's answer, which a kernel may have worded."""
    told = [str(name)[:80] for name in cast("list[object]", names)] if isinstance(names, list) else []
    more = f" and {len(told) - _NAMES_TOLD} more" if len(told) > _NAMES_TOLD else ""
    return ", ".join(told[:_NAMES_TOLD]) + more


def _weights_guard(answer: Frame) -> list[Guard]:
    """Say (K05) where the seed alone would not have given a kernel the reference's weights."""
    changed, without = _named(answer.get("changed")), _named(answer.get("without"))
    evidence = [
        f"set by name, since the reference's seed made other values: {changed}" if changed else "",
        f"no weight of that name and shape, so its own stand as the seed made them: {without}" if without else "",
    ]
    return [Guard("K05", "info", "; ".join(filter(None, evidence)))] if changed or without else []
