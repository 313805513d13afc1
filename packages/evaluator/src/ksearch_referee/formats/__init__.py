"""The formats of a problem. What differs between them is in here, chosen once; all else of the referee is generic."""

from ksearch_referee.cpp_task import is_cpp
from ksearch_referee.formats.flashinfer import FlashInfer
from ksearch_referee.formats.format import Case, Format
from ksearch_referee.formats.gpumode import CppGpuMode, GpuMode
from ksearch_referee.formats.kernelbench import KernelBench
from ksearch_referee.wire import CorrectnessSettings, Problem

__all__ = ["Case", "Format", "format_of"]


def format_of(problem: Problem, correctness: CorrectnessSettings) -> Format:
    """Return a problem as what the driver judges by these tolerances."""
    if problem["format"] == "flashinfer":
        return FlashInfer(problem, correctness)
    if problem["format"] == "gpumode":
        return (CppGpuMode if is_cpp(problem["files"]) else GpuMode)(problem, correctness)
    return KernelBench(problem, correctness)
