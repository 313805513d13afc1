"""The two ways in which an evaluation ends early: the kernel's failure and our own."""

from dataclasses import dataclass, field
from typing import Literal

Status = Literal[
    "compile_error",
    "incorrect_shape",
    "incorrect_dtype",
    "incorrect_numerical",
    "runtime_error",
    "timeout",
    "rejected",
]


@dataclass(frozen=True)
class Guard:
    """What a guard saw. `id` is an exploit of spec/backends.md 5.2 (`X07`) or a rule of our own (`K01`)."""

    id: str
    level: Literal["info", "warn", "reject"]
    evidence: str


@dataclass
class KernelFailure(Exception):
    """The kernel is wrong: a verdict that teaches the model, never an accident of ours.

    `message` is one or two sentences; `detail` is what the model needs beyond it (compiler output, trace-back);
    `raised` the type of the exception, if the worker told of one.
    """

    status: Status
    message: str
    detail: str = ""
    guard: Guard | None = field(default=None)
    raised: str = ""

    def __str__(self) -> str:
        """Return `status: message`."""
        return f"{self.status}: {self.message}"


class InfraError(Exception):
    """The referee or its host is at fault; the request may succeed elsewhere or later."""


class ProblemFault(InfraError):
    """The problem is at fault: no kernel can be judged on it, on any host, until its author mends it."""


class TimeUp(Exception):
    """`limits.totalMs` ran out; whose fault that is depends on who used it."""


def rejected(guard_id: str, evidence: str) -> KernelFailure:
    """Return the failure of a kernel that broke a rule of the game."""
    return KernelFailure("rejected", evidence, guard=Guard(guard_id, "reject", evidence))


class InputError(ValueError):
    """A workload from which no inputs can be made; the message says what its author has to change."""
