"""The problem's side: its code in a worker of its own, the inputs, what is right, and how outputs compare with that."""

from collections.abc import Sequence

import numpy as np

from ksearch_referee.caches import CacheFlush
from ksearch_referee.calls import Call, Clock, Outputs, Values, call
from ksearch_referee.compare import Comparison
from ksearch_referee.environment import available_bytes, require_torch
from ksearch_referee.failures import InfraError, KernelFailure, ProblemFault
from ksearch_referee.keeper import Held, Keeper
from ksearch_referee.runner import Runner
from ksearch_referee.session import Purpose, Record, Session
from ksearch_referee.side import Side


def reference_failed(failure: KernelFailure) -> ProblemFault:
    """Return the reference's failure as what it is: the problem's fault, not the kernel's."""
    return ProblemFault(f"the problem's reference failed: {failure.message}\n{failure.detail}".strip())


def start_side(session: Session) -> Side:
    """Start the workers of the problem's side, with nothing else beside them.

    Raises:
        InfraError: they do not start, or need torch.
    """
    framework = session.reference_framework
    if framework != "numpy":
        require_torch()
    reference = session.start_worker("reference", framework)
    side = Side(reference, start_keeper(session))
    greet(session, side.runners)
    try_sharing(session, side)
    return side


def start_keeper(session: Session) -> Keeper | None:
    """Start the keeper, where kernels get their tensors on a GPU."""
    if not session.stages:
        return None
    return Keeper(session.start_worker("keeper", session.reference_framework, keeps=True))


def try_sharing(session: Session, side: Side) -> None:
    """Find out how tensors get from process to process; both workers are up, and hold no foreign code."""
    if side.keeper is not None:
        side.keeper.try_sharing(side.reference)
        session.shares_memory = side.keeper.shares


def greet(session: Session, runners: Sequence[Runner]) -> None:
    """Wait until workers are up, before any of them holds foreign code.

    Raises:
        InfraError: one does not start: this host, or `limits.memoryMb`, is at fault.
    """
    for runner in runners:
        try:
            session.isolation = runner.greet()
        except KernelFailure as failure:
            raise InfraError(f"a worker did not start: {failure.message}\n{failure.detail}".strip()) from None


def fit(session: Session, runners: Sequence[Runner]) -> None:
    """Make room for every workload.

    Raises:
        InfraError: a worker, or this host, cannot hold so much.
    """
    sizes = [_arena_bytes(session, runner) for runner in runners]
    wanted, available = sum(sizes) + session.arena_bytes, available_bytes()
    if wanted > available:
        raise InfraError(
            f"no room for tensors of {session.arena_bytes:,} bytes: with the driver's {len(runners) + 1} processes hold"
            f" {wanted:,} bytes of them, and {available:,} are free here"
        )
    for runner, nbytes in zip(runners, sizes, strict=True):
        try:
            runner.fit(nbytes)
        except KernelFailure as failure:
            raise InfraError(f"no room for tensors of {nbytes:,} bytes: {failure.message}") from None


def _arena_bytes(session: Session, runner: Runner) -> int:
    """Return what passes through a worker's arena: of one that gets its tensors on the GPU, weights alone."""
    if not session.shares_memory or not runner.stages or runner.keeps:
        return session.arena_bytes
    return session.problem.weights.nbytes if session.problem.weights else 0


def load_problem(session: Session, side: Side) -> None:
    """Load the problem and, the first time, learn its sizes.

    Raises:
        KernelFailure: the problem's code fails.
        ProblemFault, InputError, DtypeError: the problem cannot be held in memory.
    """
    if session.problem.cpp is not None:
        session.build_task(session.problem.cpp)
    workload_s = session.settings["limits"]["workloadMs"] / 1_000
    for runner in side.runners if session.problem.makes_inputs else [side.reference]:
        runner.allowance_s = max(runner.allowance_s, workload_s)
        session.problem.load_reference(runner, session.rng("weights"))
    if session.arena_bytes == 0:
        layouts = session.problem.layouts(side, session.rng("learn"))
        for record, layout in zip(session.records, layouts, strict=True):
            record.layout = layout
        weights = session.problem.weights
        session.arena_bytes = max(layout.nbytes for layout in [*layouts, *([weights] if weights else [])])


def gpu_rests(reference: Runner) -> bool:
    """Wait until nothing but this worker uses the GPU; False if that does not come about within 0.1 s.

    Raises:
        ProblemFault: the worker fails.
    """
    try:
        return reference.exchange("rest").frame["rests"] is True
    except KernelFailure as failure:
        raise reference_failed(failure) from None


def draw(session: Session, side: Side, record: Record, purpose: Purpose, trial: int) -> Values:
    """Draw the inputs of one call; on a GPU the keeper has them.

    Raises:
        KernelFailure, ProblemFault, InputError: none can be made.
    """
    values = session.problem.inputs(side, record.index, session.rng(purpose, record.index, trial))
    if side.keeper is None or isinstance(values, Held):
        return values
    return side.keeper.upload(record.layout.tensors, values)


def draw_inputs(session: Session, side: Side, record: Record, purpose: Purpose, trial: int) -> Values:
    """Draw the inputs of one call, as `draw` does.

    Raises:
        ProblemFault, InputError: none can be made.
    """
    if side.keeper is not None:
        side.keeper.runner.allowance_s = session.settings["limits"]["workloadMs"] / 1_000
    try:
        return draw(session, side, record, purpose, trial)
    except KernelFailure as failure:
        raise reference_failed(failure) from None


def reference_call(
    reference: Runner,
    record: Record,
    values: Values,
    rng: np.random.Generator,
    flush: CacheFlush | None = None,
    clock: Clock = "host",
) -> Call:
    """Call the reference.

    Raises:
        ProblemFault: it fails.
    """
    try:
        return call(reference, record.layout, values, rng, flush, clock)
    except KernelFailure as failure:
        raise reference_failed(failure) from None


def compare(session: Session, side: Side, record: Record, values: Values, got: Outputs, want: Outputs) -> Comparison:
    """Compare outputs with the reference's on the same inputs, as the problem's format does.

    Raises:
        ProblemFault: the problem's own check fails.
    """
    try:
        return session.problem.compare(side, record.layout, values, got, want)
    except KernelFailure as failure:
        raise reference_failed(failure) from None
