"""Kernels in Triton, which compile themselves while they run, are compiled ahead on a GPU, by a *builder*.

Compiling starts processes, and a worker that is judged may start none. A builder is a worker that may: it loads the
kernel first and calls it on every workload, with several values, and the compilers fill a folder. The workers that are
judged find in it what they need, and cannot write there. Nothing that a builder returns is looked at; it is only
believed that its compiler refuses something. What a kernel had compiled that went through its judgement, the next one
finds in the cache (`compiled_cache.py`), and starts no builder.
"""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ksearch_referee.calls import call
from ksearch_referee.compiled_cache import archive_of, keep, take_out
from ksearch_referee.failures import KernelFailure
from ksearch_referee.folders import make_folder, remove_folder
from ksearch_referee.judgement import Compiled, Judgement
from ksearch_referee.reference import draw_inputs
from ksearch_referee.runner import Runner
from ksearch_referee.session import Record
from ksearch_referee.side import Side
from ksearch_referee.wire import Kernel

_COMPILES = re.compile(r"\btriton\b")
# How Triton's compiler and ptxas refuse a kernel, by the names of what they raise.
_REFUSALS = ("CompilationError", "CompileTimeAssertionFailure", "PTXASError", "UnsupportedLanguageConstruct")
_DRAWS = 3  # of values, on every workload: arguments that follow from them may take part in what is compiled


def make_folders(session: Judgement, kernels: Mapping[str, Kernel]) -> None:
    """Make a folder for every kernel that compiles itself; its workers get it when they start.

    It is full already where the cache knows the kernel.
    """
    if session.gpu is None:
        return
    for role, kernel in kernels.items():
        if any(_COMPILES.search(file["content"]) for file in kernel["files"] if file["path"].endswith(".py")):
            folder = make_folder("compiled-")
            session.cleanup.callback(remove_folder, folder)
            archive = archive_of(kernel, session.request["problem"], session.gpu)
            session.compiled[role] = Compiled(folder, archive, known=take_out(archive, folder))


def start_builders(session: Judgement) -> dict[str, Runner]:
    """Start a builder for every kernel whose folder is empty, by role."""
    return {
        role: session.start_worker(f"builder of the {role}", "cuda", compiled=compiled.folder, builds=True)
        for role, compiled in session.compiled.items()
        if not compiled.known
    }


def settle_cache(session: Judgement, *, passed: bool) -> None:
    """Keep what kernels compiled that went through; forget it of others, for which it may have been too little.

    All workers stand still. What cannot be kept is compiled again.
    """
    for role, compiled in session.compiled.items():
        with suppress(OSError):
            if not passed or (role == "incumbent" and session.incumbent is None):
                compiled.archive.unlink(missing_ok=True)
            elif not compiled.known:
                keep(compiled.folder, compiled.archive)


def _try(session: Judgement, builder: Runner, side: Side, record: Record, draw: int) -> None:
    """Call the kernel once; what it raises the worker that is judged will raise as well.

    Raises:
        KernelFailure: its compiler refuses it, or the builder has ended.
    """
    values = draw_inputs(session, side, record, "compile", draw)
    try:
        call(builder, record.layout, values, session.rng("poison", record.index, draw))
    except KernelFailure as failure:
        if failure.raised in _REFUSALS:
            raise KernelFailure("compile_error", failure.message, failure.detail, raised=failure.raised) from None
        if builder.has_ended:
            raise


def compile_ahead(session: Judgement, builder: Runner, side: Side, kernel: Kernel, library: Path | None) -> None:
    """Have one kernel compile all that it needs; `builder` is up, and ends here.

    Raises:
        KernelFailure: its compiler refuses it, it takes too long, or it ends its process.
        ProblemFault, InputError: no inputs can be made.
    """
    started = time.monotonic()
    builder.allowance_s = session.settings["limits"]["buildMs"] / 1_000
    try:
        session.problem.load_kernel(builder, kernel, library)
        for record in session.records:
            side.reference.allowance_s = session.settings["limits"]["workloadMs"] / 1_000
            for draw in range(_DRAWS):
                _try(session, builder, side, record, draw)
    finally:
        builder.close()
        session.build_ms += round((time.monotonic() - started) * 1_000)
