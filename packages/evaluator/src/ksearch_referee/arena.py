"""Memory that the driver and one worker share: an anonymous file, sealed so that the worker cannot shrink it.

The driver writes inputs and a poison pattern into it; the worker copies them into private buffers, calls the kernel on
those and copies everything back. The driver compares bytes that it has copied out first.
"""

import fcntl
import mmap
import os

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.problem import Slot


class Arena:
    """A shared map of at least `nbytes` bytes."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = max(nbytes, mmap.PAGESIZE)
        self.descriptor = os.memfd_create("ksearch-arena", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, self.nbytes)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self._bytes = np.frombuffer(mmap.mmap(self.descriptor, self.nbytes), dtype=np.uint8)

    def close(self) -> None:
        """Close the descriptor; the map goes with the object."""
        os.close(self.descriptor)

    def bytes_of(self, slot: Slot) -> NDArray[np.uint8]:
        """Return the bytes of one tensor as a writable view."""
        return self._bytes[slot.offset : slot.offset + slot.nbytes]

    def read(self, slot: Slot) -> np.ndarray:
        """Copy one tensor out: what the worker does to the arena afterwards no longer matters."""
        return self.bytes_of(slot).copy().view(slot.dtype).reshape(slot.shape)


def poison(slot: Slot, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return one element of a pattern that no honest kernel leaves behind: NaN for floats, changing on every call."""
    pattern = np.full(slot.dtype.itemsize, 0xFF, dtype=np.uint8)
    if not slot.dtype_name.startswith("float8"):
        pattern[0] = rng.integers(0x81, 0xFF)
    return pattern
