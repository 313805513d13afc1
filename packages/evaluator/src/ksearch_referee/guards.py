"""Guards over the timed calls of one workload: two clocks that must agree, and no work outside of a call.

An honest kernel must never be refused: thresholds are taken from the reference's worker, which makes the same copies
of the same bytes on the same host at the same time, with room for several times its figure.
"""

import os
from collections.abc import Sequence

import numpy as np

from ksearch_referee.calls import Call
from ksearch_referee.failures import Guard, rejected

_GAP_SLACK_NS = 2_000_000
_GAP_FACTOR = 4
_IDLE_SLACK_NS = 5_000_000
_IDLE_NS_PER_CALL_AND_CPU = 1_000_000


def check_clocks(kernel: Sequence[Call], reference: Sequence[Call]) -> None:
    """Refuse a kernel whose worker is busy for much longer than the time it claims (X11).

    The *gap* is the driver's wall time around a call, less the claim. Its median may be four times the reference's,
    plus 2 ms, plus half of the claim: scheduling delays of a loaded host hit both workers alike, and a median does not
    move for single delays. What stays hidden below that is under 2 ms a call.

    Raises:
        KernelFailure: `rejected`.
    """
    gap_ns = float(np.median([c.gap_ns for c in kernel]))
    claimed_ns = float(np.median([c.claimed_ns for c in kernel]))
    usual_ns = float(np.median([c.gap_ns for c in reference]))
    if gap_ns > _GAP_FACTOR * usual_ns + _GAP_SLACK_NS + claimed_ns / 2:
        raise rejected(
            "X11",
            f"the worker claims {claimed_ns:.0f} ns a call but was busy for {gap_ns:.0f} ns more"
            f" (the reference: {usual_ns:.0f} ns more)",
        )


def check_idle(kernel: Sequence[Call]) -> None:
    """Refuse a kernel whose threads work while nobody has called it (X16).

    While its arguments are copied the worker needs one thread. Threads of a pool that spin for a moment before they
    sleep get 1 ms a call and CPU (OpenBLAS spins for 0.4 ms here, OpenMP not at all).

    Raises:
        KernelFailure: `rejected`.
    """
    idle_ns = sum(c.idle_cpu_ns for c in kernel)
    others = len(os.sched_getaffinity(0)) - 1
    if idle_ns > _IDLE_SLACK_NS + len(kernel) * others * _IDLE_NS_PER_CALL_AND_CPU:
        raise rejected("X16", f"threads of the kernel used {idle_ns} ns of CPU time outside of {len(kernel)} calls")


def check_threads(before: int, after: int) -> Guard | None:
    """Refuse a kernel that leaves more and more threads behind (X16); note one whose pool grew.

    `before` is counted after the warm-up calls, when pools exist. A pool may still grow by one thread a CPU.

    Raises:
        KernelFailure: `rejected`.
    """
    if after <= before:
        return None
    evidence = f"the kernel's process had {before} threads before the timed calls and {after} after them"
    if after - before > len(os.sched_getaffinity(0)):
        raise rejected("X16", evidence)
    return Guard("X16", "warn", evidence)
