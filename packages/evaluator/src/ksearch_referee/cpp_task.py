"""GPU MODE problems whose own code is C++: what is compiled of them, and of kernels for them.

The problem's library is `reference.cuh` with our `containers/problem.cpp`; a kernel's is its own files with the headers
that the problem shares and our `containers/kernel.cpp`. Ours lie in a folder that no file of anybody else can be in.
"""

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from ksearch_referee.wire import Language, SourceFile, Sources

REFERENCE = "reference.cuh"
TASK = "task.h"

_OURS = ".ksearch"
_UTILS = "utils.h"  # the runner's, with the reporter that a check writes to
_NAMES = re.compile(r"\bArgumentNames\b")
_ON_DEVICE = re.compile(r"<<<|\bcuda[A-Z]\w*\s*\(")


def is_cpp(files: Sequence[SourceFile]) -> bool:
    """Tell whether a GPU MODE problem's own code is C++."""
    return any(file["path"] == REFERENCE for file in files)


def authored(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Return the files that somebody else than we has written: who is told of an error can mend only those."""
    return [file for file in files if not file["path"].startswith(f"{_OURS}/")]


def _ours(name: str) -> str:
    return resources.files("ksearch_referee").joinpath("containers", name).read_text("utf-8")


def _harness(name: str, language: Language, head: str = "") -> list[SourceFile]:
    """Return our file of this name as a source of the language, with what it includes."""
    headers = [SourceFile(path=f"{_OURS}/{header}", content=_ours(header)) for header in ("leaves.h", "call.h")]
    suffix = "cu" if language == "cuda" else "cpp"
    return [*headers, SourceFile(path=f"{_OURS}/{name}.{suffix}", content=head + _ours(f"{name}.cpp"))]


class CppTask:
    """The C++ of one problem; `language` is `cuda` on a GPU, else `cpp`.

    `built` is its library, once there is one.

    Args:
        files: the problem's.
    """

    def __init__(self, files: Sequence[SourceFile]) -> None:
        self.built: Path | None = None
        there = any(file["path"] == _UTILS for file in files)
        self._files = [*files, *([] if there else [SourceFile(path=_UTILS, content=_ours(_UTILS))])]

    @property
    def uses_device(self) -> bool:
        """Whether the problem's code seems to work on a GPU itself."""
        return any(_ON_DEVICE.search(file["content"]) for file in self._files if file["path"] != _UTILS)

    def library(self, language: Language) -> Sources:
        """Return what the problem's library is compiled from."""
        named = any(_NAMES.search(file["content"]) for file in self._files)
        head = "#define KSEARCH_ARGUMENT_NAMES\n" if named else ""
        return Sources(language=language, files=[*self._files, *_harness("problem", language, head)])

    def shared(self, language: Language) -> list[SourceFile]:
        """Return what kernels are compiled with: the problem's headers without its reference, and our call of them."""
        headers = [file for file in self._files if file["path"] != REFERENCE]
        return [*headers, *_harness("kernel", language)]
