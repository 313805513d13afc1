"""Puts code into a worker: a kernel's, or the problem's own."""

import ast
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ksearch_referee.cuda_toolchain import TORCH_MODULE
from ksearch_referee.failures import KernelFailure, ProblemFault
from ksearch_referee.kernels import entry_of, missing_symbol, write_files
from ksearch_referee.runner import Runner
from ksearch_referee.wire import Kernel, SourceFile
from ksearch_referee.worker_environment import Framework

_LIBRARY_FILE = "kernel.so"


def framework_of(sources: Sequence[str]) -> Framework:
    """Return whose tensors a problem's code works with: torch's when any of it imports torch, else numpy's.

    Raises:
        ProblemFault: it does not parse.
    """
    imported: set[str] = set()
    for source in sources:
        try:
            module = ast.parse(source)
        except (SyntaxError, ValueError) as error:
            raise ProblemFault(f"the problem's code is not valid Python: {error}") from None
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    return "torch" if any(name.split(".")[0] == "torch" for name in imported) else "numpy"


def load_problem(reference: Runner, files: Sequence[SourceFile], **frame: Any) -> None:
    """Load the problem's code, which returns its outputs, into the reference's worker.

    Raises:
        KernelFailure: it does not load.
    """
    write_files(files, reference.kernel_folder)
    reference.exchange("load", root=str(reference.kernel_folder), framework=reference.framework, names=None, **frame)
    reference.returns_outputs = True


def load_task(reference: Runner, library: Path) -> None:
    """Load a problem's code in C++ into the reference's worker.

    Raises:
        KernelFailure: it does not load.
    """
    private = reference.kernel_folder / _LIBRARY_FILE
    shutil.copyfile(library, private)
    reference.exchange("load", binding="cpp_task", library=str(private))
    reference.returns_outputs = reference.keeps_inputs = True


def load_containers(runner: Runner, kernel: Kernel, library: Path, declaration: str) -> None:
    """Load a kernel that is a C++ function of containers.

    Raises:
        KernelFailure: `compile_error` when it cannot be loaded, `runtime_error` when that ends the process.
    """
    _load_symbol(runner, kernel, library, declaration, binding="container")
    runner.returns_outputs = runner.keeps_inputs = True


def _load_symbol(runner: Runner, kernel: Kernel, library: Path, declaration: str, **frame: Any) -> None:
    """Load a kernel that is a symbol of a shared object, from a copy of the worker's own.

    Raises:
        KernelFailure: `compile_error` when it cannot be loaded, `runtime_error` when that ends the process.
    """
    private = runner.kernel_folder / _LIBRARY_FILE
    shutil.copyfile(library, private)
    _, symbol = entry_of(kernel)
    try:
        with compile_errors():
            runner.exchange("load", library=str(private), symbol=symbol, **frame)
    except KernelFailure as failure:
        raise missing_symbol(symbol, declaration) if failure.raised == "AttributeError" else failure from None


def load_library(runner: Runner, kernel: Kernel, library: Path, scalar_dtypes: Sequence[str], declaration: str) -> None:
    """Load a kernel that is a function of a shared object.

    Raises:
        KernelFailure: `compile_error` when it cannot be loaded, `runtime_error` when that ends the process.
    """
    _load_symbol(runner, kernel, library, declaration, binding="c", scalarDtypes=scalar_dtypes)


def load_module(
    runner: Runner,
    kernel: Kernel,
    library: Path | None,
    *,
    binding: str,
    destination_passing: bool,
    names: Sequence[str] | None = None,
    beside: Sequence[SourceFile] = (),
    **more: Any,
) -> None:
    """Load a kernel that is a Python module, with what was built of its native sources beside its entry file.

    Args:
        runner: the kernel's worker.
        kernel: the kernel.
        library: the shared object, if it has native sources.
        binding: the worker's binding.
        destination_passing: whether it fills its outputs instead of returning them.
        names: what its arguments are called, if they have names.
        beside: files of the problem that it may import; its own win over them.
        more: what the binding needs to know beyond that.

    Raises:
        KernelFailure: `compile_error` when it cannot be loaded, `runtime_error` when that ends the process.
    """
    folder = runner.kernel_folder
    write_files([*beside, *kernel["files"]], folder)
    file, symbol = entry_of(kernel)
    if library is not None:
        shutil.copyfile(library, (folder / file).with_name(_LIBRARY_FILE))
    with compile_errors():
        runner.exchange(
            "load",
            binding=binding,
            root=str(folder),
            file=file,
            symbol=symbol,
            framework=runner.framework,
            destinationPassing=destination_passing,
            names=names,
            **more,
        )
    runner.returns_outputs = not destination_passing


def load_extension(
    runner: Runner, kernel: Kernel, library: Path, names: Sequence[str] | None, declaration: str
) -> None:
    """Load a kernel that is a function of a torch extension; `names` are those of its arguments, if they have any.

    Raises:
        KernelFailure: `compile_error` when it cannot be loaded, `runtime_error` when that ends the process.
    """
    more = {"module": TORCH_MODULE, "framework": runner.framework, "names": names}
    fills = kernel["destinationPassing"]
    _load_symbol(runner, kernel, library, declaration, binding="torch", destinationPassing=fills, **more)
    runner.returns_outputs = not fills


@contextmanager
def compile_errors() -> Generator[None, None, None]:
    """Take what a kernel raises while it is loaded for a failure to build it."""
    try:
        yield
    except KernelFailure as failure:
        if not failure.raised:
            raise
        raise KernelFailure("compile_error", failure.message, failure.detail, raised=failure.raised) from None
