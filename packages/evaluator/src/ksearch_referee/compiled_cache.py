"""What builders compiled, kept between judgements: an archive for each kernel on one problem, one GPU and these tools.

A builder runs the kernel's own code, so its folder holds whatever that code left there. It is kept as it is, and
believed by nobody: it comes back to the workers of the very same kernel on the very same problem alone, which could
have had it from a builder of their own. To other kernels it does no harm:

- What an archive is called, the driver alone decides, by a digest of the kernel's and the problem's texts and of all
  that compiles them. Its folder is the driver's alone; workers are other users, or under Landlock, and cannot reach it:
  each judgement gets a copy, which its workers cannot write to.
- Only plain files are taken, within bounds of number, size and depth, and none by a link. A folder that holds anything
  else is not kept at all: a part of it could make the next judgement end in another way than this one.
- Archives are bounded in all; those used longest ago go first, so a flood of kernels costs others a builder, no more.

Layouts of workloads are not part of the digest, since they follow from what is: a problem whose sizes depend on the
seed is refused (`formats/learned.py`).
"""

import hashlib
import json
import os
import platform
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from ksearch_referee import __version__
from ksearch_referee.cached_files import is_ours_alone, mark_used, put, trim
from ksearch_referee.cuda_toolchain import host_compiler
from ksearch_referee.environment import cache_folder, package_version
from ksearch_referee.failures import InfraError
from ksearch_referee.folders import regular_content
from ksearch_referee.gpus import Gpu
from ksearch_referee.toolchain import cpu_identity
from ksearch_referee.wire import Kernel, Problem

_PACKAGES = ("torch", "triton", "numpy")
_MAX_FILES, _MAX_BYTES, _MAX_DEPTH = 16_384, 256 << 20, 8
_MAX_CACHE_BYTES = 4 << 30
_GROUP = "__grp__"  # Triton's lists of the files of one kernel, by the paths that these had in the builder's folder
_READ_BY_ALL = 0o755  # workers have other users than the driver, and no two the same


class _NotKept(Exception):
    """A folder holds what no compiler leaves there."""


def archive_of(kernel: Kernel, problem: Problem, gpu: Gpu) -> Path:
    """Return where the cache has, or would have, what one kernel compiled on one problem."""
    tools: list[str | None] = [platform.python_version(), *map(package_version, _PACKAGES)]
    with suppress(InfraError):  # without g++ Triton may find another
        tools.append(host_compiler())
    # Kernels ask a GPU for more than its architecture: how many multiprocessors it has follows from its name.
    device = [gpu.name, gpu.capability, gpu.driver, gpu.cuda]
    parts = [kernel, problem, tools, device, cpu_identity(), __version__]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "compiled" / f"{digest}.zip"


def _inside(folder: Path) -> bytes:
    """Return how a path in a folder begins in a list of Triton's."""
    return json.dumps(f"{folder}/")[1:-1].encode()


def _entries(folder: Path, depth: int = _MAX_DEPTH) -> Iterator[Path]:
    """Yield all that lies below a folder, folders before what is in them."""
    with os.scandir(folder) as found:
        for entry in found:
            yield Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if depth == 0:
                    raise _NotKept
                yield from _entries(Path(entry.path), depth - 1)


def _pack(folder: Path, file: IO[bytes]) -> None:
    left = _MAX_BYTES
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = _inside(folder)
        for number, path in enumerate(_entries(folder)):
            name = str(path.relative_to(folder))
            if number == _MAX_FILES:
                raise _NotKept
            if path.is_dir() and not path.is_symlink():
                archive.mkdir(name)
                continue
            content = regular_content(path, left)
            if content is None:
                raise _NotKept
            left -= len(content)
            archive.writestr(name, content)


def keep(folder: Path, archive: Path) -> bool:
    """Keep what a builder, which is no more, left in its folder; return whether it is kept.

    Raises:
        OSError: it cannot be read or written.
    """
    if archive.parent.exists() and not is_ours_alone(archive.parent):
        return False
    try:
        put(archive, lambda file: _pack(folder, file))
    except (_NotKept, UnicodeError):  # names of files may be no text
        return False
    trim(archive.parent, _MAX_CACHE_BYTES)
    return True


def take_out(archive: Path, folder: Path) -> bool:
    """Fill a folder with what was kept, for users of every kind to read; return whether anything sound was.

    Raises:
        OSError: it cannot be written.
    """
    try:
        if not all(map(is_ours_alone, (archive.parent, archive))):
            return False
        kept = zipfile.ZipFile(archive)
    except (OSError, zipfile.BadZipFile):
        return False
    with kept:
        if kept.testzip() is not None:
            return False
        folder.chmod(_READ_BY_ALL)
        for entry in kept.infolist():
            path = folder / entry.filename
            if entry.is_dir():
                path.mkdir()
            else:
                content = kept.read(entry)
                moved = path.name.startswith(_GROUP)
                path.write_bytes(content.replace(kept.comment, _inside(folder)) if moved else content)
            path.chmod(_READ_BY_ALL)
    mark_used(archive)
    return True
