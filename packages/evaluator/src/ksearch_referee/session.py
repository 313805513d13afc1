"""The state of one judgement: what is fixed at its start, what the phases find out, and what must be cleaned up."""

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ksearch_referee.budget import Budget
from ksearch_referee.caches import CacheFlush
from ksearch_referee.compare import Comparison
from ksearch_referee.environment import cache_folder
from ksearch_referee.failures import Guard, KernelFailure
from ksearch_referee.formats import Case, format_of
from ksearch_referee.layout import Layout
from ksearch_referee.locks import TimingSlot
from ksearch_referee.runner import Framework, Runner
from ksearch_referee.toolchain import Toolchain
from ksearch_referee.wire import Request

Phase = Literal["static", "build", "smoke", "correctness", "timing", "postcheck", "done"]
Purpose = Literal[
    "smoke", "correctness", "warmup", "timing", "postcheck", "poison", "bootstrap", "order", "weights", "learn"
]

_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@dataclass
class Times:
    """Timed calls of the three kernels on one workload, ns, in order of iteration."""

    kernel: list[int] = field(default_factory=list[int])
    reference: list[int] = field(default_factory=list[int])
    incumbent: list[int] = field(default_factory=list[int])


@dataclass
class Record:
    """What is known of one case. Its layout is set when the reference has been loaded."""

    index: int
    case: Case
    layout: Layout = field(init=False)
    status: str = "not_run"
    comparison: Comparison | None = None
    trials: int = 0
    checked_timed: int = 0
    times: Times | None = None


class Session:
    """One judgement in progress. Closing it kills every process and deletes every folder that it made."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.settings = request["settings"]
        self.problem = format_of(request["problem"], self.settings["correctness"])
        self.seed = secrets.token_hex(16)
        self.shuffle = self.rng("order")
        self.total = Budget(self.settings["limits"]["totalMs"])
        self.phase: Phase = "static"
        self.guards: list[Guard] = []
        self.records = [Record(index, case) for index, case in enumerate(self.problem.cases)]
        self.toolchain: Toolchain | None = None
        self.isolation: list[str] = []
        self.build_log = ""
        self.build_log_cut = False
        self.build_ms = 0
        self.device_ns = 0
        self.incumbent = request["incumbent"] if self.settings["mode"] == "benchmark" else None
        self.kernels: list[Runner] = []
        self.libraries: dict[str, Path] = {}
        self.arena_bytes = 0
        self.cleanup = ExitStack()

    @cached_property
    def slot(self) -> TimingSlot:
        """The timing slot of this device."""
        return TimingSlot(cache_folder() / "locks", self.request["device"])

    @cached_property
    def flush_caches(self) -> CacheFlush | None:
        """What drives inputs out of the caches before a timed call, when the settings say so."""
        return CacheFlush() if self.settings["timing"]["flushCache"] else None

    def rng(self, purpose: Purpose, workload: int = 0, trial: int = 0) -> np.random.Generator:
        """Return the generator of one purpose, workload and trial; nothing of it is told to a worker."""
        key = (_PURPOSES.index(purpose), workload, trial)
        return np.random.default_rng(np.random.SeedSequence(int(self.seed, 16), spawn_key=key))

    def start_worker(self, role: str, framework: Framework) -> Runner:
        """Start a worker, which ends with this judgement at the latest."""
        runner = Runner(role, framework, self.settings["limits"], self.total)
        self.cleanup.callback(runner.remove)
        if role == "kernel":
            self.kernels.append(runner)
        return runner

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """Threads that check workloads at once. They live as long as the judgement: a worker dies with its thread."""
        return self.cleanup.enter_context(ThreadPoolExecutor(self.settings["parallelWorkloads"]))

    def pick(self, failures: Sequence[KernelFailure]) -> KernelFailure:
        """Return the failure that the feedback tells first, of several in the order of their workloads."""
        place = int(self.shuffle.integers(len(failures))) if self.settings["feedbackOrder"] == "random" else 0
        return failures[place]

    @property
    def kernel_used_s(self) -> float:
        """Seconds that the kernel's workers ran."""
        return sum(runner.used_s for runner in self.kernels)

    def kernel_log(self) -> tuple[str, bool]:
        """Return what the kernel's workers printed, cut to `limits.logBytes`, and whether something was cut."""
        limit = self.settings["limits"]["logBytes"]
        text = b"".join(runner.log() for runner in self.kernels)
        return text[:limit].decode("utf-8", "replace"), len(text) > limit

    def usage(self) -> dict[str, int]:
        """Return the `usage` object of the result; `deviceMs` is what the kernel's own timed calls took."""
        return {
            "queuedMs": round(self.total.queued_s * 1_000),
            "buildMs": self.build_ms,
            "deviceMs": round(self.device_ns / 1e6),
            "wallMs": round(self.total.elapsed_s * 1_000),
        }
