"""What the driver needs to know of a problem, whatever its format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ksearch_referee.calls import Outputs, Values
from ksearch_referee.compare import Comparison
from ksearch_referee.cpp_task import CppTask
from ksearch_referee.failures import Guard, KernelFailure
from ksearch_referee.layout import Layout
from ksearch_referee.runner import Runner
from ksearch_referee.side import Side
from ksearch_referee.wire import Kernel
from ksearch_referee.worker_environment import Framework

PYTHON_BEGINNINGS = frozenset({("cpp", "python"), ("python", "python"), ("triton", "python")})
"""How a kernel begins whose arguments are not declared: in Python, which may call what was built beside it."""

GPU_PYTHON_BEGINNINGS = frozenset({("cuda", "python"), ("python", "python"), ("triton", "python")})
"""The same for a GPU."""


@dataclass(frozen=True)
class Case:
    """One set of sizes that kernels are checked and, if `timed`, timed on; verdicts know it by its `id`."""

    id: str
    axes: Mapping[str, int | float | bool | str]
    timed: bool


class Format(Protocol):
    """One problem. The reference's worker is believed; it runs the problem's code, and no kernel's.

    `beginnings` are the (language, binding) pairs in which a kernel for a CPU may be written, `gpu_beginnings` those
    for a GPU. `makes_inputs` says that the problem's own code makes the inputs, `judged_by` what judges an output, if
    not the request's tolerances.
    `cpp` is the problem's own code where that is C++, to be built first; its kernels work on the host's containers.
    `weights`, known after `layouts`, is what a kernel gets when it is loaded.
    """

    name: str
    cases: Sequence[Case]
    beginnings: frozenset[tuple[str, str]]
    gpu_beginnings: frozenset[tuple[str, str]]
    makes_inputs: bool
    judged_by: str
    cpp: CppTask | None
    weights: Layout | None

    @property
    def framework(self) -> Framework:
        """Whose tensors the problem's Python code, and that of its kernels, works with.

        Raises:
            ProblemFault: the problem's code is not Python.
        """
        ...

    def declaration(self, kernel: Kernel) -> str:
        """Return how the entry point of a kernel that begins as this one has to be declared."""
        ...

    def load_reference(self, reference: Runner, rng: np.random.Generator) -> None:
        """Load the problem's code; the same `rng` gives the same weights, where it has any.

        Raises:
            KernelFailure: it does not load.
        """
        ...

    def layouts(self, side: Side, rng: np.random.Generator) -> list[Layout]:
        """Return the memory of every case, in order; the problem's side is loaded and may be asked.

        Raises:
            KernelFailure: the reference fails.
            InputError, DtypeError, ProblemFault: the problem cannot be held in memory.
        """
        ...

    def load_kernel(self, runner: Runner, kernel: Kernel, library: Path | None) -> list[Guard]:
        """Load a kernel, with the shared object that its native sources were built to; return what is to be said of it.

        Raises:
            KernelFailure: `compile_error` when it cannot be loaded, `runtime_error` when that ends the process.
        """
        ...

    def advice(self, failure: KernelFailure, case: int | None) -> str:
        """Return what a problem's author may do about code of theirs that failed, in a case or before; or nothing."""
        ...

    def inputs(self, side: Side, case: int, rng: np.random.Generator) -> Values:
        """Draw the inputs of one call, by the names of the case's layout.

        Raises:
            KernelFailure: the problem's own generator fails.
            InputError: no inputs can be made.
        """
        ...

    def compare(self, side: Side, layout: Layout, values: Values, got: Outputs, want: Outputs) -> Comparison:
        """Compare outputs with the reference's on the same inputs.

        Raises:
            KernelFailure: the problem's own check fails.
        """
        ...
