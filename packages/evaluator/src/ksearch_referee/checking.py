"""Correctness: calls on fresh inputs, compared with the reference's outputs on the same inputs."""

from collections.abc import Sequence
from queue import SimpleQueue
from threading import Event

import numpy as np

from ksearch_referee.caches import CacheFlush
from ksearch_referee.calls import Call, Clock, Values, call
from ksearch_referee.compare import Comparison
from ksearch_referee.failures import Guard, KernelFailure
from ksearch_referee.judgement import Judgement
from ksearch_referee.preparation import Workers, drop_incumbent, serve
from ksearch_referee.reference import compare, draw_inputs, reference_call
from ksearch_referee.session import Purpose, Record


def wrong_numbers(record: Record, comparison: Comparison) -> KernelFailure:
    """Return the failure of a kernel whose outputs differ from the reference's."""
    guard = None
    if comparison.missing:
        message = f"wrong numbers in workload {record.case.id}: {comparison.missing}"
        guard = Guard("X22", "reject", comparison.missing)
    elif comparison.complaint:
        message = f"wrong numbers in workload {record.case.id}: {comparison.complaint}"
    elif comparison.bad:
        first = comparison.bad[0]
        place = f"{first['output']}{first['index']}: got {first['got']}, want {first['want']}"
        message = f"wrong numbers in workload {record.case.id}: {place}"
    else:
        message = f"workload {record.case.id}: the rms error is {comparison.rms_rel:.3g} of the reference's rms"
    return KernelFailure("incorrect_numerical", message, guard=guard)


def note(session: Judgement, workers: Workers, record: Record, values: Values, outputs: Call, expected: Call) -> None:
    """Compare one call with the reference and remember the worst.

    Raises:
        KernelFailure: `incorrect_numerical`.
    """
    comparison = compare(session, workers.side, record, values, outputs.outputs, expected.outputs)
    record.comparison = comparison.merge(record.comparison) if record.comparison else comparison
    if not comparison.correct:
        raise wrong_numbers(record, comparison)


def incumbent_call(
    session: Judgement,
    workers: Workers,
    record: Record,
    values: Values,
    rng: np.random.Generator,
    flush: CacheFlush | None = None,
    clock: Clock = "host",
) -> Call | None:
    """Call the incumbent, if there still is one: one that fails drops out."""
    if workers.incumbent is None:
        return None
    try:
        return call(workers.incumbent, record.layout, values, rng, flush, clock)
    except KernelFailure as failure:
        drop_incumbent(session, workers, failure)
        return None


def check_incumbent(
    session: Judgement, workers: Workers, record: Record, values: Values, outputs: Call, expected: Call
) -> None:
    """Compare a call of the incumbent with the reference: one that goes wrong drops out."""
    comparison = compare(session, workers.side, record, values, outputs.outputs, expected.outputs)
    if not comparison.correct:
        drop_incumbent(session, workers, wrong_numbers(record, comparison))


def _trial(session: Judgement, workers: Workers, record: Record, purpose: Purpose, trial: int) -> None:
    """Call every kernel on the same inputs: the incumbent too, or its first call would tell it what it is."""
    values = draw_inputs(session, workers.side, record, purpose, trial)
    rng = session.rng("poison", record.index, trial)
    expected = reference_call(workers.reference, record, values, rng)
    record.trials += 1
    incumbent_first = session.shuffle.random() < 0.5  # or its turn would tell a kernel which of the two it is
    old = incumbent_call(session, workers, record, values, rng) if incumbent_first else None
    made = call(workers.kernel, record.layout, values, rng)
    if not incumbent_first:
        old = incumbent_call(session, workers, record, values, rng)
    if old is not None:
        check_incumbent(session, workers, record, values, old, expected)
    note(session, workers, record, values, made, expected)


def _check_workload(session: Judgement, workers: Workers, record: Record, purpose: Purpose, trials: int) -> None:
    """Check one workload on `trials` input sets.

    Raises:
        KernelFailure: anything but right outputs.
    """
    allowance_s = session.settings["limits"]["workloadMs"] / 1_000
    try:
        serve(session, workers, record.index)
        for runner in workers.present:
            runner.allowance_s = allowance_s
        for trial in range(trials):
            _trial(session, workers, record, purpose, trial)
    except KernelFailure as failure:
        record.status = failure.status
        raise
    record.status = "passed"


def check(
    session: Judgement, sets: Sequence[Workers], records: Sequence[Record], purpose: Purpose, trials: int
) -> None:
    """Check workloads, as many at once as there are sets of workers.

    Wrong numbers let the other workloads run; anything else ends it.

    Raises:
        KernelFailure: one that was found.
    """
    free: SimpleQueue[Workers] = SimpleQueue()
    for workers in sets:
        free.put(workers)
    failures: dict[int, KernelFailure] = {}
    over = Event()

    def check_one(place: int) -> None:
        if over.is_set():
            return
        workers = free.get()
        try:
            _check_workload(session, workers, records[place], purpose, trials)
        except KernelFailure as failure:
            failures[place] = failure
            if failure.status != "incorrect_numerical":
                over.set()
        except BaseException:
            over.set()
            raise
        finally:
            free.put(workers)

    if len(sets) == 1:
        for place in range(len(records)):
            check_one(place)
    else:
        list(session.pool.map(check_one, range(len(records))))
    if failures:
        raise session.pick([failures[place] for place in sorted(failures)])
