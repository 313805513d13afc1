"""The reference alone: on a GPU, whether it was as quick beside the kernel's process as it is without it (K13).

A worker that is stopped leaves the device what it has launched, and that goes on: it takes the device away from the
reference, whose times then flatter every kernel. No clock of a call can tell. So, when all else is over and the
kernel's process has ended, the reference is timed once more.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ksearch_referee.calls import Call, claims_ns
from ksearch_referee.failures import Guard, rejected
from ksearch_referee.judgement import Judgement
from ksearch_referee.preparation import Workers
from ksearch_referee.reference import draw_inputs, reference_call
from ksearch_referee.session import Record

_CALLS = 7
_WARMUP = 2
_ALONE_TRIALS = 2_000_000_000  # far from the trials of every take: nobody has seen these inputs
# Beside the kernel the reference may take so much of its time alone, and so many ns more. Of 40 to 100 us that torch's
# operators take for next to nothing, half is by chance: whether the process had stood still, and for how long.
_TOLD_RATIO, _TOLD_NS = 1.25, 100_000
_REFUSED_RATIO, _REFUSED_NS = 2.0, 200_000


def _times_alone(session: Judgement, workers: Workers, record: Record) -> list[int]:
    workers.reference.allowance_s = session.settings["limits"]["workloadMs"] / 1_000
    clock = session.clock if workers.reference.stages else "host"
    calls: list[Call] = []
    for trial in range(_ALONE_TRIALS, _ALONE_TRIALS + _CALLS):
        values = draw_inputs(session, workers.side, record, "timing", trial)
        rng = session.rng("poison", record.index, trial)
        made = reference_call(workers.reference, record, values, rng, session.flush_caches, clock)
        calls.append(replace(made, outputs={}))
    return claims_ns(calls[_WARMUP:])


def compare_alone(beside_ns: Sequence[int], alone_ns: Sequence[int]) -> Guard | None:
    """Return what is to be said of a reference that was slower beside the kernel than alone: then the latter counts.

    Raises:
        KernelFailure: `rejected`; it was slower by far.
    """
    beside, alone = float(np.median(beside_ns)), float(np.median(alone_ns))
    evidence = f"the reference takes {beside:.0f} ns beside this kernel's process and {alone:.0f} ns without it"
    if beside > alone * _REFUSED_RATIO + _REFUSED_NS:
        raise rejected("K13", evidence)
    if beside > alone * _TOLD_RATIO + _TOLD_NS:
        return Guard("K13", "warn", f"{evidence}: the latter counts")
    return None


def check_alone(session: Judgement, workers: Workers) -> None:
    """End the kernels' processes and time the reference once more, on every workload that has times.

    Raises:
        KernelFailure: `rejected` (K13).
        ProblemFault: the reference fails.
    """
    for runner in (workers.kernel, workers.incumbent):
        if runner is not None:
            runner.retire()
    with session.slot.exclusive() as waited_s:
        session.total.exclude(waited_s)
        for record in session.records:
            if record.times is None:
                continue
            alone_ns = _times_alone(session, workers, record)
            guard = compare_alone(record.times.reference, alone_ns)
            if guard is not None:
                session.note(record, guard)
                record.times.reference = alone_ns
