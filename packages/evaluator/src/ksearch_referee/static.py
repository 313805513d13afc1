"""Checks of a kernel's text before anything runs: cheap, and never the only defence."""

import ast
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from ksearch_referee.deny import denied
from ksearch_referee.diagnostics import source_lines
from ksearch_referee.environment import require_cuda_torch
from ksearch_referee.failures import Guard, InfraError, KernelFailure
from ksearch_referee.formats.format import Format
from ksearch_referee.gpus import Gpu
from ksearch_referee.kernels import entry_of, missing_symbol, native_suffixes
from ksearch_referee.wire import Kernel

_MOST_DENIED = 4
_DIALECTS = {"tilelang": "TileLang", "cutlass": "CuTe (the CUTLASS DSL)"}
"""Compilers of kernels that live in Python modules which no kernel can import here."""


def check_device(device: str, gpu: Gpu | None) -> None:
    """Refuse devices that this host does not have, `gpu` being what it has.

    Raises:
        InfraError: `device` is neither `cpu` nor that GPU, or torch does not reach it.
    """
    if device == "cpu":
        return
    if gpu is None:
        raise InfraError(f"this host has no {device}: CUDA finds no GPU here; `cpu` can be judged")
    if gpu.device != device:
        known = f"which is judged as '{gpu.device}'" if gpu.device else "which no device of the contract stands for"
        raise InfraError(f"this host has no {device}: its GPU is an {gpu.name}, {known}")
    require_cuda_torch()


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
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


def _check_dialect(path: str, module: ast.Module) -> None:
    """Refuse a language of kernels that this version does not judge, before its import fails."""
    for node in ast.walk(module):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in modules:
            dialect = _DIALECTS.get(name.split(".")[0])
            if dialect is not None and isinstance(node, ast.stmt):
                mend = "this referee judges no kernels in it; write it in Triton, CUDA, C++ or Python"
                raise KernelFailure("compile_error", f"{path}:{node.lineno}: the kernel is in {dialect}: {mend}")


def _check_python(modules: Mapping[str, ast.Module], entry: str, symbol: str, declaration: str) -> None:
    if entry not in modules:
        raise KernelFailure("compile_error", f"the entry file '{entry}' is not a Python file")
    if symbol not in _names(modules[entry]):
        raise missing_symbol(symbol, declaration)


def _check_native(kernel: Kernel, entry: str, symbol: str, declaration: str) -> None:
    suffixes = native_suffixes(kernel)
    if not entry.endswith(suffixes):
        raise KernelFailure("compile_error", f"the entry file '{entry}' is none of {', '.join(suffixes)}")
    text = next(file["content"] for file in kernel["files"] if file["path"] == entry)
    if re.search(rf"\b{re.escape(symbol)}\b", text) is None:
        raise missing_symbol(symbol, declaration)


def _check_beginning(kernel: Kernel, problem: Format, device: str) -> None:
    """Check how the kernel is written and called.

    Raises:
        InfraError: it is written for the other kind of device: no mistake in it, it came to the wrong one.
        KernelFailure: `compile_error`.
    """
    language, binding = kernel["language"], kernel["binding"]
    if language == "cuda" and device == "cpu":
        raise InfraError("this is a CUDA kernel, and the device of this request is `cpu`: judge it on a GPU")
    if language == "cpp" and device != "cpu":
        raise InfraError(f"this is a C++ kernel for processors, and the device of this request is {device}: take `cpu`")
    beginnings = problem.beginnings if device == "cpu" else problem.gpu_beginnings
    if (language, binding) not in beginnings:
        known = ", ".join(f"'{known}' with '{way}'" for known, way in sorted(beginnings))
        message = f"a kernel of this problem cannot be in the language '{language}' with the binding '{binding}'"
        raise KernelFailure("compile_error", f"{message}: use {known}")


def check_kernel(kernel: Kernel, problem: Format, device: str) -> None:
    """Check that a kernel is for this problem and device, parses and has its entry point.

    Raises:
        KernelFailure: `compile_error`.
        InfraError: it needs another device.
    """
    if kernel["definition"] != problem.name:
        message = f"the kernel is for '{kernel['definition']}', not for '{problem.name}'"
        raise KernelFailure("compile_error", message)
    _check_beginning(kernel, problem, device)
    entry, symbol = entry_of(kernel)
    paths = {file["path"] for file in kernel["files"]}
    if entry not in paths:
        raise KernelFailure("compile_error", f"the entry file '{entry}' is not among the kernel's files")
    for path in paths:
        if not paths.isdisjoint(str(folder) for folder in PurePosixPath(path).parents):
            raise KernelFailure("compile_error", f"'{path}' lies below a path that is a file")
    sources = [file for file in kernel["files"] if file["path"].endswith(".py")]
    modules = {file["path"]: _parse(kernel, file["path"], file["content"]) for file in sources}
    for path, module in modules.items():
        _check_dialect(path, module)
    if kernel["binding"] in ("c-abi", "c++", "torch"):
        _check_native(kernel, entry, symbol, problem.declaration(kernel))
        return
    _check_python(modules, entry, symbol, problem.declaration(kernel))
    suffixes = native_suffixes(kernel)
    if suffixes and not any(path.endswith(suffixes) for path in paths):
        raise KernelFailure("compile_error", f"there is no {' or '.join(suffixes)} file beside '{entry}'")


def check_policy(kernel: Kernel, policy: str) -> list[Guard]:
    """Hold the text of a kernel that parses against the deny list; return what it is warned of.

    Raises:
        KernelFailure: `rejected`, where the policy is `enforce`.
    """
    found = denied(kernel["files"]) if policy != "off" else []
    if found and policy == "enforce":
        first = found[0]
        evidence = f"{first.path}:{first.line}: {first.what}, which no honest kernel needs"
        snippet = source_lines(kernel["files"], first.path, first.line)
        raise KernelFailure("rejected", evidence, snippet, guard=Guard("K19", "reject", evidence))
    return [Guard("K19", "warn", f"{one.path}:{one.line}: {one.what}") for one in found[:_MOST_DENIED]]
