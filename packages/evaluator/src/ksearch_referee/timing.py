"""Timing of one workload: candidate, incumbent and reference in turn, on the same inputs, each call checked."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from ksearch_referee import guards
from ksearch_referee.calls import Call, call
from ksearch_referee.checking import note, reference_call
from ksearch_referee.failures import KernelFailure
from ksearch_referee.preparation import Workers, drop_incumbent
from ksearch_referee.session import Purpose, Record, Session, Times

_ORDERS = tuple(permutations(("incumbent", "kernel", "reference")))


class _Round:
    """Calls of one workload, in every order in turn: drift, and who went before, hit all kernels alike."""

    def __init__(self, session: Session, workers: Workers, record: Record) -> None:
        self._session = session
        self._workers = workers
        self._record = record
        self._checked = session.settings["correctness"]["checkTimed"] == "all"
        self._flushed = session.settings["timing"]["flushCache"]
        self.kernel: list[Call] = []
        self.reference: list[Call] = []
        self.incumbent: list[Call] = []

    def play(self, purpose: Purpose, trial: int, values: Mapping[str, Any]) -> None:
        """Call each kernel once on `values`."""
        for role in _ORDERS[trial % len(_ORDERS)]:
            self._call(role, purpose, trial, values)
        if self._checked:
            note(self._session, self._record, self.kernel[-1], self.reference[-1])
            self._record.checked_timed += purpose == "timing"

    def _call(self, role: str, purpose: Purpose, trial: int, values: Mapping[str, Any]) -> None:
        session, workers, layout = self._session, self._workers, self._record.layout
        rng = session.rng("poison", self._record.index, trial)
        flush = self._flushed and purpose == "timing"
        if role == "kernel":
            self.kernel.append(call(workers.kernel, layout, values, rng, flush=flush))
        elif role == "reference":
            self.reference.append(reference_call(session, workers, self._record, values, rng, flush=flush))
        elif workers.incumbent is not None:
            try:
                self.incumbent.append(call(workers.incumbent, layout, values, rng, flush=flush))
            except KernelFailure as failure:
                drop_incumbent(session, workers, failure)

    def forget(self) -> None:
        """Drop the calls so far: they were the warm-up."""
        for calls in (self.kernel, self.reference, self.incumbent):
            calls.clear()


def _claims(calls: Sequence[Call]) -> list[int]:
    return [c.claimed_ns for c in calls]


def _take_times(session: Session, workers: Workers, record: Record) -> None:
    timing = session.settings["timing"]
    rounds = _Round(session, workers, record)
    for trial in range(timing["warmup"]):
        rounds.play("warmup", trial, session.inputs(record, "warmup", trial))
    rounds.forget()
    threads = workers.kernel.thread_count
    values = session.inputs(record, "timing")
    for trial in range(timing["iterations"]):
        if timing["inputs"] == "fresh" and trial > 0:
            values = session.inputs(record, "timing", trial)
        rounds.play("timing", trial, values)
    grown = guards.check_threads(threads, workers.kernel.thread_count)
    if grown is not None:
        session.guards.append(grown)
    guards.check_clocks(rounds.kernel, rounds.reference)
    guards.check_idle(rounds.kernel)
    record.times = Times(_claims(rounds.kernel), _claims(rounds.reference), _claims(rounds.incumbent))
    session.device_ns += sum(record.times.kernel)


def time_workload(session: Session, workers: Workers, record: Record) -> None:
    """Time one workload, alone on this host as far as judges go.

    Raises:
        KernelFailure: a timed call failed or was wrong, or a guard refused.
    """
    with session.slot.exclusive() as waited_s:
        session.total.exclude(waited_s)
        for runner in (workers.kernel, workers.reference, workers.incumbent):
            if runner is not None:
                runner.allowance_s = session.settings["limits"]["workloadMs"] / 1_000
        try:
            _take_times(session, workers, record)
        except KernelFailure as failure:
            record.status = failure.status
            raise
