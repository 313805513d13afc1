"""What compiled kernels of a GPU take: registers, spills, shared memory, and the occupancy that these allow.

nvcc's assembler tells it in the build's log; Triton's builder leaves cubins and what it knows of them in its cache.
Both come from code that is not trusted: the figures are advice for the kernel's author and decide nothing.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ksearch_referee.cubin import CubinInvalid, functions
from ksearch_referee.folders import regular_content
from ksearch_referee.occupancy import occupancy

MOST_KERNELS = 16
_MAX_FILE_BYTES = 16 << 20
_MOST_FILES = 256
_MAX_NAME_CHARS = 100
_WARP = 32
_NUMBER_CEILING = 1 << 31
_ENTRY = re.compile(r"^ptxas info\s+: Compiling entry function '([^'\s]+)' for 'sm_\w+'$")
_PROPERTIES = re.compile(r"^ptxas info\s+: Function properties for (\S+)$")
_STACK = re.compile(r"^\s+(\d{1,9}) bytes stack frame, (\d{1,9}) bytes spill stores, (\d{1,9}) bytes spill loads$")
_USED = re.compile(r"^ptxas info\s+: Used (\d{1,6}) registers\b(?:.*?\b(\d{1,9})(?:\+\d+)? bytes smem)?")
_PIECE = re.compile(r"\d{1,4}")


@dataclass(frozen=True)
class Resources:
    """One compiled kernel; None is what nobody tells.

    `threads` of a block, where that is fixed when it is compiled; `registers` of a thread; `spill_bytes` a thread
    moves to memory because its registers do not last, `stack_bytes` what it keeps there in all, `shared_bytes` of a
    block (what a launch asks for beyond it is not known). `occupancy` is the share of a multiprocessor's warps that
    this allows: for unknown `threads` the best that any block size reaches.
    """

    name: str
    threads: int | None = None
    registers: int | None = None
    spill_bytes: int | None = None
    stack_bytes: int | None = None
    shared_bytes: int | None = None
    occupancy: float | None = None

    def told(self) -> dict[str, Any]:
        """Return it as the contract has it."""
        return {
            "name": self.name,
            "threads": self.threads,
            "registers": self.registers,
            "spillBytes": self.spill_bytes,
            "stackBytes": self.stack_bytes,
            "sharedBytes": self.shared_bytes,
            "occupancy": self.occupancy,
        }


def readable(symbol: str) -> str:
    """Return the name in a mangled symbol of C++, `_ZN2ns4tileILi4EEEvPf` as `ns::tile`; others as they are."""
    if not symbol.startswith("_Z"):
        return symbol[:_MAX_NAME_CHARS]
    at = 3 if symbol.startswith("_ZN") else 2
    parts: list[str] = []
    while (match := _PIECE.match(symbol, at)) is not None and match.end() + int(match[0]) <= len(symbol):
        at = match.end() + int(match[0])
        parts.append(symbol[match.end() : at])
        if symbol[2] != "N":
            break
    kept = [part for part in parts if not part.startswith(("_GLOBAL__N_", "_INTERNAL_"))]
    return ("::".join(kept) or symbol)[:_MAX_NAME_CHARS]


def of_log(log: str) -> list[Resources]:
    """Return the kernels that `ptxas -v` told of in the log of a build."""
    kernels: dict[str, Resources] = {}
    entry = function = ""
    for line in log.splitlines():
        if (found := _ENTRY.match(line)) is not None:
            entry = found[1]
            kernels[entry] = Resources(readable(entry))
        elif (found := _PROPERTIES.match(line)) is not None:
            function = found[1]
        elif (found := _STACK.match(line)) is not None and function == entry and entry in kernels:
            stack, stores, _ = (int(number) for number in found.groups())
            kernels[entry] = replace(kernels[entry], stack_bytes=stack, spill_bytes=stores)
        elif (found := _USED.match(line)) is not None and entry in kernels:
            kernels[entry] = replace(kernels[entry], registers=int(found[1]), shared_bytes=int(found[2] or 0))
            entry = function = ""
    return [kernel for kernel in kernels.values() if kernel.registers is not None][:MOST_KERNELS]


def _number(told: dict[str, Any], key: str) -> int | None:
    value = told.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _NUMBER_CEILING else None


def _metadata(path: Path) -> dict[str, Any]:
    content = regular_content(path, _MAX_FILE_BYTES)
    try:
        told = json.loads(content) if content is not None else None
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}


def _cubins(folder: Path) -> Iterator[Path]:
    """Yield the cubins of a cache of Triton's: one folder a kernel, and nothing deeper."""
    seen = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                continue
            with os.scandir(entry.path) as files:
                for file in files:
                    seen += 1
                    if seen > _MOST_FILES * 16:
                        return
                    if file.name.endswith(".cubin"):
                        yield Path(file.path)


def of_cache(folder: Path) -> list[Resources]:
    """Return the kernels in a cache that Triton's compiler filled; those that cannot be read are left out."""
    found: dict[Resources, None] = {}
    for number, path in enumerate(_cubins(folder)):
        if number == _MOST_FILES:
            break
        content = regular_content(path, _MAX_FILE_BYTES)
        try:
            told = functions(content) if content is not None else []
        except CubinInvalid:
            continue
        metadata = _metadata(path.with_suffix(".json"))
        warps, shared = _number(metadata, "num_warps"), _number(metadata, "shared")
        threads = warps * _WARP if warps is not None and 1 <= warps <= _WARP else None
        for function in told[:1]:  # Triton puts one kernel into a cubin
            found[
                Resources(
                    readable(function.name),
                    threads,
                    function.registers,
                    function.stack_bytes,  # a kernel in Triton has no arrays of its own
                    function.stack_bytes,
                    shared,
                )
            ] = None
    ordered = sorted(found, key=lambda kernel: (kernel.name, kernel.threads or 0, kernel.registers or 0))
    return ordered[:MOST_KERNELS]


def with_occupancy(kernels: list[Resources], capability: str) -> list[Resources]:
    """Return the kernels with the occupancy that a GPU of this capability allows them."""

    def one(kernel: Resources) -> Resources:
        if kernel.registers is None:
            return kernel
        share = occupancy(capability, kernel.threads, kernel.registers, kernel.shared_bytes or 0)
        return replace(kernel, occupancy=share)

    return [one(kernel) for kernel in kernels]
