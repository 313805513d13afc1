"""The state of one problem before the driver: what is fixed at its start, and what must be cleaned up."""

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ksearch_referee.budget import Budget
from ksearch_referee.build import Build
from ksearch_referee.compare import Comparison
from ksearch_referee.cpp_task import CppTask
from ksearch_referee.cuda_toolchain import find_cuda_toolchain
from ksearch_referee.environment import cache_folder
from ksearch_referee.formats import Case, format_of
from ksearch_referee.gpus import Gpu, visible_gpu
from ksearch_referee.layout import Layout
from ksearch_referee.locks import TimingSlot
from ksearch_referee.measures import PARCELS
from ksearch_referee.roofline import Roofline, least
from ksearch_referee.runner import Runner
from ksearch_referee.toolchain import Toolchain, find_toolchain
from ksearch_referee.wire import ExaminationRequest, Request
from ksearch_referee.worker_environment import Framework

Purpose = Literal[
    "smoke",
    "correctness",
    "warmup",
    "timing",
    "postcheck",
    "poison",
    "bootstrap",
    "order",
    "weights",
    "learn",
    "compile",
    "device",
    "digest",
]

_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@dataclass
class Times:
    """Timed calls of the three kernels on one workload, ns, in order of iteration.

    `added_ns` is what kernel and incumbent together did not claim of a call, and what was added for that.
    """

    kernel: list[int] = field(default_factory=list[int])
    reference: list[int] = field(default_factory=list[int])
    incumbent: list[int] = field(default_factory=list[int])
    added_ns: int = 0


@dataclass
class Record:
    """What is known of one case. Its layout is set when the reference has been loaded.

    `times` are the host's, `device` the GPU's own; of a kernel that the latter say nothing of, they are empty.
    `roofline` is what all timed calls have in common, None where there is no formula. `undercut_ns` is by how much a
    forged claim could have made `times` too short (`guards.undercut_ns`), None where that has no bound.
    """

    index: int
    case: Case
    layout: Layout = field(init=False)
    status: str = "not_run"
    comparison: Comparison | None = None
    trials: int = 0
    checked_timed: int = 0
    times: Times | None = None
    device: Times | None = None
    roofline: Roofline | None = None
    undercut_ns: int | None = None

    def note_roofline(self, line: Roofline | None) -> None:
        """Take into account what one more call needs at least."""
        if line is not None:
            self.roofline = line if self.roofline is None else least(self.roofline, line)


class Session:
    """One problem in hand. Closing it kills every process and deletes every folder that it made.

    `arena_bytes` is what the largest workload takes, 0 until that is known; `shares_memory` says that workers can open
    the keeper's memory of the GPU.
    """

    def __init__(self, request: Request | ExaminationRequest) -> None:
        self.settings = request["settings"]
        self.device = request["device"]
        self.problem = format_of(request["problem"], self.settings["correctness"])
        self.seed = secrets.token_hex(16)
        self.shuffle = self.rng("order")
        self.total = Budget(self.settings["limits"]["totalMs"])
        self.records = [Record(index, case) for index, case in enumerate(self.problem.cases)]
        self.isolation: list[str] = []
        self.runners: list[Runner] = []
        self.arena_bytes = 0
        self.shares_memory = False
        self.cleanup = ExitStack()

    @cached_property
    def gpu(self) -> Gpu | None:
        """The GPU of this host, where the request wants one; the first to ask looks for it."""
        return None if self.device == "cpu" else visible_gpu()

    @property
    def measures(self) -> list[str]:
        """The isolation measures that hold for kernels here."""
        return [*self.isolation, *([PARCELS] if self.shares_memory else [])]

    @property
    def used_gpu(self) -> Gpu | None:
        """The GPU, if anything has asked for it: what is refused by its text alone never touches one."""
        return vars(self).get("gpu")

    @cached_property
    def slot(self) -> TimingSlot:
        """The timing slot of this device."""
        return TimingSlot(cache_folder() / "locks", self.device)

    def floor_ns(self, record: Record) -> int | None:
        """Return the time below which no call of a workload is believed: on a GPU whose cache is flushed before it."""
        if record.roofline is None or self.gpu is None or not self.settings["timing"]["flushCache"]:
            return None
        return record.roofline.floor_ns(self.gpu.name) or None

    def rng(self, purpose: Purpose, workload: int = 0, trial: int = 0) -> np.random.Generator:
        """Return the generator of one purpose, workload and trial; nothing of it is told to a worker."""
        key = (_PURPOSES.index(purpose), workload, trial)
        return np.random.default_rng(np.random.SeedSequence(int(self.seed, 16), spawn_key=key))

    @property
    def stages(self) -> bool:
        """Whether kernels get their tensors in memory of a GPU: those of a problem in C++ copy containers there."""
        return self.gpu is not None and self.problem.cpp is None

    def toolchain_for(self, *, torch: bool) -> Toolchain:
        """Return what compiles for this device, extensions of torch too if asked for.

        Raises:
            InfraError: this host does not have it.
        """
        return find_toolchain() if self.gpu is None else find_cuda_toolchain(self.gpu, torch=torch)

    def build_task(self, task: CppTask) -> None:
        """Build the problem's own code in C++, the first time.

        Raises:
            KernelFailure: it does not build.
            InfraError: this host has no compiler.
            TimeUp: `limits.totalMs` ran out.
        """
        if task.built is not None:
            return
        sources = task.library("cpp" if self.gpu is None else "cuda")
        build = Build(sources, self.toolchain_for(torch=False), cache_folder(), self.settings["limits"])
        self.cleanup.callback(build.close)
        task.built = build.wait(self.total)

    @property
    def reference_framework(self) -> Framework:
        """Whose tensors the problem's code works with here: torch's are on the device, numpy's on the CPU.

        Raises:
            ProblemFault: it is not Python.
        """
        framework = self.problem.framework
        return "cuda" if self.gpu is not None and framework == "torch" else framework

    def start_worker(
        self,
        role: str,
        framework: Framework,
        *,
        compiled: Path | None = None,
        builds: bool = False,
        keeps: bool = False,
        under: Sequence[str] = (),
    ) -> Runner:
        """Start a worker, one of `runners`, which ends with this session at the latest; see `Runner`."""
        limits = self.settings["limits"]
        runner = Runner(
            role,
            framework,
            limits,
            self.total,
            gpu=self.gpu,
            compiled=compiled,
            builds=builds,
            keeps=keeps,
            under=under,
        )
        self.cleanup.callback(runner.remove)
        self.runners.append(runner)
        return runner
