"""Timing of one workload: candidate, incumbent and reference in turn, on the same inputs, each call checked."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

from ksearch_referee import device_times, guards, roofline
from ksearch_referee.caches import CacheFlush
from ksearch_referee.calls import Call, Clock, Values, call, claims_ns, idle_call
from ksearch_referee.checking import check_incumbent, incumbent_call, note
from ksearch_referee.failures import Guard, InfraError, KernelFailure, rejected
from ksearch_referee.judgement import Judgement
from ksearch_referee.nvml import GpuState
from ksearch_referee.preparation import Workers, drop_incumbent, serve
from ksearch_referee.reference import draw_inputs, gpu_rests, reference_call, reference_failed
from ksearch_referee.session import Purpose, Record, Times
from ksearch_referee.statistics import point
from ksearch_referee.wire import TimingSettings

_ORDERS = tuple(permutations(("incumbent", "kernel", "reference", "idle")))
_MAX_IDLE_NS = 5_000_000
_MOST_TAKES = 3
_RESTS = 20  # of 0.1 s each: what the end of a process with work on a GPU may take
_DEVICE_CALLS = 10
_MOST_CALLS = 200
_TRIALS_APART = 1_000_000  # more than a take has: no take sees the inputs of another


def timed_calls(timing: TimingSettings, warmup: Sequence[Call]) -> int:
    """Return how often a workload is timed: what the settings say, or as many calls as the reference makes in a target.

    Args:
        timing: the settings.
        warmup: the reference's own warm-up calls. The candidate's never count: it could ask for few calls, or many.
    """
    least, target_ms = timing["iterations"], timing["targetMs"]
    if target_ms is None or not warmup:
        return least
    call_ns = max(1.0, point(claims_ns(warmup), "median"))
    return max(least, min(_MOST_CALLS, math.ceil(target_ms * 1e6 / call_ns)))


class _Round:
    """Calls of one workload: in every trial each kernel is called, and once none, in an order that is drawn.

    So drift, and who went before, hit all alike, and a kernel cannot tell from the pauses which of them it is.

    Args:
        session: the judgement.
        workers: whose kernels are called.
        record: the workload.
        clock: what to time them by, as far as they work on the GPU.
    """

    def __init__(self, session: Judgement, workers: Workers, record: Record, clock: Clock = "host") -> None:
        self._session = session
        self._workers = workers
        self._record = record
        self._clock: Clock = clock
        self._orders: list[tuple[str, ...]] = []
        self._checked = session.settings["correctness"]["checkTimed"] == "all"
        self._idle_ns = 0
        self._before = "kernel"
        self._wakings_before = workers.kernel.wakings
        self.clocks: tuple[GpuState, GpuState] | None = None
        self.kernel: list[Call] = []
        self.reference: list[Call] = []
        self.incumbent: list[Call] = []
        self.idle: list[Call] = []
        self._calls = {
            "kernel": self.kernel,
            "reference": self.reference,
            "incumbent": self.incumbent,
            "idle": self.idle,
        }

    def _order(self) -> tuple[str, ...]:
        if not self._orders:
            self._orders = [_ORDERS[i] for i in self._session.shuffle.permutation(len(_ORDERS))]
        return self._orders.pop()

    def _await_rest(self) -> None:
        """On a GPU, wait until what the last call may have left there is over: it would slow the next one down.

        A stopped process has work on a GPU go on. Whoever leaves it there would have others look slow. Whose it was
        shows when that process has ended.

        Raises:
            KernelFailure: the kernel's work does not end before it does (X16).
            InfraError: somebody else is at work there.
        """
        workers = self._workers
        if self._session.gpu is None or gpu_rests(workers.reference):
            return
        incumbent = workers.incumbent if self._before == "incumbent" else None
        (incumbent or workers.kernel).retire()
        if not any(gpu_rests(workers.reference) for _ in range(_RESTS)):
            raise InfraError("something else keeps this GPU busy: times taken beside it would mean nothing")
        failure = rejected("X16", f"the {self._before} left work on the GPU that kept it busy after the call")
        if incumbent is None:
            raise failure
        drop_incumbent(self._session, workers, failure)

    def _idle_call(self, values: Values, trial: int, flush: CacheFlush | None) -> Call:
        rng = self._session.rng("poison", self._record.index, trial)
        try:
            return idle_call(
                self._workers.reference, self._record.layout, values, rng, flush, self._idle_ns, self._clock
            )
        except KernelFailure as failure:
            raise reference_failed(failure) from None

    def _call(self, role: str, values: Values, trial: int, flush: CacheFlush | None) -> Call | None:
        session, workers, record = self._session, self._workers, self._record
        rng = session.rng("poison", record.index, trial)
        if role == "kernel":
            return call(workers.kernel, record.layout, values, rng, flush, self._clock)
        if role == "reference":
            clock = self._clock if workers.reference.stages else "host"
            return reference_call(workers.reference, record, values, rng, flush, clock)
        if role == "incumbent":
            return incumbent_call(session, workers, record, values, rng, flush, self._clock)
        return self._idle_call(values, trial, flush)

    def play(self, purpose: Purpose, trial: int, values: Values) -> None:
        """Call each kernel once on `values`."""
        flush = self._session.flush_caches if purpose != "warmup" else None
        session, workers, record = self._session, self._workers, self._record
        record.note_roofline(roofline.of(session.request["problem"], record.layout, values))
        made: dict[str, Call | None] = {}
        for role in self._order():
            self._await_rest()
            self._before = role if role in ("kernel", "incumbent") else self._before
            made[role] = self._call(role, values, trial, flush)
        kernel, reference, incumbent = made["kernel"], made["reference"], made["incumbent"]
        if kernel is not None and reference is not None and self._checked:
            if incumbent is not None:
                check_incumbent(session, workers, record, values, incumbent, reference)
            note(session, workers, record, values, kernel, reference)
            record.checked_timed += purpose == "timing"
        if workers.incumbent is None:
            made["incumbent"] = None
        for role, calls in self._calls.items():
            one = made[role]
            if one is not None:
                calls.append(replace(one, outputs={}))  # they may be large, and nothing looks at them any more

    def unclaimed_ns(self, calls: Sequence[Call]) -> int:
        """Return what these calls, the kernel's or the incumbent's, took beyond their claims."""
        return guards.unclaimed_ns(calls, self.idle, self.reference)

    def check_claims(self, calls: Sequence[Call]) -> Guard | None:
        """Refuse claims that are far off; see `guards.check_claims`."""
        return guards.check_claims(calls, self.idle, self.reference)

    @property
    def doubt_ns(self) -> int:
        """What kernel and incumbent together took beyond their claims."""
        return sum(self.unclaimed_ns(calls) for calls in (self.kernel, self.incumbent) if calls)

    @property
    def wakings(self) -> int:
        """How often the kernel's process ran while it was stopped, since this round began."""
        return self._workers.kernel.wakings - self._wakings_before

    @property
    def is_doubtful(self) -> bool:
        """Whether these calls are worth another look."""
        unclaimed_ns = self.unclaimed_ns(self.kernel)
        if self.wakings > 0 or guards.is_grave(unclaimed_ns, self.kernel):
            return True
        if self.incumbent and guards.is_grave(self.unclaimed_ns(self.incumbent), self.incumbent):
            return True
        return guards.is_below([c.claimed_ns + unclaimed_ns for c in self.kernel], self._session.floor_ns(self._record))

    def forget(self) -> None:
        """Drop the calls so far: they were the warm-up. From here on an idle call is as long as the kernel's last."""
        if self.kernel:
            self._idle_ns = min(self.kernel[-1].claimed_ns, _MAX_IDLE_NS)
        for calls in self._calls.values():
            calls.clear()


def _take(session: Judgement, workers: Workers, record: Record, first_trial: int = 0, clock: Clock = "host") -> _Round:
    """Warm up and call every kernel as often as the settings say."""
    timing = session.settings["timing"]
    for runner in workers.present:
        runner.allowance_s = session.settings["limits"]["workloadMs"] / 1_000
    rounds = _Round(session, workers, record, clock)
    for trial in range(first_trial, first_trial + timing["warmup"]):
        rounds.play("warmup", trial, draw_inputs(session, workers.side, record, "warmup", trial))
    count = timed_calls(timing, rounds.reference)
    rounds.forget()
    threads = len(workers.kernel.threads)
    before = session.nvml and session.nvml.look()
    values = draw_inputs(session, workers.side, record, "timing", first_trial)
    for trial in range(first_trial, first_trial + count):
        if timing["inputs"] == "fresh" and trial > first_trial:
            values = draw_inputs(session, workers.side, record, "timing", trial)
        rounds.play("timing", trial, values)
    if session.nvml and before:
        rounds.clocks = before, session.nvml.look()
    grown = guards.check_threads(threads, len(workers.kernel.threads))
    if grown is not None:
        session.guards.append(grown)
    return rounds


def _best_take(session: Judgement, workers: Workers, record: Record) -> _Round:
    """Take times again while they are doubtful: noise does not last, a lie does.

    Raises:
        KernelFailure: the kernel's process woke itself in every take.
    """
    takes: list[_Round] = []
    while len(takes) < _MOST_TAKES:
        takes.append(_take(session, workers, record, len(takes) * _TRIALS_APART))
        if not takes[-1].is_doubtful:
            return takes[-1]
    best = min(takes, key=lambda rounds: (rounds.wakings, rounds.doubt_ns))
    guards.check_sleep(best.wakings)
    return best


def _note_clocks(session: Judgement, rounds: _Round, record: Record) -> None:
    if rounds.clocks is not None:
        session.note(record, session.note_clocks(*rounds.clocks))


def _published_times(session: Judgement, workers: Workers, record: Record) -> Times:
    """Take times as published figures are taken: the workers' own claims, on a GPU by events around each call."""
    rounds = _take(session, workers, record, clock=session.clock)
    _note_clocks(session, rounds, record)
    return Times(claims_ns(rounds.kernel), claims_ns(rounds.reference), claims_ns(rounds.incumbent))


def _hardened_times(session: Judgement, workers: Workers, record: Record) -> Times:
    """Take times that count as far as the driver's clocks bear them out."""
    rounds = _best_take(session, workers, record)
    _note_clocks(session, rounds, record)
    times = _times(session, workers, rounds, record)
    record.undercut_ns = guards.undercut_ns(rounds.kernel, rounds.idle, rounds.reference)
    return times


def _times(session: Judgement, workers: Workers, rounds: _Round, record: Record) -> Times:
    """Return the claims, raised to what the driver's clocks saw; say in a guard where that changes something."""
    shortest_ns = guards.shortest_ns(rounds.idle)

    def raised(calls: Sequence[Call], unclaimed_ns: int) -> list[int]:
        return [max(c.claimed_ns + unclaimed_ns, shortest_ns) for c in calls]

    guards.check_preparation(rounds.kernel, rounds.idle, rounds.reference)
    found = [rounds.check_claims(rounds.kernel), guards.check_host([*rounds.reference, *rounds.idle])]
    kernel = raised(rounds.kernel, rounds.unclaimed_ns(rounds.kernel))
    found.append(guards.check_shortness(kernel, rounds.idle))
    for guard in found:
        session.note(record, guard)
    incumbent: list[int] = []
    if workers.incumbent is not None:
        try:
            rounds.check_claims(rounds.incumbent)
            incumbent = raised(rounds.incumbent, rounds.unclaimed_ns(rounds.incumbent))
        except KernelFailure as failure:
            drop_incumbent(session, workers, failure)
    return Times(kernel, raised(rounds.reference, 0), incumbent, rounds.doubt_ns)


def _device_take(
    session: Judgement, workers: Workers, record: Record, call: Times, first_trial: int
) -> tuple[Times, list[Guard]]:
    """Ask the GPU's own clock, and return what may be believed of it, with the reasons."""
    for runner in workers.present:
        runner.allowance_s = session.settings["limits"]["workloadMs"] / 1_000
    rounds = _Round(session, workers, record, "device")
    for trial in range(first_trial, first_trial + min(session.settings["timing"]["iterations"], _DEVICE_CALLS)):
        rounds.play("device", trial, draw_inputs(session, workers.side, record, "device", trial))
    return device_times.believed(rounds.kernel, rounds.reference, rounds.incumbent, rounds.idle, call)


def _device_times(session: Judgement, workers: Workers, record: Record, call: Times) -> Times:
    """Ask the GPU's own clock, after the timed calls; again while it says what cannot be.

    Raises:
        KernelFailure: a call failed or was wrong, or every take was below the floor.
    """
    floor_ns = session.floor_ns(record)
    times, found = _device_take(session, workers, record, call, 0)
    for take in range(1, _MOST_TAKES):
        if guards.is_below(times.kernel, floor_ns):
            times, found = _device_take(session, workers, record, call, take * _TRIALS_APART)
    guards.check_floor(times.kernel, floor_ns, "a device time")
    for guard in found:
        session.note(record, guard)
    return times


def time_workload(session: Judgement, workers: Workers, record: Record) -> None:
    """Time one workload, alone on this host as far as judges go.

    Raises:
        KernelFailure: a timed call failed or was wrong, or a guard refused.
    """
    with session.slot.exclusive() as waited_s:
        session.total.exclude(waited_s)
        try:
            serve(session, workers, record.index)
            take = _hardened_times if session.settings["profile"] == "hardened" else _published_times
            times = take(session, workers, record)
            guards.check_floor(times.kernel, session.floor_ns(record), "a call time")
            record.times = times
            if session.stages:
                record.device = _device_times(session, workers, record, record.times)
        except KernelFailure as failure:
            record.status = failure.status
            raise
    session.device_ns += sum(record.times.kernel)
