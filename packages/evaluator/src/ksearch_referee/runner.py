"""The driver's handle on one worker process: start, exchange frames within a deadline, pause, kill.

A worker runs only during an exchange: between two exchanges its whole process group is stopped, so that nothing of one
kernel runs while another is timed. Whatever a worker does (exit, crash, hang, lie) ends as a `KernelFailure`.
"""

import contextlib
import json
import os
import re
import resource
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.arena import Arena
from ksearch_referee.budget import Budget
from ksearch_referee.failures import Guard, KernelFailure, TimeUp, rejected
from ksearch_referee.folders import holds_more, make_folder, remove_folder
from ksearch_referee.frames import ChannelClosed, Frame, FrameInvalid, FrameReader, send_frame
from ksearch_referee.gpus import Gpu
from ksearch_referee.memory import is_shared, read_memory, write_memory
from ksearch_referee.users import lend, spare_user
from ksearch_referee.watchdog import watchdog
from ksearch_referee.wire import Limits
from ksearch_referee.worker_environment import Framework, worker_environment

_MAX_FILE_BYTES = 16 << 20
_MAX_OPEN_FILES = 256
_BOUNDS = {"CORE": [0, 0], "NOFILE": [_MAX_OPEN_FILES] * 2, "FSIZE": [_MAX_FILE_BYTES] * 2}
_MAX_FILES, _MAX_COMPILED_FILES = 1_024, 16_384  # that a worker, or a builder, leaves in its folder
_MAX_FOLDER_BYTES = 1 << 30
_THREAD_BYTES = 80 << 20  # address space that the C library reserves for a thread: a heap of 64 MiB and a stack
_ASLEEP_NS = 100_000  # CPU time between two exchanges: what the last thread still needs in order to stop
_SEND_TIMEOUT_S = 5.0
_EXIT_GRACE_S = 0.5
_STOP_TIMEOUT_S = 1.0
_READ_TIMEOUT_S = 10.0
_SETTLE_S = 100e-6
_WAKE_CPU_NS = 20_000  # what a thread needs to wake up and fall asleep again
_MOST_SPREAD = 4  # threads a CPU
_FLUSH_TIMEOUT_S = 1.0
_MIN_START_S = 20.0
_COUNTED = "ksearch_referee.worker.counted"
_GPU_START_S = 120.0  # torch with CUDA, read from a disk that has not read it yet
_ERROR_KEYS = ("type", "message", "traceback")
_MAX_TOLD_CHARS = 4_000
# What frames of a compiler end in when a worker that is judged wants to start it, or to write to its cache.
_COMPILERS = (
    (
        re.compile(r"/_inductor/.*PermissionError", re.DOTALL),
        "torch.compile starts compilers, and a worker starts no process: write the kernel in Triton or CUDA, or call"
        " torch's own operators",
    ),
    (
        re.compile(r"/triton/.*PermissionError", re.DOTALL),
        "the kernel wanted to compile something that it had not compiled when it was built, and a worker that is judged"
        " starts no compiler. The build calls it on every workload, with other values: what it compiles (constexpr and"
        " specialised arguments, keys of autotune) has to follow from shapes and dtypes alone",
    ),
)


@dataclass(frozen=True)
class Answer:
    """A worker's answer, and how long the worker ran for it.

    `wall_ns` is from before it was let go until it stood still again, `cpu_ns` the CPU time of all its threads.
    `early_cpu_ns` is what they used before that, beyond waking up, though they had been stopped.
    """

    frame: Frame
    wall_ns: int
    cpu_ns: int
    early_cpu_ns: int


def _task_count(pid: int, group: int | None) -> int:
    """Return the number of threads of a process, 0 if it is gone or not of the process group (`proc_pid_stat(5)`)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[17]) if group is None or int(fields[2]) == group else 0


class Runner:
    """One worker. `role` names it in messages: `kernel`, `reference` or `incumbent`.

    `returns_outputs` says that its kernel returns its outputs instead of writing them in place, `keeps_inputs` that its
    inputs lie in memory of its own; whoever loads it sets both. `wakings` counts the exchanges before which it ran
    though it had been stopped.

    Args:
        role: see above.
        framework: whose tensors its code works with.
        limits: of the judgement.
        total: what is left of its time.
        gpu: the GPU that it may use, if any.
        compiled: the folder of what Triton compiles (`compilation.py`): a builder fills it, others only read it.
        builds: whether it is a builder, which may start processes.
        keeps: whether it is the keeper (`keeper.py`).
        under: the command of a profiler that starts it (`ncu.py`), if any does.
    """

    def __init__(
        self,
        role: str,
        framework: Framework,
        limits: Limits,
        total: Budget,
        *,
        gpu: Gpu | None = None,
        compiled: Path | None = None,
        builds: bool = False,
        keeps: bool = False,
        under: Sequence[str] = (),
    ) -> None:
        self.role = role
        self.framework: Framework = framework
        self.gpu = gpu
        self._compiled = compiled
        self._builds = builds
        self.keeps = keeps
        self._under = list(under)
        self.arena = Arena()
        self._user = spare_user(gpu)
        self.folder = make_folder("worker-")
        self.kernel_folder = self.folder / "kernel"
        self.allowance_s = max(_GPU_START_S if gpu else _MIN_START_S, limits["buildMs"] / 1_000)
        self.used_s = 0.0
        self.returns_outputs = False
        self.keeps_inputs = False
        self.wakings = 0
        self._stopped_at_cpu_ns: int | None = None
        self._log_bytes = limits["logBytes"]
        self._memory_mb = limits["memoryMb"]
        self._processes = limits["processes"]
        self._most_tasks: int | None = None
        self._excess: str | None = None
        self._total = total
        self._exit: str | None = None
        self._process = self._start()
        watchdog().guard(self)
        self._pidfd = os.pidfd_open(self.pid)
        self._reader = FrameReader(self._channel, self._pidfd)

    def _start(self) -> subprocess.Popen[bytes]:
        work = self.folder / "work"
        work.mkdir()
        self.kernel_folder.mkdir()
        lend(self.folder, self._user, work)
        if self._builds and self._compiled is not None and self._user is not None:
            os.chown(self._compiled, self._user, self._user)
            self._compiled.chmod(0o755)  # the workers that read it are other users
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(_SEND_TIMEOUT_S)
        module = ["-I", "-B", "-u", "-m", "ksearch_referee.worker"]
        start = {
            "framework": self.framework,
            "capability": self.gpu.capability if self.gpu else None,
            "compiled": str(self._compiled) if self._compiled else None,
            "builds": self._builds,
            "keeps": self.keeps,
            "user": None if self._under else self._user,
            "bounds": _BOUNDS,
            "counted": bool(self._under),
        }
        arguments = [*module, str(theirs.fileno()), str(self.arena.descriptor), json.dumps(start)]
        as_whom = json.dumps({"user": self._user, "bounds": _BOUNDS})
        profiler = [sys.executable, "-I", "-B", "-m", _COUNTED, as_whom, *self._under] if self._under else []
        with theirs, (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                [*profiler, sys.executable, *arguments],
                env=worker_environment(work, self.framework, self.gpu, self._compiled),
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(), self.arena.descriptor),
                start_new_session=True,
            )

    def exchange(self, operation: str, **fields: Any) -> Answer:
        """Ask the worker for one operation and wait for its answer; afterwards its process group is stopped.

        Raises:
            KernelFailure: `runtime_error` or `timeout`; the worker is dead unless the kernel merely raised.
            TimeUp: `limits.totalMs` ran out first.
        """
        nonce = secrets.token_hex(16)
        wait_s = min(self.allowance_s, self._total.remaining_s)
        cpu_ns = self._cpu_ns()
        early_cpu_ns = 0 if self._stopped_at_cpu_ns is None else cpu_ns - self._stopped_at_cpu_ns
        self.wakings += early_cpu_ns > _ASLEEP_NS
        if operation == "go":
            early_cpu_ns += self._wake_apart(cpu_ns)
            cpu_ns = self._cpu_ns()
        started = time.perf_counter_ns()
        self._signal_group(signal.SIGCONT)
        try:
            send_frame(self._channel, {"op": operation, "nonce": nonce, **fields})
            frame = self._reader.read(time.monotonic() + wait_s)
        except ChannelClosed:
            raise self._ended() from None
        except TimeoutError:
            self.used_s += wait_s
            self.close()
            if wait_s < self.allowance_s:
                raise TimeUp from None
            raise KernelFailure("timeout", f"the {self.role} did not answer within {wait_s:.1f} s") from None
        except FrameInvalid as error:
            raise self.forged(str(error)) from None
        self._stop()
        wall_ns = time.perf_counter_ns() - started
        self._stopped_at_cpu_ns = self._cpu_ns()
        cpu_ns = self._stopped_at_cpu_ns - cpu_ns
        self.used_s += wall_ns / 1e9
        self.allowance_s = max(0.0, self.allowance_s - wall_ns / 1e9)
        echoed = frame.get("nonce")
        if not isinstance(echoed, str) or not secrets.compare_digest(echoed.encode("utf-8", "replace"), nonce.encode()):
            raise self.forged("an answer without the nonce of its request")
        if self._reader.pending:
            raise self.forged("bytes that answer no request")
        if "error" in frame:
            raise self._raised(frame["error"])
        return Answer(frame, wall_ns, cpu_ns, early_cpu_ns)

    def ask(self, what: str, **fields: Any) -> Frame:
        """Put a question to what the worker has loaded; it takes nothing off the allowance, and has to fit into it.

        Raises:
            KernelFailure, TimeUp: as `exchange`.
        """
        allowance_s = self.allowance_s
        try:
            return self.exchange("ask", what=what, **fields).frame
        finally:
            self.allowance_s = allowance_s

    def greet(self) -> list[str]:
        """Wait until the worker is up; return the isolation measures that hold for it.

        Raises:
            KernelFailure: it does not start.
        """
        measures: list[str] = self.exchange("hello").frame["isolation"]
        self._most_tasks = len(self.threads) + len(os.sched_getaffinity(0)) + self._processes
        bounds = self._memory_bounds(final=False)
        if self._user is not None:  # the system counts the threads of a user, wherever they are
            bounds["NPROC"] = [self._most_tasks] * 2
        self.exchange("limit", bounds=bounds)
        return ["process", "empty-env", *measures]

    def fit(self, nbytes: int) -> None:
        """Give the arena its size and set the worker's limit of memory for good.

        Called once, before the first call; for a kernel's worker before its kernel is loaded.
        """
        self.arena.fit(nbytes)
        self.exchange("limit", bounds=self._memory_bounds(final=True))
        self.exchange("map")

    def _memory_bounds(self, *, final: bool) -> dict[str, list[int]]:
        """Grant `limits.memoryMb` beside the arena, a pool of threads, and all that a worker holds by itself.

        That is address space; on a GPU, where CUDA reserves hundreds of GiB of it, memory that can be written to.
        """
        if self._memory_mb is None:
            return {}
        kind, column = ("AS", 0) if self.gpu is None else ("DATA", 5)
        held = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[column]) * resource.getpagesize()
        pool = len(os.sched_getaffinity(0)) * _THREAD_BYTES
        granted = held + self.arena.nbytes + (self._memory_mb << 20) + pool
        ceiling = granted if final else resource.getrlimit(getattr(resource, f"RLIMIT_{kind}"))[1]
        return {kind: [granted, ceiling]}

    def read(self, address: int, nbytes: int, *, believed: bool = False) -> NDArray[np.uint8]:
        """Copy bytes out of the memory of the stopped worker, wherever they lie.

        Of one that is believed they may be anybody's: a problem's weights may be mapped from a file.

        Raises:
            KernelFailure: not all of it can be read (`runtime_error`), or it is not the worker's own (`rejected`).
        """
        try:
            with watchdog().over(self.pid, _READ_TIMEOUT_S):
                if not believed and is_shared(self.pid, address, nbytes):
                    raise rejected("X10", f"the {self.role} returned memory that is shared or belongs to a file")
                return read_memory(self.pid, address, nbytes)
        except OSError as error:
            message = f"{nbytes} bytes that the {self.role} returned cannot be read: process_vm_readv: {error.strerror}"
            raise KernelFailure("runtime_error", message) from None

    def write(self, address: int, values: NDArray[np.uint8]) -> None:
        """Copy bytes into the memory of the stopped worker, where it says that they belong.

        Raises:
            KernelFailure: they cannot be written there.
        """
        try:
            with watchdog().over(self.pid, _READ_TIMEOUT_S):
                write_memory(self.pid, address, values)
        except OSError as error:
            message = f"the {self.role}'s inputs cannot be written: process_vm_writev: {error.strerror}"
            raise KernelFailure("runtime_error", message) from None

    @property
    def stages(self) -> bool:
        """Whether its kernel is called on copies of the arena's tensors, in memory of the GPU."""
        return self.framework == "cuda"

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self._exit is not None

    @property
    def threads(self) -> list[int]:
        """Ids of the threads of the worker process."""
        return [int(name) for name in os.listdir(f"/proc/{self.pid}/task")]  # noqa: PTH208 - before a call

    def end_excess(self) -> None:
        """Kill the worker if it has too many threads or files by now; whoever asks it next is told."""
        if self._most_tasks is None or self._exit is not None or self._excess is not None:
            return
        if self._tasks() > self._most_tasks:
            self._excess = (
                f"had more than the {self._most_tasks} threads that it may have: limits.processes is {self._processes}"
            )
        for folder, most_files in self._writable.items():
            if holds_more(folder, most_files, _MAX_FOLDER_BYTES):
                self._excess = f"left more than {most_files} files, or {_MAX_FOLDER_BYTES >> 20} MiB, in its folder"
        if self._excess is not None:
            self._signal_group(signal.SIGKILL)

    @property
    def _writable(self) -> dict[Path, int]:
        """The folders that the worker may write to, each with the number of files that it may hold."""
        compiled = {self._compiled: _MAX_COMPILED_FILES} if self._builds and self._compiled is not None else {}
        return {self.folder / "work": _MAX_FILES, **compiled}

    def _tasks(self) -> int:
        """Return the number of threads of the worker, and of the processes that a builder has started."""
        if not self._builds:
            return _task_count(self.pid, None)
        return sum(_task_count(int(name), self.pid) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208

    def log(self) -> bytes:
        """Return what the worker printed, at most one byte more than `limits.logBytes`."""
        self._flush_log()
        with (self.folder / "log").open("rb") as log:
            return log.read(min(self._log_bytes + 1, os.fstat(log.fileno()).st_size))

    def _flush_log(self) -> None:
        if self._exit is None:
            self.allowance_s = _FLUSH_TIMEOUT_S
            with contextlib.suppress(KernelFailure, TimeUp):
                self.exchange("flush-logs")

    def retire(self) -> None:
        """End the worker before its judgement ends; its log stays."""
        self._flush_log()
        self.close()

    def finish(self, timeout_s: float) -> None:
        """Let the worker end by itself, which it does when its channel closes, and whoever started it after it."""
        self._signal_group(signal.SIGCONT)
        self._channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self.close()

    def close(self) -> None:
        """Kill the worker and all that it started. Idempotent."""
        if self._exit is None:
            watchdog().leave(self)
            self._signal_group(signal.SIGKILL)
            code = self._process.wait()
            self._exit = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
            os.close(self._pidfd)
            self._channel.close()
            self.arena.close()

    def remove(self) -> None:
        """Kill the worker and delete its folder."""
        self.close()
        remove_folder(self.folder)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _wake_apart(self, cpu_ns: int) -> int:
        """Let the threads of a pool wake up on a CPU each and fall asleep again.

        Continued all at once they crowd on one CPU, and a kernel's first wake-up would leave them there. On a GPU they
        only wake up, wherever they are: the thread that launches would start on the CPU that serves interrupts, and
        one call in ten then waited for up to 4 ms (16 CPUs, an H100).

        Args:
            cpu_ns: the worker's CPU time so far.

        Returns:
            what they used beyond what waking up takes, ns; 0 where there is no pool.
        """
        threads = self.threads
        if len(threads) == 1:
            return 0
        cpus = sorted(os.sched_getaffinity(0))
        masks: dict[int, set[int]] = {}
        for index, thread in enumerate(threads[: _MOST_SPREAD * len(cpus)] if self.gpu is None else []):
            with contextlib.suppress(ProcessLookupError):
                mask, cpu = os.sched_getaffinity(thread), cpus[index % len(cpus)]
                if cpu in mask:
                    os.sched_setaffinity(thread, {cpu})
                    masks[thread] = mask
        self._signal_group(signal.SIGCONT)
        time.sleep(_SETTLE_S)
        for thread, mask in masks.items():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, mask)
        return max(0, self._cpu_ns() - cpu_ns - _WAKE_CPU_NS * min(len(threads), len(cpus) + 1))

    def _stop(self) -> None:
        """Stop the worker and wait until every thread of it stands still, or until it is dead.

        Raises:
            KernelFailure: `rejected`; it goes on running.
        """
        with watchdog().over(self.pid, _STOP_TIMEOUT_S) as ended:
            self._signal_group(signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if ended:
            self.close()
            raise rejected("X16", f"the process of the {self.role} does not stand still")

    def _cpu_ns(self) -> int:
        """CPU time of the worker, all threads: the clock that `clock_getcpuclockid(3)` names; 0 once it is gone."""
        try:
            return time.clock_gettime_ns((~self.pid << 3) | 2)
        except OSError:
            return 0

    def _ended(self) -> KernelFailure:
        ended_alone = bool(select.select([self._pidfd], [], [], _EXIT_GRACE_S)[0])
        self.close()
        what = self._excess or (self._exit if ended_alone else "closed its channel to the referee")
        return KernelFailure(
            "runtime_error", f"the process of the {self.role} {what}", self.log()[-2_000:].decode("utf-8", "replace")
        )

    def forged(self, evidence: str) -> KernelFailure:
        """Kill the worker; return the failure of a kernel that wrote to the referee's channel itself."""
        self.close()
        message = f"the process of the {self.role} wrote to the referee's channel: {evidence}"
        return KernelFailure("runtime_error", message, guard=Guard("X29", "warn", message))

    def _raised(self, error: object) -> KernelFailure:
        told = cast("Frame", error) if isinstance(error, dict) else {}
        # Cut before anything looks at them: patterns take a time that grows with the square of a hostile text.
        kind, text, trace = (
            told[key][:_MAX_TOLD_CHARS] if isinstance(told.get(key), str) else "" for key in _ERROR_KEYS
        )
        message = f"the {self.role} raised {kind:.100}: {text:.800}"
        reason = next((reason for frames, reason in _COMPILERS if frames.search(trace)), None)
        if reason is not None:
            message = f"{reason}: {message}"
        return KernelFailure("runtime_error", message, trace, raised=kind or "BaseException")
