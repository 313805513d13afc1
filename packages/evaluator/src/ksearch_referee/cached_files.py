"""Files of the referee's cache: which are believed, how they are written, and which go when they are too many.

Several judges of one host share the cache. A file appears in it whole, by a rename; whoever has opened one keeps it,
whatever becomes of its name.
"""

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO


def is_ours_alone(path: Path) -> bool:
    """Tell whether nobody else can have written here."""
    facts = path.lstat()
    return facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def put(file: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file at once, in place of what had its name; it counts as used now."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, made = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as part:
            write(part)
        Path(made).replace(file)
    except BaseException:
        Path(made).unlink()
        raise


def mark_used(*files: Path) -> None:
    """Have files count as used now."""
    for file in files:
        with contextlib.suppress(OSError):  # another judge has just taken it away
            os.utime(file)


def trim(folder: Path, most_bytes: int, spared_s: float = 0.0) -> None:
    """Delete those files of a folder that were used longest ago, until the others take no more than `most_bytes`.

    Args:
        folder: it holds files alone; one that is not there needs no trimming.
        most_bytes: see above.
        spared_s: what was used so lately stays, however much it is.
    """
    found: list[tuple[float, int, Path]] = []
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another judge trims, too
                facts = path.lstat()
                found.append((facts.st_mtime, facts.st_size, path))
    total = sum(size for _, size, _ in found)
    for used_at, size, path in sorted(found):
        if total <= most_bytes or used_at > time.time() - spared_s:
            return
        path.unlink(missing_ok=True)
        total -= size
