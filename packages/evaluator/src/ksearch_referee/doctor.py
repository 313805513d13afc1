"""What this host can do: the facts that decide whether a judgement here would end as `infra_error`."""

import platform
from collections.abc import Callable
from typing import Any

from ksearch_referee import __version__
from ksearch_referee.budget import Budget
from ksearch_referee.caches import cache_bytes, flush_bytes
from ksearch_referee.environment import (
    cache_folder,
    cpu_model,
    package_version,
    require_torch,
    require_triton,
    simd_sets,
)
from ksearch_referee.failures import InfraError, KernelFailure
from ksearch_referee.runner import Runner
from ksearch_referee.toolchain import Toolchain, find_toolchain
from ksearch_referee.wire import Limits

_WORKER_START_MS = 20_000
_EXPECTED_MEASURES = ("seccomp", "landlock")


def _worker_measures() -> list[str]:
    """Start a worker and return the isolation measures that it reports.

    Raises:
        KernelFailure: it does not start.
    """
    limits = Limits(
        buildMs=1, workloadMs=_WORKER_START_MS, totalMs=_WORKER_START_MS, logBytes=65_536, memoryMb=None, processes=1
    )
    runner = Runner("worker", "numpy", limits, Budget(_WORKER_START_MS))
    try:
        return runner.greet()
    finally:
        runner.remove()


def _is_met(requirement: Callable[[], None]) -> bool:
    try:
        requirement()
    except InfraError:
        return False
    return True


def _judged(toolchain: Toolchain | None) -> dict[str, list[str]]:
    """Return the languages of kernels that this host can judge, by format; without torch only on problems in numpy."""
    has_torch = _is_met(require_torch)
    triton = ["triton"] if has_torch and _is_met(require_triton) else []
    languages = [*(["cpp"] if toolchain else []), "python", *triton]
    return {"flashinfer": languages, "gpumode": languages, "kernelbench": languages if has_torch else []}


def diagnose() -> dict[str, Any]:
    """Return the doctor's report; `ok` is false exactly when `reasons` says what to do."""
    reasons: list[str] = []
    toolchain: Toolchain | None = None
    isolation: list[str] = []
    if platform.system() != "Linux":
        return {"ok": False, "reasons": ["the referee needs Linux (memfd, pidfd, seccomp)"]}
    try:
        toolchain = find_toolchain()
    except InfraError as error:
        reasons.append(str(error))
    try:
        isolation = _worker_measures()
    except KernelFailure as failure:
        reasons.append(f"no worker process starts: {failure.message}")
    warnings = [f"this host does not allow {name}" for name in _EXPECTED_MEASURES if name not in isolation]
    return {
        "ok": not reasons,
        "reasons": reasons,
        "warnings": warnings,
        "python": platform.python_version(),
        "numpy": package_version("numpy"),
        "torch": package_version("torch"),
        "triton": package_version("triton"),
        "harnessVersion": __version__,
        "gpu": None,
        "compiler": toolchain.compiler if toolchain else None,
        "compilerVersion": toolchain.version if toolchain else None,
        "compilerFlags": list(toolchain.flags) if toolchain else [],
        "cpu": cpu_model(),
        "simd": simd_sets(),
        "cacheBytes": cache_bytes(),
        "flushBytes": flush_bytes(),
        "cacheFolder": str(cache_folder()),
        "isolation": isolation,
        "judges": _judged(toolchain),
    }
