"""What a binding is: the way from raw buffers to one call of a kernel, and from its results back to raw buffers."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ksearch_referee.frames import Frame
from ksearch_referee.problem import Slot

Collect = Callable[[Any], list[Frame]]


class PreparedCall(Protocol):
    """One call with its arguments bound: nothing is left to convert inside the timed region.

    `collect` keeps what the kernel returned alive and declares of each output `{dtype, shape, address}` or
    `{fault, detail}`; the driver then reads the bytes where they lie. It is None where the kernel writes the outputs in
    place, and what it returns is of no interest.
    """

    invoke: Callable[[], Any]

    @property
    def collect(self) -> Collect | None:
        """See above."""
        ...


class DestinationCall:
    """A call that writes the outputs in place; their dtypes and shapes are the driver's own."""

    collect: Collect | None = None

    def __init__(self, invoke: Callable[[], Any]) -> None:
        self.invoke = invoke


class Binding(Protocol):
    """A loaded kernel."""

    def prepare(
        self,
        arguments: Sequence[np.ndarray | float],
        outputs: Sequence[Slot],
        buffers: Sequence[np.ndarray],
        axes: Sequence[int],
    ) -> PreparedCall:
        """Bind one call. `buffers` are the outputs in the arena, for kernels that fill their destinations."""
        ...
