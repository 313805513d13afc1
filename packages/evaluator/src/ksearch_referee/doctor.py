"""What this host can do: the facts that decide whether a judgement here would end as `infra_error`.

`python -m ksearch_referee doctor` shows them as text on a terminal, and as JSON to whoever reads its output.
"""

import os
import platform
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from ksearch_referee import __version__, measures
from ksearch_referee.budget import Budget
from ksearch_referee.caches import cache_bytes, flush_bytes
from ksearch_referee.cuda_toolchain import find_nvcc
from ksearch_referee.environment import (
    cache_folder,
    cpu_model,
    package_version,
    require_cuda_torch,
    require_torch,
    require_triton,
    simd_sets,
    torch_cuda,
)
from ksearch_referee.failures import InfraError, KernelFailure, TimeUp
from ksearch_referee.gpus import Gpu, visible_gpu
from ksearch_referee.keeper import Keeper
from ksearch_referee.measures import PARCELS
from ksearch_referee.runner import Runner
from ksearch_referee.toolchain import Toolchain, find_toolchain
from ksearch_referee.wire import Limits
from ksearch_referee.worker_environment import Framework

_WORKER_START_MS = 20_000
_GPU_WORKER_START_MS = 50_000
_TOO_SLOW = "it takes too long"
_EXPECTED_MEASURES = ("seccomp", "landlock")


@contextmanager
def _started(framework: Framework, gpu: Gpu | None, start_ms: int, *, keeps: bool = False) -> Generator[Runner]:
    limits = Limits(buildMs=1, workloadMs=start_ms, totalMs=start_ms, logBytes=65_536, memoryMb=None, processes=1)
    runner = Runner("worker", framework, limits, Budget(start_ms), gpu=gpu, keeps=keeps)
    try:
        yield runner
    finally:
        runner.remove()


def _worker_measures() -> list[str]:
    """Start a worker and return the isolation measures that it reports.

    Raises:
        KernelFailure, TimeUp: it does not start.
    """
    with _started("numpy", None, _WORKER_START_MS) as runner:
        return runner.greet()


def _gpu_measures(gpu: Gpu) -> list[str]:
    """Start two workers on the GPU, and return the measures that hold between them.

    Raises:
        KernelFailure, TimeUp: they do not start.
    """
    start_ms = _GPU_WORKER_START_MS
    with _started("cuda", gpu, start_ms, keeps=True) as runner, _started("cuda", gpu, start_ms) as other:
        for worker in (runner, other):
            worker.greet()
        keeper = Keeper(runner)
        keeper.try_sharing(other)
        return [PARCELS] if keeper.shares else []


def _is_met(requirement: Callable[[], object]) -> bool:
    try:
        requirement()
    except InfraError:
        return False
    return True


def _try_gpu(gpu: Gpu) -> tuple[list[str], str | None]:
    """Return the measures that hold on the GPU that is here, and why kernels cannot be judged on it, if they cannot."""
    if gpu.device is None:
        return [], f"kernels cannot be judged on an {gpu.name}: no device of the contract stands for it"
    try:
        require_cuda_torch()
        return _gpu_measures(gpu), None
    except InfraError as error:
        return [], f"kernels cannot be judged on the {gpu.name} that is here: {error}"
    except (KernelFailure, TimeUp) as failure:
        return [], f"no worker starts on the {gpu.name} that is here: {str(failure) or _TOO_SLOW}"


def _gpu_languages() -> list[str]:
    """Return the languages of kernels that this host can judge on its GPU."""
    cuda = ["cuda"] if _is_met(find_nvcc) else []
    return [*cuda, "python", *(["triton"] if _is_met(require_triton) else [])]


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
    except (KernelFailure, TimeUp) as failure:
        reasons.append(f"no worker process starts: {str(failure) or _TOO_SLOW}")
    warnings = [f"this host does not allow {name}" for name in _EXPECTED_MEASURES if name not in isolation]
    gpu = visible_gpu()
    on_gpu, gpu_fault = _try_gpu(gpu) if gpu else ([], None)
    isolation = [*isolation, *on_gpu]
    if gpu_fault:
        warnings.append(gpu_fault)
    usable = gpu if gpu_fault is None else None
    return {
        "ok": not reasons,
        "reasons": reasons,
        "warnings": warnings,
        "python": platform.python_version(),
        "numpy": package_version("numpy"),
        "torch": package_version("torch"),
        "triton": package_version("triton"),
        "harnessVersion": __version__,
        "gpu": usable.name if usable else None,
        "gpuDevice": usable.device if usable else None,
        "gpuFault": gpu_fault,
        "driver": gpu.driver if gpu else None,
        "cuda": gpu.cuda if gpu else None,
        "torchCuda": torch_cuda(),
        "nvcc": find_nvcc()[1] if _is_met(find_nvcc) else None,
        "compiler": toolchain.compiler if toolchain else None,
        "compilerVersion": toolchain.version if toolchain else None,
        "compilerFlags": list(toolchain.flags) if toolchain else [],
        "cpu": cpu_model(),
        "cpuCount": len(os.sched_getaffinity(0)),
        "simd": simd_sets(),
        "cacheBytes": cache_bytes(),
        "flushBytes": flush_bytes(),
        "cacheFolder": str(cache_folder()),
        "isolation": isolation,
        "measures": measures.table(isolation, gpu=usable is not None),
        "judges": _judged(toolchain),
        "judgesOnGpu": _gpu_languages() if usable else [],
    }


def _told(*parts: tuple[str, Any]) -> str:
    return ", ".join(f"{name} {value}".strip() for name, value in parts if value is not None) or "none"


def report(diagnosis: dict[str, Any]) -> Iterator[str]:
    """Yield a diagnosis as lines for people."""
    d = diagnosis
    yield f"referee {__version__}: " + ("fit to judge" if d["ok"] else "cannot judge here")
    yield from (f"  must be mended: {reason}" for reason in d["reasons"])
    yield from (f"  note: {warning}" for warning in d.get("warnings", ()))
    if "cpu" not in d:
        return
    yield ""
    yield f"processor  {d['cpu']}, {d['cpuCount']} CPUs"
    yield f"GPU        {_told(('', d['gpu']), ('driver', d['driver']), ('CUDA', d['cuda']))}"
    packages = _told(*((name, d[name]) for name in ("numpy", "torch", "triton")), ("nvcc", d["nvcc"]))
    yield f"Python     {d['python']}, {packages}"
    yield f"compiler   {d['compilerVersion'] or 'none'}"
    yield f"cache      {d['cacheFolder']}"
    for format_name, languages in d["judges"].items():
        yield f"judges     {format_name}: {', '.join(languages) or 'nothing'}"
    if d["judgesOnGpu"]:
        yield f"on the GPU {', '.join(d['judgesOnGpu'])}"
    yield ""
    yield "What keeps a kernel apart here:"
    yield from measures.lines(d["measures"])
