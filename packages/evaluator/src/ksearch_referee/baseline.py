"""KernelBench's other baseline: the problem's own model by torch's compiler, timed beside the reference.

The compiler starts processes, which no kernel may, and runs no code but the problem's: so it works in a builder, whose
answers are believed as the reference's are.
"""

import tempfile
from pathlib import Path

from ksearch_referee.caches import CacheFlush
from ksearch_referee.calls import call
from ksearch_referee.failures import InfraError, KernelFailure
from ksearch_referee.folders import remove_folder
from ksearch_referee.formats.kernelbench import KernelBench
from ksearch_referee.reference import compare, draw_inputs, fit, greet, reference_call
from ksearch_referee.runner import Runner
from ksearch_referee.session import Record, Session
from ksearch_referee.side import Side
from ksearch_referee.statistics import point


def start_compiled(session: Session, problem: KernelBench) -> Runner:
    """Start a worker with the compiled model; the reference has been loaded.

    Raises:
        InfraError: it does not start, or this host cannot compile.
    """
    folder = Path(tempfile.mkdtemp(prefix="ksearch-compiled-"))
    session.cleanup.callback(remove_folder, folder)
    builder = session.start_worker("compiled reference", session.reference_framework, compiled=folder, builds=True)
    greet(session, [builder])
    builder.allowance_s = session.settings["limits"]["buildMs"] / 1_000
    try:
        problem.load_compiled(builder)
    except KernelFailure as failure:
        raise _not_compiled(failure) from None
    fit(session, [builder])
    return builder


def _not_compiled(failure: KernelFailure) -> InfraError:
    return InfraError(f"torch.compile of the reference fails here: {failure.message}\n{failure.detail}".strip())


def time_baseline(session: Session, side: Side, builder: Runner, record: Record) -> tuple[int, int]:
    """Time reference and compiled model in turn, on the same inputs; return both by the settings' statistic, ns.

    Raises:
        InfraError: the compiled model fails, or its outputs are not the reference's.
        ProblemFault, InputError: the reference fails.
    """
    timing = session.settings["timing"]
    flush = CacheFlush() if timing["flushCache"] else None
    eager_ns: list[int] = []
    compiled_ns: list[int] = []
    for trial in range(timing["warmup"] + timing["iterations"]):
        values = draw_inputs(session, side, record, "timing", trial)
        rng = session.rng("poison", record.index, trial)
        expected = reference_call(side.reference, record, values, rng, flush)
        builder.allowance_s = session.settings["limits"]["buildMs" if trial == 0 else "workloadMs"] / 1_000
        try:
            made = call(builder, record.layout, values, rng, flush)
        except KernelFailure as failure:
            raise _not_compiled(failure) from None
        if trial == 0 and not compare(session, side, record, values, made.outputs, expected.outputs).correct:
            raise InfraError("torch.compile of the reference gives other outputs than the reference: it is no baseline")
        if trial >= timing["warmup"]:
            eager_ns.append(expected.claimed_ns)
            compiled_ns.append(made.claimed_ns)
    statistic = timing["statistic"]
    return max(1, round(point(eager_ns, statistic))), max(1, round(point(compiled_ns, statistic)))
