"""What a binding is: the way from raw buffers to one call of a kernel, and from its results back to raw buffers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ksearch_referee.frames import Frame
from ksearch_referee.trees import Structure

Collect = Callable[[Any], list[Frame]]


@dataclass(frozen=True)
class Arguments:
    """What one call is bound to: leaves and structures of a `Layout`, as arrays over the arena and plain values.

    `buffers` are the outputs in the arena, for kernels that fill their destinations. `changeable` are the indices of
    inputs that a kernel may write to and return.
    """

    inputs: Sequence[Any]
    arguments: Structure
    outputs: Sequence[str]
    results: Structure | None
    buffers: Sequence[np.ndarray]
    axes: Sequence[int]
    changeable: Sequence[int]


class PreparedCall(Protocol):
    """One call with its arguments bound: nothing is left to convert inside the timed region.

    `collect` keeps what the kernel returned alive and declares of each output `{dtype, shape, order, address}`, with an
    `input` if it is one that a kernel may change, or `{fault, detail}`; the driver then reads the bytes where they lie.
    It is None where the kernel writes the outputs in place, and what it returns is of no interest.
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


Answer = Callable[[Arguments, Frame], Frame]


class Binding(Protocol):
    """A loaded kernel, or a problem's code. `answers` are to questions that only some can be asked, by name."""

    answers: Mapping[str, Answer]

    def prepare(self, call: Arguments) -> PreparedCall:
        """Bind one call."""
        ...
