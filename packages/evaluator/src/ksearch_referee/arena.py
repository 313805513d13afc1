"""Memory that the driver and one worker share: an anonymous file, sealed so that the worker cannot shrink it.

A kernel reads its inputs and writes its outputs right here, and the driver fills and reads it only while the worker is
stopped: nothing has to be copied around a call, and there is no moment outside of a call in which a kernel has inputs.
"""

import fcntl
import mmap
import os

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.layout import ALIGNMENT_BYTES, Layout, Slot

_PLACES = 64
_MAX_CANARY = 0x7F


class Arena:
    """A shared map whose contents lie at any of 64 places, so that a call's pointers are not the last one's.

    It is made before its worker and gets its size later, once: a problem may tell its sizes only when it runs. The
    contents begin at byte `base`.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self.descriptor = os.memfd_create("ksearch-arena", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        self._bytes = np.empty(0, dtype=np.uint8)
        self.base = 0
        self._canary = 0

    def fit(self, nbytes: int) -> None:
        """Make room for `nbytes` bytes, for good."""
        self.nbytes = nbytes + _PLACES * ALIGNMENT_BYTES
        os.ftruncate(self.descriptor, self.nbytes)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self._bytes = np.frombuffer(mmap.mmap(self.descriptor, self.nbytes), dtype=np.uint8)

    def close(self) -> None:
        """Close the descriptor; the map goes with the object."""
        os.close(self.descriptor)

    def lay(self, layout: Layout, rng: np.random.Generator) -> None:
        """Choose a place, fill what lies between the tensors with a canary and the outputs with poison."""
        self.base = int(rng.integers(_PLACES)) * ALIGNMENT_BYTES
        self._canary = int(rng.integers(1, _MAX_CANARY))
        for gap in layout.gaps:
            self._between(gap.start, gap.end)[:] = self._canary
        for slot in layout.outputs:
            pattern = poison(slot, rng)
            self.bytes_of(slot).reshape(-1, pattern.size)[:] = pattern

    def overrun(self, layout: Layout) -> str | None:
        """Say where something was written outside of the tensors, None if nothing was."""
        written = (gap for gap in layout.gaps if np.any(self._between(gap.start, gap.end) != self._canary))
        return next((gap.where for gap in written), None)

    def bytes_of(self, slot: Slot) -> NDArray[np.uint8]:
        """Return the bytes of one tensor as a writable view."""
        return self._between(slot.offset, slot.offset + slot.nbytes)

    def read(self, slot: Slot) -> np.ndarray:
        """Copy one tensor out."""
        return slot.over(self.bytes_of(slot).copy())

    def _between(self, start: int, end: int) -> NDArray[np.uint8]:
        return self._bytes[self.base + start : self.base + end]


def poison(slot: Slot, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return one element of a pattern that no honest kernel leaves behind: NaN for floats, changing on every call."""
    pattern = np.full(slot.dtype.itemsize, 0xFF, dtype=np.uint8)
    if not slot.dtype_name.startswith("float8"):
        pattern[0] = rng.integers(0x81, 0xFF)
    return pattern
