"""What a binding is: the way from raw buffers to one call of a kernel, and from its results back to raw buffers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ksearch_referee.frames import Frame
from ksearch_referee.trees import Structure

Collect = Callable[[Any], list[Frame]]


@dataclass(frozen=True)
class Arguments:
    """What one call is bound to: leaves and structures of a `Layout`, as arrays over the arena and plain values.

    `buffers` are the outputs in the arena, for kernels that fill their destinations.
    """

    inputs: Sequence[Any]
    arguments: Structure
    outputs: Sequence[str]
    results: Structure | None
    buffers: Sequence[np.ndarray]
    axes: Sequence[int]


class PreparedCall(Protocol):
    """One call with its arguments bound: nothing is left to convert inside the timed region.

    `collect` keeps what the kernel returned alive and declares of each output `{dtype, shape, order, address}` or
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

    def prepare(self, call: Arguments) -> PreparedCall:
        """Bind one call."""
        ...
