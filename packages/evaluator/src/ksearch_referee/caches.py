"""Drives a kernel's inputs out of the caches, so that a timed call finds them where a caller's data usually is."""

import re
from pathlib import Path

import numpy as np

_FALLBACK_BYTES = 32 << 20
_MAX_BYTES = 128 << 20
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def cache_bytes() -> dict[str, int]:
    """Return the sizes of the first CPU's data caches by level (`L1`, `L2`, `L3`), as far as the host tells."""
    sizes: dict[str, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text("ascii").strip() for name in ("level", "type", "size"))
        match = re.fullmatch(r"(\d+)([KMG])", size)
        if match and kind != "Instruction":
            sizes[f"L{level}"] = int(match[1]) * _UNITS[match[2]]
    return sizes


def flush_bytes() -> int:
    """Return a quarter more than the size of the last-level cache, at most 128 MiB.

    Where the cache is larger (hosts share one of hundreds of MiB among many guests) a part of the inputs may stay.
    """
    return min(max(cache_bytes().values(), default=_FALLBACK_BYTES) * 5 // 4, _MAX_BYTES)


class CacheFlush:
    """A buffer of the driver's that is written through before every timed call."""

    def __init__(self) -> None:
        self._buffer = np.zeros(flush_bytes() // 8, dtype=np.uint64)

    def __call__(self) -> None:
        """Write every cache line of the buffer."""
        np.add(self._buffer, 1, out=self._buffer)
