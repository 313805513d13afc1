"""What a worker gets for an environment: nothing of the driver's, and how its libraries have to use threads."""

import os
from pathlib import Path
from typing import Literal

from ksearch_referee.gpus import Gpu
from ksearch_referee.toolchain import SEARCH_PATH

Framework = Literal["numpy", "torch", "triton", "cuda"]
"""Whose tensors a worker's Python code works with: numpy's, torch's on the CPU (`triton`: with Triton's kernels
interpreted), or torch's on the GPU."""


def _compilers(compiled: Path) -> dict[str, str]:
    """Return where Triton and torch keep what they have compiled, in one process, and how they find a host compiler."""
    return {
        "TRITON_CACHE_DIR": str(compiled),
        "TORCHINDUCTOR_CACHE_DIR": str(compiled),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0",  # hundreds of MB, for kernels that are compiled once
        "PATH": SEARCH_PATH,
    }


def worker_environment(
    folder: Path, framework: Framework, gpu: Gpu | None = None, compiled: Path | None = None
) -> dict[str, str]:
    """Return all that a worker gets for an environment, whosever kernel it holds."""
    cpus = str(len(os.sched_getaffinity(0)))
    # torch calls one threaded operation after the other. Its threads stay awake for 0.1 ms before they sleep: else
    # waking them costs more than they bring (docs/decisions/0011). numpy's BLAS is slower on two threads than on one
    # for thin products, and 30 times slower on a busy machine: a reference that waits for its own threads would flatter
    # every kernel (docs/decisions/0006).
    threads = {"MKL_NUM_THREADS": "1"} if framework == "numpy" else {"MKL_NUM_THREADS": cpus, "GOMP_SPINCOUNT": "3000"}
    return {
        **({"TRITON_INTERPRET": "1"} if framework == "triton" else {}),
        **threads,
        # What is judged on the CPU must not find a GPU.
        **(gpu.environment if gpu else {"CUDA_VISIBLE_DEVICES": ""}),
        **(_compilers(compiled) if compiled else {}),
        "HOME": str(folder),
        "USER": "worker",  # a user of its own has no entry in a list of users to be looked up in
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": cpus,
        "OMP_WAIT_POLICY": "passive",  # idle threads sleep: their spinning would disturb others
        "KMP_BLOCKTIME": "0",
        "OPENBLAS_NUM_THREADS": "1",
        # Freed memory stays with the process: else a numpy reference pays page faults for temporaries in some calls.
        "MALLOC_MMAP_THRESHOLD_": "1000000000",
        "MALLOC_TRIM_THRESHOLD_": "1000000000",
    }
