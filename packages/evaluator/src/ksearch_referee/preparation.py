"""The build phase: compilers run while the workers start; then every kernel is loaded into a worker of its own."""

from dataclasses import dataclass
from pathlib import Path

from ksearch_referee.build import Build
from ksearch_referee.environment import cache_folder, require_torch
from ksearch_referee.failures import Guard, InfraError, KernelFailure, ProblemFault
from ksearch_referee.runner import Framework, Runner
from ksearch_referee.session import Session
from ksearch_referee.toolchain import find_toolchain
from ksearch_referee.wire import Kernel


@dataclass
class Workers:
    """The three processes of a judgement. An incumbent that fails drops out: that is not the candidate's fault."""

    kernel: Runner
    reference: Runner
    incumbent: Runner | None

    @property
    def present(self) -> list[Runner]:
        """The workers that are still in play."""
        return [runner for runner in (self.kernel, self.reference, self.incumbent) if runner is not None]


def reference_failed(failure: KernelFailure) -> ProblemFault:
    """Return the reference's failure as what it is: the problem's fault, not the kernel's."""
    return ProblemFault(f"the problem's reference failed: {failure.message}\n{failure.detail}".strip())


def drop_incumbent(session: Session, workers: Workers, failure: KernelFailure) -> None:
    """Go on without the incumbent and say why."""
    evidence = f"no comparison with the incumbent: {failure.message}"
    session.guards.append(Guard("K02", "warn", evidence[:1_000]))
    workers.incumbent = None


def _start_build(session: Session, kernel: Kernel | None) -> Build | None:
    if kernel is None or kernel["language"] != "cpp":
        return None
    session.toolchain = find_toolchain()
    build = Build(kernel, session.toolchain, cache_folder(), session.settings["limits"])
    session.cleanup.callback(build.close)
    return build


def _framework(session: Session, kernel: Kernel) -> Framework:
    """Return whose tensors a kernel works with; one behind a C function needs none."""
    return "numpy" if kernel["binding"] == "c-abi" else session.problem.framework


def _start_workers(session: Session, incumbent: Kernel | None) -> Workers:
    """Start the workers in a random order: a process must not learn from its number whose kernel it holds.

    Raises:
        InfraError: they need torch, and there is none here.
    """
    frameworks: dict[str, Framework] = {
        "reference": session.problem.framework,
        "kernel": _framework(session, session.request["kernel"]),
        **({"incumbent": _framework(session, incumbent)} if incumbent else {}),
    }
    if "torch" in frameworks.values():
        require_torch()
    roles: list[str] = session.shuffle.permutation(list(frameworks)).tolist()
    started = {role: session.start_worker(role, frameworks[role]) for role in roles}
    session.kernel = started["kernel"]
    return Workers(started["kernel"], started["reference"], started.get("incumbent"))


def _greet(session: Session, workers: Workers) -> None:
    """Wait until the workers are up, before any of them holds foreign code.

    Raises:
        InfraError: one does not start: this host, or `limits.memoryMb`, is at fault.
    """
    for runner in workers.present:
        try:
            session.isolation = runner.greet()
        except KernelFailure as failure:
            raise InfraError(f"a worker did not start: {failure.message}\n{failure.detail}".strip()) from None


def _load_reference(session: Session, workers: Workers) -> None:
    """Load the problem, learn its sizes, and make room for them in every worker.

    Raises:
        ProblemFault: the reference fails.
        InfraError: a worker cannot hold so much.
        InputError, DtypeError: the problem cannot be held in memory.
    """
    try:
        session.problem.load_reference(workers.reference)
        layouts = session.problem.layouts(workers.reference)
    except KernelFailure as failure:
        raise reference_failed(failure) from None
    for record, layout in zip(session.records, layouts, strict=True):
        record.layout = layout
    nbytes = max(layout.nbytes for layout in layouts)
    for runner in workers.present:
        try:
            runner.fit(nbytes)
        except KernelFailure as failure:
            raise InfraError(f"no room for tensors of {nbytes:,} bytes: {failure.message}") from None


def _built(session: Session, build: Build | None) -> Path | None:
    """Wait for the candidate's build, if it has one, and keep what it said."""
    if build is None:
        return None
    try:
        return build.wait(session.total)
    finally:
        session.build_log, session.build_log_cut = build.log, build.log_cut
        session.build_ms = build.build_ms


def _load_incumbent(session: Session, workers: Workers, kernel: Kernel, build: Build | None) -> None:
    if workers.incumbent is None:
        return
    try:
        library = build.wait(session.total) if build else None
        session.problem.load_kernel(workers.incumbent, kernel, library)
    except KernelFailure as failure:
        drop_incumbent(session, workers, failure)


def prepare(session: Session) -> Workers:
    """Build and load the candidate, the reference and, when times will be taken, the incumbent.

    Raises:
        KernelFailure: the candidate does not build or load.
        InfraError: the reference does not load, or this host lacks a compiler or torch.
    """
    incumbent = session.request["incumbent"] if session.settings["mode"] == "benchmark" else None
    workers = _start_workers(session, incumbent)
    build = _start_build(session, session.request["kernel"])
    incumbent_build = _start_build(session, incumbent)
    _greet(session, workers)
    _load_reference(session, workers)
    library = _built(session, build)
    incumbent_first = session.shuffle.random() < 0.5  # as unpredictable as the order of the processes
    if incumbent and incumbent_first:
        _load_incumbent(session, workers, incumbent, incumbent_build)
    session.guards += session.problem.load_kernel(workers.kernel, session.request["kernel"], library)
    if incumbent and not incumbent_first:
        _load_incumbent(session, workers, incumbent, incumbent_build)
    return workers
