"""The driver: takes one request through the phases and always comes back with a result."""

import sys
import traceback
from typing import Any

from ksearch_referee import contract, report
from ksearch_referee.alone import check_alone
from ksearch_referee.checking import check
from ksearch_referee.compilation import settle_cache
from ksearch_referee.dtypes import DtypeError
from ksearch_referee.failures import InfraError, InputError, KernelFailure, TimeUp
from ksearch_referee.judgement import Judgement
from ksearch_referee.preparation import Workers, more_sets, prepare
from ksearch_referee.profiling import take_digest
from ksearch_referee.static import check_device, check_kernel, check_policy
from ksearch_referee.timing import time_workload


def _check_all(session: Judgement, workers: Workers) -> None:
    """Check every workload, several at once where the settings ask for that.

    Raises:
        KernelFailure: one of them fails.
    """
    at_once = min(session.settings["parallelWorkloads"], len(session.records))
    others = more_sets(session, at_once - 1)
    check(session, [workers, *others], session.records, "correctness", session.settings["correctness"]["trials"])
    for runner in (runner for other in others for runner in other.present):
        runner.retire()


def _correctness(session: Judgement) -> Workers:
    """Run the phases that may share the host with other judges; return the workers, ready to be timed."""
    with session.slot.shared() as waited_s:
        session.total.exclude(waited_s)
        session.phase = "build"
        review = None if session.settings["staticPolicy"] == "off" else session.start_review()
        workers = prepare(session)
        if session.settings["mode"] != "compile":
            session.phase = "smoke"
            check(session, [workers], [min(session.records, key=lambda record: record.layout.nbytes)], "smoke", 1)
            session.phase = "correctness"
            _check_all(session, workers)
        session.guards += review.findings() if review else []
    return workers


def _phases(session: Judgement) -> None:
    check_kernel(session.request["kernel"], session.problem, session.device)
    session.guards += check_policy(session.request["kernel"], session.settings["staticPolicy"])
    check_device(session.device, session.gpu)
    workers = _correctness(session)
    if session.settings["mode"] == "benchmark":
        session.phase = "timing"
        for record in session.records:
            if record.case.timed:
                time_workload(session, workers, record)
        session.phase = "postcheck"
        order: list[int] = session.rng("postcheck").permutation(len(session.records)).tolist()
        with session.slot.shared() as waited_s:
            session.total.exclude(waited_s)
            check(session, [workers], [session.records[i] for i in order], "postcheck", 1)
        if session.gpu is not None and session.settings["profile"] == "hardened":
            check_alone(session, workers)
        session.digest = take_digest(session, workers)
    session.phase = "done"


def _time_up(session: Judgement) -> report.Failure:
    """Return whose fault it is that `limits.totalMs` ran out: the kernel's, when it used half of it or more."""
    total_ms = session.settings["limits"]["totalMs"]
    kernel_s = session.kernel_used_s
    if kernel_s >= total_ms / 2_000:
        return KernelFailure("timeout", f"the kernel used {kernel_s:.1f} s of the {total_ms} ms for everything")
    return InfraError(
        f"{total_ms} ms are too little for this problem here: {session.phase} was cut off with {kernel_s:.1f} s"
        " spent in the kernel"
    )


def _ending(session: Judgement) -> report.Failure | None:
    """Run the phases; return what ended them early."""
    try:
        _phases(session)
    except (KernelFailure, InfraError) as failure:
        return failure
    except TimeUp:
        return _time_up(session)
    except (DtypeError, InputError) as error:
        return InfraError(f"the problem cannot be run here: {error}")
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a defect of ours is told, and judges no kernel
        traceback.print_exc(file=sys.stderr)
        return InfraError(f"a defect of the referee: {type(error).__name__}: {error}")
    return None


def judge(request: object) -> dict[str, Any]:
    """Judge one kernel.

    Args:
        request: a decoded `EvaluationRequest`.

    Returns:
        A `Verdict`, whatever the kernel did.

    Raises:
        RequestInvalid: the request breaks the contract.
    """
    session = Judgement(contract.parse_request(request))
    with session.cleanup:
        failure = _ending(session)
        settle_cache(session, passed=failure is None)
        result = report.result_of(session, failure)
    contract.check_result(result)
    return result
