"""The build phase: compilers run while the workers start; then every kernel is loaded into a worker of its own."""

from dataclasses import dataclass

from ksearch_referee.build import Build
from ksearch_referee.compilation import compile_ahead, make_folders, start_builders
from ksearch_referee.environment import cache_folder, require_torch, require_triton
from ksearch_referee.failures import Guard, KernelFailure
from ksearch_referee.judgement import Judgement
from ksearch_referee.kernels import native_suffixes
from ksearch_referee.reference import (
    fit,
    gpu_rests,
    greet,
    load_problem,
    reference_failed,
    start_keeper,
    try_sharing,
)
from ksearch_referee.runner import Runner
from ksearch_referee.side import Side
from ksearch_referee.wire import Kernel, Sources
from ksearch_referee.worker_environment import Framework


@dataclass
class Workers:
    """The processes of a judgement. An incumbent that fails drops out: that is not the candidate's fault.

    `served` is the workload that the kernels were called on last.
    """

    kernel: Runner
    side: Side
    incumbent: Runner | None
    served: int | None = None

    @property
    def reference(self) -> Runner:
        """The worker of the reference."""
        return self.side.reference

    @property
    def present(self) -> list[Runner]:
        """The workers that are still in play."""
        return [self.kernel, *self.side.runners, *([self.incumbent] if self.incumbent else [])]


def drop_incumbent(session: Judgement, workers: Workers, failure: KernelFailure) -> None:
    """Go on without the incumbent, in every set of workers, and say why."""
    workers.incumbent = None
    if session.incumbent is not None:
        session.incumbent = None
        evidence = f"no comparison with the incumbent: {failure.message}"
        session.guards.append(Guard("K02", "warn", evidence[:1_000]))


def _start_build(session: Judgement, role: str, kernel: Kernel) -> Build | None:
    if not native_suffixes(kernel):
        return None
    toolchain = session.toolchain_for(torch=kernel["binding"] == "torch")
    if role == "kernel":
        session.toolchain = toolchain
    shared = session.problem.cpp.shared(kernel["language"]) if session.problem.cpp else []
    sources = Sources(language=kernel["language"], files=[*kernel["files"], *shared])
    build = Build(sources, toolchain, cache_folder(), session.settings["limits"])
    session.cleanup.callback(build.close)
    return build


def _kernels(session: Judgement) -> dict[str, Kernel]:
    """Return the kernels by role; the incumbent only as long as there is one."""
    return {"kernel": session.request["kernel"], **({"incumbent": session.incumbent} if session.incumbent else {})}


def _frameworks(session: Judgement) -> dict[str, Framework]:
    """Return whose tensors the kernels work with; on a CPU one behind a C function needs none."""

    def framework(kernel: Kernel) -> Framework:
        if session.stages:
            return "cuda"
        if kernel["language"] == "triton":
            return "triton"
        return "numpy" if kernel["binding"] == "c-abi" else session.problem.framework

    return {role: framework(kernel) for role, kernel in _kernels(session).items()}


def _start(session: Judgement, frameworks: dict[str, Framework]) -> dict[str, Runner]:
    """Start workers in a random order: a process must not learn from its number whose kernel it holds.

    Raises:
        InfraError: they need torch, and there is none here.
    """
    if set(frameworks.values()) != {"numpy"}:
        require_torch()
    if any(kernel["language"] == "triton" for kernel in _kernels(session).values()):
        require_triton()
    roles: list[str] = session.shuffle.permutation(list(frameworks)).tolist()
    return {role: session.start_worker(role, frameworks[role], compiled=session.folder_of(role)) for role in roles}


def _start_set(session: Judgement) -> Workers:
    keeper = start_keeper(session)
    frameworks: dict[str, Framework] = {"reference": session.reference_framework, **_frameworks(session)}
    started = _start(session, frameworks)
    return Workers(started["kernel"], Side(started["reference"], keeper), started.get("incumbent"))


def _load_problem(session: Judgement, side: Side) -> None:
    """Load the problem.

    Raises:
        ProblemFault, InputError, DtypeError: see `load_problem`.
    """
    try:
        load_problem(session, side)
    except KernelFailure as failure:
        raise reference_failed(failure) from None


def _load_kernels(session: Judgement, workers: Workers) -> list[Guard]:
    """Load the kernels in a random order; return what is to be said of the candidate.

    Raises:
        KernelFailure: the candidate does not load.
    """
    kernels = _kernels(session)
    said: list[Guard] = []
    for role in session.shuffle.permutation(list(kernels)).tolist():
        library = session.libraries.get(role)
        if role == "kernel":
            said = session.problem.load_kernel(workers.kernel, kernels[role], library)
        elif workers.incumbent is not None:
            try:
                session.problem.load_kernel(workers.incumbent, kernels[role], library)
            except KernelFailure as failure:
                drop_incumbent(session, workers, failure)
    return said


def _keep_libraries(session: Judgement, workers: Workers, builds: dict[str, Build | None]) -> None:
    """Wait for the builds and keep what the candidate's said.

    Raises:
        KernelFailure: the candidate does not build.
    """
    for role, build in builds.items():
        if build is None:
            continue
        try:
            session.libraries[role] = build.wait(session.total)
        except KernelFailure as failure:
            if role == "kernel":
                raise
            drop_incumbent(session, workers, failure)
        finally:
            if role == "kernel":
                session.build_log, session.build_log_cut = build.log, build.log_cut
                session.build_ms = build.build_ms


def _compile_ahead(session: Judgement, workers: Workers, builders: dict[str, Runner]) -> None:
    """Have the kernels that compile themselves do so.

    Raises:
        KernelFailure: the candidate does not compile.
    """
    for role, kernel in _kernels(session).items():
        if role not in builders:
            continue
        try:
            compile_ahead(session, builders[role], workers.side, kernel, session.libraries.get(role))
        except KernelFailure as failure:
            if role == "kernel":
                raise
            drop_incumbent(session, workers, failure)


def _uses_device(session: Judgement) -> bool:
    return session.problem.cpp is not None and session.problem.cpp.uses_device


def prepare(session: Judgement) -> Workers:
    """Build and load the candidate, the reference and, when times will be taken, the incumbent.

    Raises:
        KernelFailure: the candidate does not build or load.
        InfraError: the reference does not load, or this host lacks a compiler or torch.
    """
    make_folders(session, _kernels(session))
    workers = _start_set(session)
    builders = start_builders(session)
    builds = {role: _start_build(session, role, kernel) for role, kernel in _kernels(session).items()}
    greet(session, [*workers.present, *builders.values()])
    if session.gpu is not None:
        gpu_rests(workers.reference)  # it learns what that is like while no foreign code is at work
    try_sharing(session, workers.side)
    _load_problem(session, workers.side)
    fit(session, [*workers.present, *builders.values()])
    _keep_libraries(session, workers, builds)
    _compile_ahead(session, workers, builders)
    session.guards += _load_kernels(session, workers)
    if workers.kernel.framework == "triton":
        evidence = "Triton was interpreted on the CPU: these times say nothing of a GPU"
        session.guards.append(Guard("K04", "info", evidence))
    if session.gpu is not None and workers.reference.framework == "numpy" and not _uses_device(session):
        evidence = "the reference ran on the CPU: a score against it says little of a GPU"
        session.guards.append(Guard("K06", "info", evidence))
    return workers


def more_sets(session: Judgement, number: int) -> list[Workers]:
    """Start and load further sets of workers, of kernels that `prepare` has built.

    Raises:
        KernelFailure, InfraError: as `prepare`.
    """
    sets = [_start_set(session) for _ in range(number)]
    for workers in sets:
        greet(session, workers.present)
        try_sharing(session, workers.side)
        _load_problem(session, workers.side)
        fit(session, workers.present)
        _load_kernels(session, workers)
    return sets


def serve(session: Judgement, workers: Workers, workload: int) -> None:
    """Make a set ready for a workload: with `isolateWorkloads` kernels that have served another begin anew.

    Raises:
        KernelFailure, InfraError: as `prepare`.
    """
    if session.incumbent is None:
        workers.incumbent = None
    if session.settings["isolateWorkloads"] and workers.served not in (None, workload):
        for runner in (workers.kernel, workers.incumbent):
            if runner is not None:
                runner.retire()
        started = _start(session, _frameworks(session))
        workers.kernel, workers.incumbent = started["kernel"], started.get("incumbent")
        greet(session, list(started.values()))
        fit(session, list(started.values()))
        _load_kernels(session, workers)
    workers.served = workload
