"""What a binding is: the way from raw buffers to one call of a kernel, and from its results back to raw buffers."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ksearch_referee.frames import Frame
from ksearch_referee.problem import Slot

ArenaBytes = Callable[[Slot], NDArray[np.uint8]]


class PreparedCall(Protocol):
    """One call with its arguments bound: nothing is left to convert inside the timed region."""

    invoke: Callable[[], Any]

    def collect(self, result: Any, arena_bytes: ArenaBytes) -> list[Frame]:
        """Copy the outputs into the arena; declare of each `{dtype, shape}` or `{fault, detail}`."""
        ...


class DestinationCall:
    """A call that fills given outputs; their dtypes and shapes are the driver's own."""

    def __init__(self, invoke: Callable[[], Any], outputs: Sequence[Slot], buffers: Sequence[np.ndarray]) -> None:
        self.invoke = invoke
        self._outputs = outputs
        self._buffers = buffers

    def collect(self, result: Any, arena_bytes: ArenaBytes) -> list[Frame]:
        """Copy the outputs into the arena; what the kernel returned is of no interest."""
        del result
        for slot, buffer in zip(self._outputs, self._buffers, strict=True):
            arena_bytes(slot)[:] = buffer.reshape(-1).view(np.uint8)
        return [{"dtype": slot.dtype_name, "shape": list(slot.shape)} for slot in self._outputs]


class Binding(Protocol):
    """A loaded kernel."""

    def prepare(
        self,
        arguments: Sequence[np.ndarray | float],
        outputs: Sequence[Slot],
        buffers: Sequence[np.ndarray],
        axes: Sequence[int],
    ) -> PreparedCall:
        """Bind one call. `buffers` are poisoned outputs for kernels that fill their destinations."""
        ...
