"""What a binding is: the way from raw buffers to one call of a kernel, and from its results back to raw buffers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ksearch_referee.frames import Frame
from ksearch_referee.trees import Structure
from ksearch_referee.worker.memory import Output

Collect = Callable[[Any], list[Output]]


@dataclass(frozen=True)
class Arguments:
    """What one call is bound to: leaves and structures of a `Layout`, as arrays over the arena and plain values.

    On a GPU the tensors of a call are torch's, in its memory. `buffers` are the outputs, for kernels that fill them.
    `changeable` are the indices of inputs that a kernel may write to and return.
    """

    inputs: Sequence[Any]
    arguments: Structure
    outputs: Sequence[str]
    results: Structure | None
    buffers: Sequence[Any]
    axes: Sequence[int]
    changeable: Sequence[int]


class PreparedCall(Protocol):
    """One call with its arguments bound: nothing is left to convert inside the timed region.

    `collect` keeps what the kernel returned alive and declares of each output `{dtype, shape, order, address}`, with an
    `input` if it is one that a kernel may change, or `{fault, detail}`.
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
    """A loaded kernel, or a problem's code. `answers` are to questions that only some can be asked, by name.

    `fills` says that it is called with its outputs' buffers, and fills them.
    """

    answers: Mapping[str, Answer]

    @property
    def fills(self) -> bool:
        """See above."""
        ...

    def prepare(self, call: Arguments) -> PreparedCall:
        """Bind one call."""
        ...
