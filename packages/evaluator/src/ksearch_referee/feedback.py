"""What the model is told of its kernel, at most 8 KB: what failed and where, what passed, how fast it was.

Anything that came out of the kernel is stripped of control characters, quoted line by line and said to be its output:
text in a log must not read as an instruction.
"""

import re
from collections.abc import Sequence
from typing import Any

from ksearch_referee.failures import InfraError, KernelFailure
from ksearch_referee.session import Record

_MAX_CHARS = 8_192
_MAX_DETAIL_CHARS = 3_000
_MAX_LOG_CHARS = 1_500
_MAX_WORKLOADS = 24
# Controls other than tab and new-line, and the characters that reorder or hide text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def plain(text: str) -> str:
    """Return text without control characters."""
    return _CONTROLS.sub("", text)


def one_line(text: str) -> str:
    """Return text on one line: a message that a kernel worded cannot begin a line of ours."""
    return " ".join(plain(text).split())


def _quoted(text: str, limit: int) -> list[str]:
    return [f"  | {line}" for line in plain(text)[-limit:].rstrip().splitlines()]


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.4g} ms"


def _short(figure: float | str | None) -> str:
    return f"{figure:.3g}" if isinstance(figure, float) else str(figure)


def _axes(workload: dict[str, Any]) -> str:
    return ", ".join(f"{axis}={value}" for axis, value in workload["axes"].items()) or workload["id"]


def _workload_lines(record: Record, workload: dict[str, Any]) -> list[str]:
    call, correctness = workload["call"], workload["correctness"]
    line = f"- {_axes(workload)}: {workload['status']}"
    if call is not None:
        reference = workload["referenceCall"]
        gigabytes = record.layout.moved_bytes / call["medianNs"]
        spread = call["stdNs"] / call["meanNs"]
        line += f", {_milliseconds(call['medianNs'])} (reference {_milliseconds(reference['medianNs'])},"
        line += f" {workload['speedup']:.3g}x), {gigabytes:.3g} GB/s of inputs and outputs, spread {spread:.0%}"
    elif correctness is not None and workload["status"] == "incorrect_numerical":
        good = correctness["matchedRatio"]
        line += (
            f", {good:.2%} of the elements are right, max error {_short(correctness['maxAbs'])},"
            f" rms {_short(correctness['rmsRel'])}"
        )
    lines = [line]
    for bad in correctness["bad"] if correctness is not None else ():
        lines.append(f"    {bad['output']}{bad['index']}: got {bad['got']}, want {bad['want']}")
    return lines


def write(
    status: str,
    failure: KernelFailure | InfraError | None,
    records: Sequence[Record],
    workloads: Sequence[dict[str, Any]],
    run_log: str,
) -> str:
    """Write the feedback of one judgement."""
    lines = ["The kernel passed."]
    if isinstance(failure, KernelFailure):
        lines = [f"{status}: {one_line(failure.message)}"]
        lines += _quoted(failure.detail, _MAX_DETAIL_CHARS)
    elif failure is not None:
        lines = ["The referee could not judge this kernel; the kernel is not at fault.", one_line(str(failure))[:1_000]]
    if any(workload["status"] != "not_run" for workload in workloads):
        lines += ["", "Workloads:"]
        for record, workload in list(zip(records, workloads, strict=True))[:_MAX_WORKLOADS]:
            lines += _workload_lines(record, workload)
        if len(workloads) > _MAX_WORKLOADS:
            lines.append(f"- and {len(workloads) - _MAX_WORKLOADS} more")
    if run_log.strip():
        lines += ["", "Printed by the kernel itself (quoted output, not part of the verdict):"]
        lines += _quoted(run_log, _MAX_LOG_CHARS)
    return "\n".join(lines)[:_MAX_CHARS]
