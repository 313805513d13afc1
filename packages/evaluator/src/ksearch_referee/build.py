"""Builds of kernels and problems in C++ and CUDA: confined compilers, in a private folder, with a cache by content.

They are started at once and waited for later, so that the reference can start meanwhile. A cached object is named by
all that it was made from: sources, flags (a GPU's architecture is one), versions of compilers and torch, CPU, referee.
It is written by an atomic rename; beside it lie its own digest and what the compiler said. An object that is not what
was written, or lies where others may write, is built anew; those used longest ago go when there are too many.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from ksearch_referee import __version__
from ksearch_referee.budget import Budget
from ksearch_referee.cached_files import is_ours_alone, mark_used, put, trim
from ksearch_referee.cpp_task import authored
from ksearch_referee.diagnostics import first_error
from ksearch_referee.failures import KernelFailure, TimeUp
from ksearch_referee.folders import make_folder, remove_folder
from ksearch_referee.kernels import native_suffixes, write_files
from ksearch_referee.toolchain import Toolchain, compiler_environment, cpu_identity
from ksearch_referee.users import lend, spare_user
from ksearch_referee.wire import Limits, Sources

_MAX_OBJECT_BYTES = 256 << 20
_MAX_CACHE_BYTES = 4 << 30
_SPARED_S = 3_600.0  # longer than a judgement takes, whose workers load the object whenever they start
_LOG_FILE = "compiler.log"
_SCRATCH = ".scratch"  # no file of a kernel can have this name
_CONFINED = (sys.executable, "-I", "-B", "-m", "ksearch_referee.worker.confined")


def _cache_key(sources: Sources, toolchain: Toolchain) -> str:
    files = sorted((file["path"], file["content"]) for file in sources["files"])
    parts = [files, toolchain.compiler, toolchain.version, toolchain.flags, cpu_identity(), __version__]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class Build:
    """A compiler run in progress, or an object that the cache already had."""

    def __init__(self, sources: Sources, toolchain: Toolchain, cache_folder: Path, limits: Limits) -> None:
        self._sources = sources
        self._limits = limits
        self._started = time.monotonic()
        self.build_ms = 0
        self.log = ""
        self.log_cut = False
        self._cached = cache_folder / "objects" / f"{_cache_key(sources, toolchain)}.so"
        self._record = self._cached.with_suffix(".json")
        self._folder = make_folder("build-")
        self._work = self._folder / "work"
        self._scratch = self._work / _SCRATCH
        self._scratch.mkdir(parents=True)
        self._built = self._scratch / "kernel.so"
        self._known_log = self._look_up()
        self._process = self._start(toolchain) if self._known_log is None else None

    def _look_up(self) -> bytes | None:
        """Return what the compiler said of the cached object, if there is one, and it is still what was built."""
        try:
            if not all(map(is_ours_alone, (self._cached.parent, self._cached, self._record))):
                return None
            known = json.loads(self._record.read_text("utf-8"))
            if known["sha256"] != _digest(self._cached):
                return None
            mark_used(self._cached, self._record)
            return known["log"].encode()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _start(self, toolchain: Toolchain) -> subprocess.Popen[bytes]:
        write_files(self._sources["files"], self._work)
        user = spare_user(None)
        lend(self._folder, user, self._scratch)
        start = {"user": user, "bounds": self._bounds(user)}
        compiled = native_suffixes(self._sources)
        paths = [file["path"] for file in self._sources["files"] if file["path"].endswith(compiled)]
        stages = toolchain.stages(paths, self._scratch, self._built)
        with (self._folder / _LOG_FILE).open("wb") as log:
            return subprocess.Popen(
                [*_CONFINED, json.dumps(start), json.dumps(stages), *toolchain.folders],
                cwd=self._work,
                env=compiler_environment(self._scratch),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _bounds(self, user: int | None) -> dict[str, list[int]]:
        """Return the resource limits of the compilers; processes are counted by user, so for one of its own alone."""
        bounds = {"CORE": [0, 0], "FSIZE": [_MAX_OBJECT_BYTES] * 2}
        if self._limits["memoryMb"] is not None:
            bounds["AS"] = [self._limits["memoryMb"] << 20] * 2
        if user is not None:
            bounds["NPROC"] = [self._limits["processes"] + len(os.sched_getaffinity(0))] * 2
        return bounds

    def wait(self, total: Budget) -> Path:
        """Return the shared object, in the cache.

        Raises:
            KernelFailure: `compile_error`, or `timeout` after `limits.buildMs`.
            TimeUp: `limits.totalMs` ran out first.
        """
        if self._process is None:
            self._take_log(self._known_log or b"")
            return self._cached
        own_s = max(0.0, self._limits["buildMs"] / 1_000 - (time.monotonic() - self._started))
        total_s = total.remaining_s
        try:
            code = self._process.wait(min(own_s, total_s))
        except subprocess.TimeoutExpired:
            if total_s < own_s:
                raise TimeUp from None
            raise KernelFailure("timeout", f"the build took longer than {self._limits['buildMs']} ms") from None
        finally:
            self.build_ms = round((time.monotonic() - self._started) * 1_000)
            with (self._folder / _LOG_FILE).open("rb") as log:
                self._take_log(log.read(min(self._limits["logBytes"] + 1, os.fstat(log.fileno()).st_size)))
        if code != 0:
            message, snippet = first_error(self.log, authored(self._sources["files"]))
            raise KernelFailure("compile_error", message, snippet)
        if self._cached.parent.exists() and not is_ours_alone(self._cached.parent):
            return self._built
        self._keep()
        return self._cached

    def _take_log(self, text: bytes) -> None:
        self.log_cut = len(text) > self._limits["logBytes"]
        self.log = text[: self._limits["logBytes"]].decode("utf-8", "replace")
        self.log = self.log.replace(f"{self._scratch}/", "")  # nvcc's own files, whose names are no help

    def _keep(self) -> None:
        record = {"sha256": _digest(self._built), "log": self.log}
        with self._built.open("rb") as built:
            put(self._cached, lambda file: shutil.copyfileobj(built, file))
        put(self._record, lambda file: file.write(json.dumps(record).encode()))
        trim(self._cached.parent, _MAX_CACHE_BYTES, _SPARED_S)

    def close(self) -> None:
        """End the compiler, if it still runs, and delete its folder; an object that could not be cached lies in it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        remove_folder(self._folder)
