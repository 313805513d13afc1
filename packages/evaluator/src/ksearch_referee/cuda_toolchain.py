"""nvcc on this host: where it is, and how a kernel's files become a shared object for one GPU.

Every file is compiled by a command of its own, all at once; then they are linked. `.cpp` files go through nvcc too,
which hands them to the host compiler with CUDA's headers in reach.
"""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ksearch_referee.environment import package_version, torch_folder
from ksearch_referee.failures import InfraError
from ksearch_referee.gpus import Gpu
from ksearch_referee.toolchain import SEARCH_PATH, Stage, Toolchain

TORCH_MODULE = "ksearch_kernel"
"""Name of the Python module that a torch extension is built as."""

_FLAGS = ("-O3", "-std=c++20", "--compiler-options", "-fPIC", "-Xptxas", "-v")
# What torch.utils.cpp_extension passes, so that sources written for it mean the same here: torch's own half types
# convert, CUDA's operators on them are left out.
_TORCH_FLAGS = (
    "-D__CUDA_NO_HALF_OPERATORS__",
    "-D__CUDA_NO_HALF_CONVERSIONS__",
    "-D__CUDA_NO_BFLOAT16_CONVERSIONS__",
    "-D__CUDA_NO_HALF2_OPERATORS__",
    "--expt-relaxed-constexpr",
    "-DTORCH_API_INCLUDE_EXTENSION_H",
    f"-DTORCH_EXTENSION_NAME={TORCH_MODULE}",
)
_TORCH_LIBRARIES = ("c10", "c10_cuda", "torch_cpu", "torch_cuda", "torch", "torch_python")
_STUBS = ("lib64/stubs/libcuda.so", "lib/stubs/libcuda.so")
_MEND = "install CUDA's compiler, or name its folder in CUDA_HOME"


def find_nvcc() -> tuple[str, str]:
    """Return path and version of nvcc: that of $CUDA_HOME, on the PATH, or in CUDA's usual folder.

    Raises:
        InfraError: there is none, or it has no host compiler.
    """
    home = os.environ.get("CUDA_HOME")
    folders = [*([f"{home}/bin"] if home else []), os.environ.get("PATH", ""), SEARCH_PATH, "/usr/local/cuda/bin"]
    nvcc = shutil.which("nvcc", path=os.pathsep.join(folders))
    if nvcc is None:
        raise InfraError(f"this host has no nvcc, which kernels in CUDA need: {_MEND}")
    if shutil.which("g++", path=SEARCH_PATH) is None:
        raise InfraError("nvcc needs a host compiler, and this host has no g++: for example `apt-get install g++`")
    return nvcc, _version(nvcc)


@cache
def _version(nvcc: str) -> str:
    try:
        told = subprocess.run([nvcc, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise InfraError(f"{nvcc} does not run ({error}): {_MEND}") from None
    match = re.search(r"\bV([\d.]+)", told)
    return f"nvcc {match[1] if match else 'of an unknown version'}"


@cache
def host_compiler() -> str:
    """Return what nvcc's host compiler calls itself."""
    command = [shutil.which("g++", path=SEARCH_PATH) or "g++", "--version"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise InfraError(f"nvcc's host compiler g++ does not run: {error}") from None
    return told.partition("\n")[0]


def _includes() -> list[str]:
    folder = torch_folder()
    if folder is None:
        raise InfraError("a torch extension needs torch, and the referee's Python has none: run scripts/torch.sh")
    headers = (folder / "include", folder / "include/torch/csrc/api/include", sysconfig.get_path("include"))
    return [argument for header in headers for argument in ("-isystem", str(header))]


def _libraries() -> list[str]:
    return [f"-L{torch_folder()}/lib", *(f"-l{name}" for name in _TORCH_LIBRARIES)]


def find_cuda_toolchain(gpu: Gpu, *, torch: bool) -> Toolchain:
    """Return what builds a kernel in CUDA for `gpu`, with torch's headers and libraries where it is an extension of it.

    Raises:
        InfraError: this host has no nvcc, or no torch where it is asked for.
    """
    nvcc, version = find_nvcc()
    target = f"-gencode=arch=compute_{gpu.architecture},code=sm_{gpu.architecture}"
    extension = [*_TORCH_FLAGS, *_includes()] if torch else []
    flags = (*_FLAGS, target, *extension)
    root = Path(nvcc).resolve().parents[1]
    linked = [*(_libraries() if torch else []), *(["-lcuda"] if any((root / stub).exists() for stub in _STUBS) else [])]

    def stages(sources: Sequence[str], scratch: Path, built: Path) -> list[Stage]:
        objects = [str(scratch / f"{number}.o") for number in range(len(sources))]
        compiling = [[nvcc, *flags, "-I.", "-c", "-o", o, source] for source, o in zip(sources, objects, strict=True)]
        return [compiling, [[nvcc, "-shared", "-o", str(built), *objects, *linked]]]

    parts = [version, host_compiler(), *([f"torch {package_version('torch')}"] if torch else [])]
    called = "; ".join(parts)
    return Toolchain(nvcc, called, flags, stages, folders=(str(root),))
