"""What a kernel's record says: its entry point and its files."""

from collections.abc import Sequence
from pathlib import Path

from ksearch_referee.failures import KernelFailure
from ksearch_referee.wire import Kernel, SourceFile, Sources

_NATIVE_SUFFIXES = {"cpp": (".cpp", ".cc"), "cuda": (".cu", ".cpp", ".cc")}


def native_suffixes(sources: Sources) -> tuple[str, ...]:
    """Return how the files are called that have to be compiled before this kernel is loaded; none for other languages.

    In a kernel in CUDA the first of them, `.cu`, are nvcc's own, the others the host compiler's.
    """
    return _NATIVE_SUFFIXES.get(sources["language"], ())


def entry_of(kernel: Kernel) -> tuple[str, str]:
    """Return (file, symbol) of the entry point."""
    file, _, symbol = kernel["entryPoint"].partition("::")
    return file, symbol


def write_files(files: Sequence[SourceFile], folder: Path) -> None:
    """Write files below `folder`; their paths are plain relative ones by contract."""
    for file in files:
        target = folder / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file["content"], "utf-8")


def missing_symbol(symbol: str, declaration: str) -> KernelFailure:
    """Return the failure of a kernel that lacks its entry point."""
    return KernelFailure(
        "compile_error", f"the kernel has no '{symbol}' to call", f"It must be declared exactly as:\n{declaration}"
    )
