"""A look at a problem before money is spent on it: whether its reference works, and trivial answers fail (X21)."""

import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from ksearch_referee import contract
from ksearch_referee.baseline import start_compiled, time_baseline
from ksearch_referee.calls import Outputs, Values, call
from ksearch_referee.diagnostics import raised_at
from ksearch_referee.dtypes import DtypeError
from ksearch_referee.environment import describe
from ksearch_referee.failures import InfraError, InputError, KernelFailure, ProblemFault, TimeUp
from ksearch_referee.feedback import one_line
from ksearch_referee.formats.kernelbench import KernelBench
from ksearch_referee.reference import draw, fit, load_problem, start_side
from ksearch_referee.runner import Runner
from ksearch_referee.session import Record, Session
from ksearch_referee.side import Side
from ksearch_referee.static import check_device

TrivialAnswer = Literal["zeros", "ones", "mean", "input"]

_ANSWERS: tuple[TrivialAnswer, ...] = get_args(TrivialAnswer)
_MAX_REASON_CHARS = 2_000


@dataclass
class _Finding:
    """What was found of one workload; `right` says between which values the right outputs lie."""

    record: Record
    reference_ns: int | None = None
    baseline_ns: int | None = None
    passes: list[TrivialAnswer] = field(default_factory=list[TrivialAnswer])
    right: str = ""


def _mean(output: np.ndarray) -> np.ndarray:
    """Return the mean of the finite elements, everywhere, in the output's dtype."""
    values = output.astype(np.float64)
    finite = values[np.isfinite(values)]
    mean = float(finite.mean()) if finite.size else 0.0
    return np.full(output.shape, round(mean) if output.dtype.kind in "biu" else mean).astype(output.dtype)


def _inputs_as_outputs(record: Record, values: Values) -> Iterator[Outputs]:
    """Yield answers that are inputs: for every output one of its shape and dtype, in order."""
    outputs, tensors = record.layout.outputs, record.layout.tensors
    alike = [
        [slot.name for slot in tensors if (slot.shape, slot.dtype) == (output.shape, output.dtype)]
        for output in outputs
    ]
    for choice in range(max(map(len, alike)) if all(alike) else 0):
        names = [names[min(choice, len(names) - 1)] for names in alike]
        yield {output.name: np.asarray(values[name]) for output, name in zip(outputs, names, strict=True)}


def _trivial_answers(record: Record, values: Values, right: Outputs) -> Iterator[tuple[TrivialAnswer, Outputs]]:
    yield "zeros", {name: np.zeros_like(output) for name, output in right.items()}
    yield "ones", {name: np.ones_like(output) for name, output in right.items()}
    yield "mean", {name: _mean(output) for name, output in right.items()}
    for answer in _inputs_as_outputs(record, values):
        yield "input", answer


def _range(outputs: Outputs) -> str:
    """Say between which values outputs lie."""

    def told(name: str, output: np.ndarray) -> str:
        values = output.astype(np.float64)
        finite = values[np.isfinite(values)]
        span = f"lies between {finite.min():.3g} and {finite.max():.3g}" if finite.size else "holds nothing finite"
        return f"'{name}' {span}"

    return ", ".join(told(name, output) for name, output in outputs.items())


def _same_inputs(first: Values, second: Values) -> bool:
    return all(np.array_equal(np.asarray(value), np.asarray(second[name])) for name, value in first.items())


def _look_at(session: Session, side: Side, finding: _Finding) -> Iterator[str]:
    """Look at one workload; yield what is wrong with it.

    Raises:
        KernelFailure: the problem's code fails.
        InputError, ProblemFault: no inputs can be made.
    """
    record, problem = finding.record, session.problem
    for runner in side.runners:
        runner.allowance_s = session.settings["limits"]["workloadMs"] / 1_000
    if problem.makes_inputs and _same_inputs(*(draw(session, side, record, "smoke", trial) for trial in (1, 2))):
        yield "its inputs do not follow the seed: a kernel that keeps its first answer would pass"
    values = draw(session, side, record, "smoke", 0)
    rng = session.rng("poison", record.index)
    first = call(side.reference, record.layout, values, rng).outputs
    again = call(side.reference, record.layout, values, rng)
    finding.reference_ns = max(1, again.claimed_ns)
    finding.right = _range(first)
    agreement = side.compare(record.layout, again.outputs, first, session.settings["correctness"])
    if not agreement.correct:
        place = "".join(f": {b['output']}{b['index']} is {b['want']}, then {b['got']}" for b in agreement.bad[:1])
        yield f"the reference gives another answer to the same inputs when it is asked again{place}"
    opinion = problem.compare(side, record.layout, values, first, first)
    if not opinion.correct:
        yield f"the problem's own check refuses the reference's output: {opinion.complaint}"
    for name, answer in _trivial_answers(record, values, first):
        if name not in finding.passes and problem.compare(side, record.layout, values, answer, first).correct:
            finding.passes.append(name)


def _too_easy(session: Session, findings: list[_Finding]) -> Iterator[str]:
    """Yield why the problem cannot be judged: a trivial answer passes everywhere (X21)."""
    s = session.settings["correctness"]
    for name in _ANSWERS:
        if all(name in finding.passes for finding in findings):
            by = session.problem.judged_by or f"atol {s['atol']:g}, rtol {s['rtol']:g}"
            what = "an input, returned as it is," if name == "input" else f"'{name}' everywhere"
            yield (
                f"X21: {what} passes on every workload by {by}, so a kernel need not compute anything; in"
                f" {findings[0].record.case.id} the right {findings[0].right}"
            )


def _why(session: Session, reference: Runner, failure: KernelFailure, case: int | None = None) -> str:
    """Return a failure of the problem's code as a reason: what happened, where, and what may be done."""
    what = failure.message if reference.role in failure.message else f"the {reference.role}: {failure.message}"
    where = raised_at(failure.detail, reference.kernel_folder)
    advice = session.problem.advice(failure, case)
    return "; ".join(filter(None, [what, where, advice]))


def _look(session: Session, findings: list[_Finding], *, wants_baseline: bool) -> Iterator[str]:
    """Look at a whole problem; yield what is wrong with it.

    Raises:
        InfraError: this host cannot judge it; a `ProblemFault` where the problem is at fault.
        InputError, DtypeError, TimeUp: before there is a workload to name.
    """
    check_device(session.device, session.gpu)
    with session.slot.shared() as waited_s:
        session.total.exclude(waited_s)
        side = start_side(session)
        try:
            load_problem(session, side)
        except KernelFailure as failure:
            yield _why(session, side.code, failure)
            return
        fit(session, side.runners)
        for finding in findings:
            case = finding.record.case.id
            try:
                yield from (f"{case}: {reason}" for reason in _look_at(session, side, finding))
            except KernelFailure as failure:
                yield f"{case}: {_why(session, side.reference, failure, finding.record.index)}"
                if not failure.raised:
                    return
            except (InputError, ProblemFault) as error:
                yield f"{case}: {error}"
        if wants_baseline and isinstance(session.problem, KernelBench):
            builder = start_compiled(session, session.problem)
            for finding in findings:
                finding.reference_ns, finding.baseline_ns = time_baseline(session, side, builder, finding.record)
    yield from _too_easy(session, findings)


def _answer(session: Session, findings: list[_Finding], *, wants_baseline: bool) -> tuple[str, list[str]]:
    """Return status and reasons, whatever the problem does."""
    reasons: list[str] = []
    try:
        for reason in _look(session, findings, wants_baseline=wants_baseline):
            reasons.append(reason)
    except (ProblemFault, InputError, DtypeError) as error:
        reasons.append(str(error))
    except InfraError as error:
        return "infra_error", [str(error)]
    except TimeUp:
        return "infra_error", [f"{session.settings['limits']['totalMs']} ms are too little for this problem here"]
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a defect of ours is told, and refuses no problem
        traceback.print_exc(file=sys.stderr)
        return "infra_error", [f"a defect of the referee: {type(error).__name__}: {error}"]
    return "refused" if reasons else "admitted", reasons


def _told(finding: _Finding) -> dict[str, Any]:
    baseline = {} if finding.baseline_ns is None else {"baselineNs": finding.baseline_ns}
    facts = {"id": finding.record.case.id, "referenceNs": finding.reference_ns, "trivialPasses": finding.passes}
    return {**facts, **baseline}


def examine(request: object) -> dict[str, Any]:
    """Look at one problem.

    Args:
        request: a decoded `ExaminationRequest`.

    Returns:
        An `Examination`.

    Raises:
        RequestInvalid: the request breaks the contract.
    """
    asked = contract.parse_examination_request(request)
    session = Session(asked)
    findings = [_Finding(record) for record in session.records]
    with session.cleanup:
        status, reasons = _answer(session, findings, wants_baseline="baseline" in asked)
    examination = {
        "schema": "ksearch.examined/1",
        "requestId": asked["requestId"],
        "status": status,
        "reasons": [one_line(reason)[:_MAX_REASON_CHARS] for reason in reasons],
        "workloads": [_told(finding) for finding in findings],
        "env": describe(None, session.measures, session.gpu),
    }
    contract.check_examination(examination)
    return examination
