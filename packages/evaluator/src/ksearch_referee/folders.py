"""Temporary folders that foreign code writes into: all of one driver lie in its *den*, which is locked while it lives.

A driver that is killed leaves its den behind unlocked, and the next one to start on the host removes it.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

_DEN = "ksearch-den-"
_LOCK = "lock"
_LONG_PATH, _MAX_SHORTCUTS = 3_000, 64
_BLOCK_BYTES = 512  # in which `st_blocks` counts
_UNLOCKED_S = 600  # so old must a den without a lock be: its driver was killed before it had one


def remove_folder(folder: Path) -> None:
    """Delete a folder, however deep a tree was planted in it: Python's own way recurses and gives up.

    With KSEARCH_REFEREE_KEEP in the environment it stays, for whoever wants to look into it.
    """
    if not os.environ.get("KSEARCH_REFEREE_KEEP"):
        _delete(folder)


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["/bin/rm", "-rf", "--", str(folder)], check=False)


def _lock(file: Path) -> int | None:
    """Return a descriptor that holds the lock of a den, None if somebody else does; it ends with this process."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def remove_abandoned() -> list[str]:
    """Delete the dens of drivers of this user that are no more; return their names. Kept ones are left alone."""
    if os.environ.get("KSEARCH_REFEREE_KEEP"):
        return []
    removed: list[str] = []
    for den in Path(tempfile.gettempdir()).glob(f"{_DEN}*"):
        with contextlib.suppress(OSError):  # another driver may be removing it, too
            status, lock = den.lstat(), den / _LOCK
            if status.st_uid != os.getuid() or den.is_symlink():
                continue
            if not lock.exists() and time.time() - status.st_mtime < _UNLOCKED_S:
                continue
            descriptor = _lock(lock)
            if descriptor is not None:
                _delete(den)
                os.close(descriptor)
                removed.append(den.name)
    return removed


@cache
def _den(_temporary: str) -> Path:
    """Return this process's den below a temporary folder."""
    remove_abandoned()
    while True:
        den = Path(tempfile.mkdtemp(prefix=_DEN))
        # Whoever was told the name of a folder in it may go there, nobody may look around: workers have other users.
        den.chmod(0o711)
        if _lock(den / _LOCK) is not None and (den / _LOCK).exists():
            atexit.register(remove_folder, den)
            return den


def make_folder(prefix: str) -> Path:
    """Return a new folder of this driver's own, of mode 700. Whoever made it removes it (`remove_folder`)."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_den(tempfile.gettempdir())))


def write_whole(file: Path, text: str) -> bool:
    """Write a file in one step, so that nobody reads half of it, unless there is one already; return whether.

    A file system without links may let the last of two writers win instead of the first.
    """
    descriptor, made = tempfile.mkstemp(prefix=".", suffix=".part", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as part:
            part.write(text)
            part.flush()
            os.fsync(part.fileno())
        Path(made).chmod(0o644)
        try:
            os.link(made, file)
        except FileExistsError:
            return False
        except OSError:
            Path(made).replace(file)
        return True
    finally:
        Path(made).unlink(missing_ok=True)


def regular_content(path: Path, most_bytes: int) -> bytes | None:
    """Return the content of a file that foreign code wrote: no link, no device, not too long; else None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most_bytes:
            return None
        return file.read(most_bytes)


def holds_more(folder: Path, most_files: int, most_bytes: int) -> bool:
    """Tell whether more than so many files and folders, or bytes on the disk, lie below a folder.

    It looks at no more than it needs to, and follows a tree deeper than a path may be long a few times over.
    """
    files = used = 0
    folders = [str(folder)]
    with contextlib.ExitStack() as stack:
        shortcuts = 0
        while folders:
            path = folders.pop()
            try:
                if len(path) > _LONG_PATH:
                    shortcuts += 1
                    if shortcuts > _MAX_SHORTCUTS:
                        return True
                    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    stack.callback(os.close, descriptor)
                    path = f"/proc/self/fd/{descriptor}"
                with os.scandir(path) as entries:
                    for entry in entries:
                        files += 1
                        used += entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
                        if files > most_files or used > most_bytes:
                            return True
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
            except OSError:  # gone meanwhile, or closed to the driver by its owner
                continue
    return False
