"""The result: a session and how it ended, as JSON that the contract's schema accepts."""

import hashlib
import json
from collections.abc import Sequence
from statistics import mean
from typing import Any

from ksearch_referee import feedback, resources
from ksearch_referee.compare import measured
from ksearch_referee.environment import describe
from ksearch_referee.failures import Guard, InfraError, KernelFailure
from ksearch_referee.gpus import Gpu
from ksearch_referee.judgement import Judgement
from ksearch_referee.quoting import cut_line, one_line, plain
from ksearch_referee.session import Record
from ksearch_referee.statistics import geomean, point, ratio_interval, summary
from ksearch_referee.toolchain import VECTORISATION
from ksearch_referee.wire import Aggregate, Kernel

Failure = KernelFailure | InfraError

_MAX_MESSAGE_BYTES = 2_000
# On a GPU what a call costs the host is most of a short call, and differs from process to process: of eight
# comparisons of a kernel with itself on an H100, the medians of a workload lay up to 3.1 us apart.
_PROCESSES_APART_NS = 4_000


def kernel_digest(kernel: Kernel) -> str:
    """Return the kernel's id: `ker_` and 16 hex digits of its canonical JSON (packages/domain/src/kernel.ts)."""
    canonical = json.dumps(kernel, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"ker_{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"


def _summary(times_ns: Sequence[int] | None) -> dict[str, int] | None:
    return summary(times_ns) if times_ns else None


def _workload(record: Record, session: Judgement) -> dict[str, Any]:
    comparison, times, device = record.comparison, record.times, record.device
    statistic = session.settings["timing"]["statistic"]
    correctness = comparison and {
        "trials": record.trials,
        "checkedTimed": record.checked_timed,
        "maxAbs": measured(comparison.max_abs),
        "maxRel": measured(comparison.max_rel),
        "rmsRel": measured(comparison.rms_rel),
        "matchedRatio": comparison.matched_ratio,
        "bad": comparison.bad,
    }
    return {
        "id": record.case.id,
        "axes": dict(record.case.axes),
        "status": record.status,
        "correctness": correctness,
        "call": _summary(times and times.kernel),
        "device": _summary(device and device.kernel),
        "referenceCall": _summary(times and times.reference),
        "referenceDevice": _summary(device and device.reference),
        "incumbentCall": _summary(times and times.incumbent),
        "incumbentDevice": _summary(device and device.incumbent),
        "floorNs": session.floor_ns(record),
        "undercutNs": record.undercut_ns if times else None,
        "speedup": point(times.reference, statistic) / point(times.kernel, statistic) if times else None,
    }


def _scores(session: Judgement) -> dict[str, Any]:
    """Return `score` and `aggregate` of a passed benchmark; both null without times."""
    timed = [(record.case.id, record.times) for record in session.records if record.times is not None]
    if not timed:
        return {"score": None, "aggregate": None}
    statistic, name = session.settings["timing"]["statistic"], session.settings["aggregate"]
    kernel = [times.kernel for _, times in timed]
    reference = [times.reference for _, times in timed]
    incumbent = [times.incumbent for _, times in timed]
    device = [record.device.kernel if record.device else [] for record in session.records if record.times is not None]
    baseline_ns = session.settings["baselineNs"]
    baseline = [[baseline_ns[case]] for case, _ in timed] if baseline_ns else []
    rng = session.rng("bootstrap")
    apart_ns = [_PROCESSES_APART_NS if session.gpu is not None else 0] * len(timed)

    def ratios(yardstick: Sequence[Sequence[int]]) -> list[float]:
        return [point(above, statistic) / point(k, statistic) for above, k in zip(yardstick, kernel, strict=True)]

    yardstick = baseline if name.endswith("vs_baseline") else reference
    score = ratio_interval(yardstick, kernel, statistic, name, rng, paired=False, apart_ns=apart_ns)
    versus = None
    if all(len(i) == len(k) for i, k in zip(incumbent, kernel, strict=True)):
        duel: Aggregate = name if name in ("total_speedup", "last_speedup") else "geomean_speedup"
        # What was added to a time is doubt: on a busy host it falls on one of two kernels that are the same.
        doubt_ns = [apart + times.added_ns for apart, (_, times) in zip(apart_ns, timed, strict=True)]
        versus = ratio_interval(incumbent, kernel, statistic, duel, rng, paired=True, apart_ns=doubt_ns)
    aggregate = {
        "geomeanSpeedup": geomean(ratios(reference)),
        "meanSpeedup": mean(ratios(reference)),
        "geomeanCallNs": max(1, round(geomean([point(k, statistic) for k in kernel]))),
        "geomeanDeviceNs": max(1, round(geomean([point(d, statistic) for d in device]))) if all(device) else None,
        "geomeanReferenceNs": max(1, round(geomean([point(r, statistic) for r in reference]))),
        "geomeanVsBaseline": geomean(ratios(baseline)) if baseline else None,
        "meanVsBaseline": mean(ratios(baseline)) if baseline else None,
        "vsIncumbent": versus,
    }
    return {"score": {"name": name, **score}, "aggregate": aggregate}


def _timing(session: Judgement) -> str | None:
    """Return what the times rest on: claims that the driver's clocks bound, or claims alone; None without times."""
    if all(record.times is None for record in session.records):
        return None
    return "bounded" if session.settings["profile"] == "hardened" else "claimed"


def _guard(guard: Guard) -> dict[str, str]:
    return {"id": guard.id, "level": guard.level, "evidence": one_line(guard.evidence)}


def _compiled(session: Judgement, gpu: Gpu | None) -> list[resources.Resources]:
    """Return what the candidate's kernels take of a GPU, as far as its compilers told."""
    if gpu is None:
        return []
    told = resources.of_log(session.build_log)
    compiled = session.folder_of("kernel")
    if compiled is not None:
        told += resources.of_cache(compiled)
    return resources.with_occupancy(told[: resources.MOST_KERNELS], gpu.capability)


def _loops_told(session: Judgement) -> list[str]:
    """Return the paths of the candidate's sources, if g++ said which of their loops it vectorised."""
    if session.toolchain is None or VECTORISATION not in session.toolchain.flags:
        return []
    return [file["path"] for file in session.request["kernel"]["files"]]


def result_of(session: Judgement, failure: Failure | None) -> dict[str, Any]:
    """Write the result of a judgement that passed (`failure` None) or ended early."""
    run_log, run_cut = session.kernel_log()
    workloads = [_workload(record, session) for record in session.records]
    guards = list(session.guards)
    if isinstance(failure, KernelFailure) and failure.guard:
        guards.append(failure.guard)
    status = "passed" if failure is None else failure.status if isinstance(failure, KernelFailure) else "infra_error"
    gpu = session.used_gpu
    found = feedback.Findings(
        status=status,
        phase=session.phase,
        failure=failure,
        records=session.records,
        workloads=workloads,
        guards=guards,
        resources=_compiled(session, gpu),
        digest=session.digest,
        build_log=session.build_log,
        run_log=run_log,
        files=_loops_told(session),
        gpu=gpu.name if gpu else None,
    )
    if failure is None:
        ending = _scores(session)
    else:
        message = failure.message if isinstance(failure, KernelFailure) else str(failure)
        ending = {"message": cut_line(one_line(message), _MAX_MESSAGE_BYTES)}
    return {
        "schema": "ksearch.result/1",
        "requestId": session.request["requestId"],
        "device": session.device,
        "profile": session.settings["profile"],
        "timing": _timing(session),
        "status": status,
        "phase": session.phase,
        "workloads": workloads,
        "guards": [_guard(guard) for guard in guards],
        "resources": [kernel.told() for kernel in found.resources],
        "digest": session.digest.told() if session.digest else None,
        "logs": {
            "build": plain(session.build_log),
            "run": plain(run_log),
            "feedback": feedback.write(found),
            "truncated": run_cut or session.build_log_cut,
        },
        "env": describe(session.toolchain, session.measures, gpu, session.clocks),
        "usage": session.usage(),
        "seed": session.seed,
        "kernelDigest": kernel_digest(session.request["kernel"]),
        **ending,
    }
