"""The state of one judgement: what the phases find out about a kernel."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ksearch_referee.caches import CacheFlush
from ksearch_referee.calls import Clock
from ksearch_referee.digest import Digest
from ksearch_referee.failures import Guard, KernelFailure
from ksearch_referee.nvml import GpuState, Nvml, check_clocks, open_nvml
from ksearch_referee.review import Review
from ksearch_referee.runner import Runner
from ksearch_referee.session import Record, Session
from ksearch_referee.toolchain import Toolchain
from ksearch_referee.wire import Request

Phase = Literal["static", "build", "smoke", "correctness", "timing", "postcheck", "done"]


@dataclass(frozen=True)
class Compiled:
    """The folder of what a kernel's builder compiles, and its archive in the cache; `known` if it came from there."""

    folder: Path
    archive: Path
    known: bool


class Judgement(Session):
    """A session about a kernel. `incumbent` is the one to compare its times with, as long as there is one."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.request = request
        self.phase: Phase = "static"
        self.guards: list[Guard] = []
        self.toolchain: Toolchain | None = None
        self.build_log = ""
        self.build_log_cut = False
        self.build_ms = 0
        self.device_ns = 0
        self.digest: Digest | None = None
        self.incumbent = request["incumbent"] if self.settings["mode"] == "benchmark" else None
        self.clocks: tuple[GpuState, GpuState] | None = None
        self.libraries: dict[str, Path] = {}
        self.compiled: dict[str, Compiled] = {}

    @cached_property
    def flush_caches(self) -> CacheFlush | None:
        """What drives inputs out of the caches before a timed call, when the settings say so."""
        return CacheFlush() if self.settings["timing"]["flushCache"] else None

    @property
    def clock(self) -> Clock:
        """What calls are timed by: published figures of a GPU are by its events."""
        return "events" if self.stages and self.settings["profile"] == "compat" else "host"

    @cached_property
    def nvml(self) -> Nvml | None:
        """What tells of the GPU's clocks, where there is one and this host has NVML."""
        return open_nvml(self.gpu.bus_id) if self.gpu else None

    def note(self, record: Record, guard: Guard | None) -> None:
        """Keep what a guard says of one workload, if it says anything."""
        if guard is not None:
            self.guards.append(Guard(guard.id, guard.level, f"{record.case.id}: {guard.evidence}"))

    def note_clocks(self, before: GpuState, after: GpuState) -> Guard | None:
        """Remember the first and the last look at the GPU; say what is to be said of these two."""
        self.clocks = (self.clocks[0] if self.clocks else before, after)
        return check_clocks(before, after)

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """Threads that check workloads at once. They live as long as the judgement: a worker dies with its thread."""
        return self.cleanup.enter_context(ThreadPoolExecutor(self.settings["parallelWorkloads"]))

    def folder_of(self, role: str) -> Path | None:
        """Return the folder of what a kernel has compiled, None if it compiles nothing while it runs."""
        return self.compiled[role].folder if role in self.compiled else None

    def start_review(self) -> Review:
        """Have the kernel's text reviewed meanwhile; ends with this judgement at the latest."""
        review = Review(self.request["kernel"]["files"])
        self.cleanup.callback(review.close)
        return review

    def pick(self, failures: Sequence[KernelFailure]) -> KernelFailure:
        """Return the failure that the feedback tells first, of several in the order of their workloads."""
        place = int(self.shuffle.integers(len(failures))) if self.settings["feedbackOrder"] == "random" else 0
        return failures[place]

    @property
    def _kernels(self) -> list[Runner]:
        """The candidate's workers, those that have ended too."""
        return [runner for runner in self.runners if runner.role == "kernel"]

    @property
    def kernel_used_s(self) -> float:
        """Seconds that the kernel's workers ran."""
        return sum(runner.used_s for runner in self._kernels)

    def kernel_log(self) -> tuple[str, bool]:
        """Return what the kernel's workers printed, cut to `limits.logBytes`, and whether something was cut."""
        limit = self.settings["limits"]["logBytes"]
        text = b"".join(runner.log() for runner in self._kernels)
        return text[:limit].decode("utf-8", "replace"), len(text) > limit

    def usage(self) -> dict[str, int]:
        """Return the `usage` object of the result; `deviceMs` is what the kernel's own timed calls took."""
        return {
            "queuedMs": round(self.total.queued_s * 1_000),
            "buildMs": self.build_ms,
            "deviceMs": round(self.device_ns / 1e6),
            "wallMs": round(self.total.elapsed_s * 1_000),
        }
