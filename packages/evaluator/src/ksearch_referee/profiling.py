"""Takes the digest that `settings.digest` asks for: one call more, in a worker of its own, after the timing."""

from collections.abc import Callable
from typing import Any, cast

from ksearch_referee import ncu
from ksearch_referee.calls import bind
from ksearch_referee.digest import MOST_KERNELS, Digest, Profiled
from ksearch_referee.failures import InfraError, InputError, KernelFailure, TimeUp
from ksearch_referee.judgement import Judgement
from ksearch_referee.preparation import Workers
from ksearch_referee.reference import draw_inputs
from ksearch_referee.runner import Runner
from ksearch_referee.session import Record
from ksearch_referee.users import why_none

_LIMIT_S = 60.0
_NUMBER_CEILING = 1 << 53


def _profile(session: Judgement, workers: Workers, record: Record, tool: str, under: list[str]) -> tuple[Runner, Any]:
    """Have a fresh worker make one call under a profiler; return it and what it answered.

    Raises:
        KernelFailure, InfraError, TimeUp: that came to nothing.
    """
    framework, compiled = workers.kernel.framework, session.folder_of("kernel")
    runner = session.start_worker("profiled kernel", framework, compiled=compiled, under=under)
    runner.greet()
    runner.fit(session.arena_bytes)
    session.problem.load_kernel(runner, session.request["kernel"], session.libraries.get("kernel"))
    workers.reference.allowance_s = runner.allowance_s = _LIMIT_S
    values = draw_inputs(session, workers.side, record, "digest", 0)
    lent = bind(runner, record.layout, values, session.rng("poison", record.index))
    return runner, runner.exchange("profile", tool=tool, **lent).frame.get("kernels")


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _NUMBER_CEILING else None


def _kernels(told: object) -> list[Profiled]:
    """Return what a worker says of its kernels, as far as that makes sense."""
    found: list[Profiled] = []
    for entry in cast("list[object]", told) if isinstance(told, list) else []:
        fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
        name, launches, duration_ns = fields.get("name"), _count(fields.get("launches")), _count(fields.get("ns"))
        if isinstance(name, str) and launches and duration_ns is not None:
            found.append(Profiled(name, launches, duration_ns))
    return found[:MOST_KERNELS]


def _by_torch(session: Judgement, workers: Workers, record: Record) -> Digest:
    runner, told = _profile(session, workers, record, "torch", [])
    runner.close()
    kernels = _kernels(told)
    what = "kernels of the GPU" if session.gpu else "torch's operators on the CPU"
    return Digest("torch", f"{what}, names and times alone, on {record.case.id}", kernels)


def _by_ncu(session: Judgement, workers: Workers, record: Record, path: str) -> Digest:
    table = "counters.csv"
    runner, _ = _profile(session, workers, record, "ncu", ncu.command(path, table))
    runner.finish(_LIMIT_S)
    kernels = ncu.read_table(runner.folder / "work" / table)
    if not kernels:
        raise InfraError("ncu told of no kernel")
    return Digest("ncu", f"on {record.case.id}, caches flushed before each kernel", kernels)


def _attempt(session: Judgement, take: Callable[[], Digest]) -> Digest | str:
    """Return a digest, or why there is none: whatever went wrong there concerns no verdict."""
    try:
        with session.slot.shared() as waited_s:
            session.total.exclude(waited_s)
            return take()
    except (KernelFailure, InfraError, InputError, OSError, ValueError) as error:
        return str(error)
    except TimeUp:
        return "the time for everything ran out"


def take_digest(session: Judgement, workers: Workers) -> Digest | None:
    """Profile one call of the largest workload; None where nobody asks for it.

    With NVIDIA's counters where they are to be had, else by torch's profiler.
    """
    if session.settings["digest"] == "none":
        return None
    if session.problem.cpp is not None:  # its data is moved into a call, and a profile is of the second one
        return Digest("none", "a kernel that takes C++ containers has no profile here")
    record = max(session.records, key=lambda record: record.layout.nbytes)
    why = ""
    if session.gpu is not None:
        path = ncu.find_ncu()
        if path is None:
            why = "no counters: this host has no ncu; "
        elif (none := why_none()) is not None:
            why = f"no counters: ncu needs a user of its own, and {none}; "
        elif ncu.counters_are_closed():
            why = "no counters: the driver shows them to administrators alone (RmProfilingAdminOnly); "
        else:
            taken = _attempt(session, lambda: _by_ncu(session, workers, record, path))
            if isinstance(taken, Digest):
                return taken
            why = f"no counters: {taken[:150]}; "
    if workers.kernel.framework == "numpy":
        return Digest("none", f"{why}a kernel that works without torch has no profile here")
    taken = _attempt(session, lambda: _by_torch(session, workers, record))
    if isinstance(taken, Digest):
        return Digest(taken.source, f"{why}{taken.note}", taken.kernels)
    return Digest("none", f"{why}no profile: {taken}")
