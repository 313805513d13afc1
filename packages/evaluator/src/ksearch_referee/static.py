"""Checks of a kernel's text before anything runs: cheap, and never the only defence."""

import ast
import re
from pathlib import PurePosixPath

from ksearch_referee.diagnostics import source_lines
from ksearch_referee.failures import InfraError, KernelFailure
from ksearch_referee.problem import c_prototype
from ksearch_referee.wire import Definition, Kernel

_CPU_BINDINGS = {("cpp", "c-abi"), ("python", "python")}
_CPP_SUFFIXES = (".cpp", ".cc")


def entry_of(kernel: Kernel) -> tuple[str, str]:
    """Return (file, symbol) of the entry point."""
    file, _, symbol = kernel["entryPoint"].partition("::")
    return file, symbol


def check_device(device: str) -> None:
    """Refuse devices that this host does not have. The one place where a GPU will be admitted.

    Raises:
        InfraError: `device` is not `cpu`.
    """
    if device != "cpu":
        raise InfraError(f"this host has no {device}; this referee judges on `cpu` only, for now")


def check_profile(profile: str) -> None:
    """Refuse what this version cannot do rather than do something else under its name.

    Raises:
        InfraError: `profile` is not `hardened`.
    """
    if profile != "hardened":
        raise InfraError(f"this referee has no profile '{profile}' yet; ask for 'hardened'")


def _parse(kernel: Kernel, path: str, content: str) -> ast.Module:
    try:
        return ast.parse(content, path)
    except SyntaxError as error:
        line = error.lineno or 1
        snippet = source_lines(kernel["files"], path, line)
        raise KernelFailure("compile_error", f"{path}:{line}: error: {error.msg}", snippet) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise KernelFailure("compile_error", f"{path}: not Python that can be parsed: {error}") from None


def _names(module: ast.Module) -> set[str]:
    """Return the names that a module defines or imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


def _check_python(kernel: Kernel, entry: str, symbol: str) -> None:
    sources = [file for file in kernel["files"] if file["path"].endswith(".py")]
    modules = {file["path"]: _parse(kernel, file["path"], file["content"]) for file in sources}
    if entry not in modules:
        raise KernelFailure("compile_error", f"the entry file '{entry}' is not a Python file")
    if symbol not in _names(modules[entry]):
        raise KernelFailure("compile_error", f"'{entry}' defines no function '{symbol}'")


def _check_cpp(kernel: Kernel, entry: str, symbol: str, definition: Definition) -> None:
    if not entry.endswith(_CPP_SUFFIXES):
        raise KernelFailure("compile_error", f"the entry file '{entry}' is none of {', '.join(_CPP_SUFFIXES)}")
    text = next(file["content"] for file in kernel["files"] if file["path"] == entry)
    if re.search(rf"\b{re.escape(symbol)}\b", text) is None:
        raise missing_symbol(definition, symbol)


def missing_symbol(definition: Definition, symbol: str) -> KernelFailure:
    """Return the failure of a C++ kernel that does not export its entry point."""
    return KernelFailure(
        "compile_error",
        f"the kernel exports no function '{symbol}'",
        f"It must be declared exactly as:\n{c_prototype(definition, symbol)}",
    )


def check_kernel(kernel: Kernel, definition: Definition) -> None:
    """Check that a kernel is for this problem, for a CPU, parses and has its entry point.

    Raises:
        KernelFailure: `compile_error`.
    """
    if kernel["definition"] != definition["name"]:
        message = f"the kernel is for '{kernel['definition']}', not for '{definition['name']}'"
        raise KernelFailure("compile_error", message)
    if (kernel["language"], kernel["binding"]) not in _CPU_BINDINGS:
        message = f"language '{kernel['language']}' with binding '{kernel['binding']}' does not run on a CPU"
        raise KernelFailure("compile_error", f"{message}: use 'cpp' with 'c-abi' or 'python' with 'python'")
    entry, symbol = entry_of(kernel)
    paths = {file["path"] for file in kernel["files"]}
    if entry not in paths:
        raise KernelFailure("compile_error", f"the entry file '{entry}' is not among the kernel's files")
    for path in paths:
        if not paths.isdisjoint(str(folder) for folder in PurePosixPath(path).parents):
            raise KernelFailure("compile_error", f"'{path}' lies below a path that is a file")
    if kernel["language"] == "python":
        _check_python(kernel, entry, symbol)
    else:
        _check_cpp(kernel, entry, symbol, definition)
