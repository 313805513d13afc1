"""The state of one judgement: what is fixed at its start, what the phases find out, and what must be cleaned up."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from ksearch_referee.budget import Budget
from ksearch_referee.caches import CacheFlush
from ksearch_referee.compare import Comparison
from ksearch_referee.environment import cache_folder
from ksearch_referee.failures import Guard
from ksearch_referee.locks import TimingSlot
from ksearch_referee.problem import Layout, layout_of
from ksearch_referee.runner import Runner
from ksearch_referee.toolchain import Toolchain
from ksearch_referee.wire import Definition, Request, Workload

Phase = Literal["static", "build", "smoke", "correctness", "timing", "postcheck", "done"]
Purpose = Literal["smoke", "correctness", "warmup", "timing", "postcheck", "poison", "bootstrap", "order"]
GenerateInputs = Callable[[Definition, Workload, np.random.Generator], Mapping[str, Any]]

_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@dataclass
class Times:
    """Timed calls of the three kernels on one workload, ns, in order of iteration."""

    kernel: list[int] = field(default_factory=list[int])
    reference: list[int] = field(default_factory=list[int])
    incumbent: list[int] = field(default_factory=list[int])


@dataclass
class Record:
    """What is known of one workload."""

    index: int
    workload: Workload
    layout: Layout
    status: str = "not_run"
    comparison: Comparison | None = None
    trials: int = 0
    checked_timed: int = 0
    times: Times | None = None


class Session:
    """One judgement in progress. Closing it kills every process and deletes every folder that it made."""

    def __init__(self, request: Request, generate_inputs: GenerateInputs) -> None:
        self.request = request
        self.definition = request["problem"]["definition"]
        self.settings = request["settings"]
        self.seed = secrets.token_hex(16)
        self.shuffle = self.rng("order")
        self.total = Budget(self.settings["limits"]["totalMs"])
        self.phase: Phase = "static"
        self.guards: list[Guard] = []
        self.records: list[Record] = []
        self.toolchain: Toolchain | None = None
        self.isolation: list[str] = []
        self.build_log = ""
        self.build_log_cut = False
        self.build_ms = 0
        self.device_ns = 0
        self.kernel: Runner | None = None
        self.cleanup = ExitStack()
        self._generate = generate_inputs

    @cached_property
    def slot(self) -> TimingSlot:
        """The timing slot of this device."""
        return TimingSlot(cache_folder() / "locks", self.request["device"])

    @cached_property
    def flush_caches(self) -> CacheFlush | None:
        """What drives inputs out of the caches before a timed call, when the settings say so."""
        return CacheFlush() if self.settings["timing"]["flushCache"] else None

    def lay_out(self) -> None:
        """Lay every workload out in memory.

        Raises:
            DtypeError: a tensor's dtype is not supported.
        """
        workloads = self.request["problem"]["workloads"]
        self.records = [Record(i, w, layout_of(self.definition, w)) for i, w in enumerate(workloads)]

    def rng(self, purpose: Purpose, workload: int = 0, trial: int = 0) -> np.random.Generator:
        """Return the generator of one purpose, workload and trial; nothing of it is told to a worker."""
        key = (_PURPOSES.index(purpose), workload, trial)
        return np.random.default_rng(np.random.SeedSequence(int(self.seed, 16), spawn_key=key))

    def inputs(self, record: Record, purpose: Purpose, trial: int = 0) -> Mapping[str, Any]:
        """Draw the inputs of one call."""
        return self._generate(self.definition, record.workload, self.rng(purpose, record.index, trial))

    def start_worker(self, role: str) -> Runner:
        """Start a worker whose arena holds the largest workload."""
        nbytes = max(record.layout.nbytes for record in self.records)
        runner = Runner(role, nbytes, self.settings["limits"], self.total)
        self.cleanup.callback(runner.remove)
        return runner

    def usage(self) -> dict[str, int]:
        """Return the `usage` object of the result; `deviceMs` is what the kernel's own timed calls took."""
        return {
            "queuedMs": round(self.total.queued_s * 1_000),
            "buildMs": self.build_ms,
            "deviceMs": round(self.device_ns / 1e6),
            "wallMs": round(self.total.elapsed_s * 1_000),
        }
