"""Puts a kernel, or a problem's reference, into a worker of its own."""

import ast
import shutil
from pathlib import Path

from ksearch_referee.build import write_files
from ksearch_referee.environment import package_version
from ksearch_referee.failures import InfraError, KernelFailure
from ksearch_referee.runner import Runner
from ksearch_referee.static import entry_of, missing_symbol
from ksearch_referee.wire import Definition, Kernel

_REFERENCE_FILE = "reference.py"


def array_framework(definition: Definition) -> str:
    """Return the binding of this problem's Python code: `torch` when the reference imports it, else `python`.

    Raises:
        InfraError: the reference does not parse, or needs torch and this host has none.
    """
    try:
        module = ast.parse(definition["reference"])
    except (SyntaxError, ValueError) as error:
        raise InfraError(f"the problem's reference is not valid Python: {error}") from None
    imported = {alias.name for node in ast.walk(module) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(module) if isinstance(node, ast.ImportFrom)}
    if not any(name.split(".")[0] == "torch" for name in imported):
        return "python"
    if package_version("torch") is None:
        raise InfraError("this problem's reference needs torch, which this host does not have; install torch")
    return "torch"


def load_reference(runner: Runner, definition: Definition, framework: str) -> None:
    """Load a problem's reference.

    Raises:
        KernelFailure: it does not load.
    """
    (runner.kernel_folder / _REFERENCE_FILE).write_text(definition["reference"], "utf-8")
    runner.exchange(
        "load",
        binding=framework,
        root=str(runner.kernel_folder),
        file=_REFERENCE_FILE,
        symbol="run",
        destinationPassing=False,
    )
    runner.returns_outputs = True


def _load_library(runner: Runner, kernel: Kernel, definition: Definition, library: Path) -> None:
    private = runner.kernel_folder / "kernel.so"
    shutil.copyfile(library, private)
    _, symbol = entry_of(kernel)
    scalars = [spec["dtype"] for spec in definition["inputs"].values() if spec["shape"] is None]
    try:
        runner.exchange("load", binding="c", library=str(private), symbol=symbol, scalarDtypes=scalars)
    except KernelFailure as failure:
        if failure.raised == "AttributeError":
            raise missing_symbol(definition, symbol) from None
        if failure.raised == "OSError":
            raise KernelFailure("compile_error", failure.message) from None
        raise


def load_kernel(runner: Runner, kernel: Kernel, definition: Definition, library: Path | None, framework: str) -> None:
    """Load a kernel: its built `library`, or its Python files with arrays of `framework`.

    Raises:
        KernelFailure: `compile_error` when it cannot be loaded, `runtime_error` when that ends the process.
    """
    if library is not None:
        _load_library(runner, kernel, definition, library)
        return
    write_files(kernel, runner.kernel_folder)
    file, symbol = entry_of(kernel)
    try:
        runner.exchange(
            "load",
            binding=framework,
            root=str(runner.kernel_folder),
            file=file,
            symbol=symbol,
            destinationPassing=kernel["destinationPassing"],
        )
    except KernelFailure as failure:
        if failure.raised:
            raise KernelFailure("compile_error", failure.message, failure.detail) from None
        raise
    runner.returns_outputs = not kernel["destinationPassing"]
