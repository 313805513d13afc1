"""What a compiler said, cut to what helps: the first error, where it is, and the lines around it."""

import re
from pathlib import Path

from ksearch_referee.wire import SourceFile

_ERRORS = (
    re.compile(r"^(?P<path>[^\s:]+):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<text>.*)$"),
    re.compile(r"^(?P<path>[^\s(]+)\((?P<line>\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: (?P<text>.*)$"),  # nvcc
)
_ELSEWHERE = re.compile(
    r"undefined reference|multiple definition|ld returned|cannot find -l|^ptxas (?:fatal|error)|^ptxas .*; error"
    r"|^nvcc fatal"
)
_FRAME = re.compile(
    r"""^  File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<name>.+)(?:\n    (?P<code>.*))?$""", re.MULTILINE
)
_CONTEXT_LINES = 2
_MAX_SNIPPET_LINES = 12


def source_lines(files: list[SourceFile], path: str, line: int) -> str:
    """Return the lines of a kernel's file around `line` (from 1), the line itself marked; empty for foreign files."""
    content = next((file["content"] for file in files if file["path"] == path), None)
    if content is None:
        return ""
    numbered = list(enumerate(content.splitlines(), start=1))
    around = numbered[max(0, line - 1 - _CONTEXT_LINES) : line + _CONTEXT_LINES]
    return "\n".join(f"{'>' if number == line else ' '} {number:4} | {text[:200]}" for number, text in around)


def first_error(log: str, files: list[SourceFile]) -> tuple[str, str]:
    """Return (one line, source lines) of the first error in a compiler's log.

    Without an error that has a place, the complaint of the linker or the assembler, or the last line, stands for it.
    """
    lines = log.splitlines()
    for line in lines:
        match = next(filter(None, (pattern.match(line) for pattern in _ERRORS)), None)
        if match is not None:
            where = f"{match['path']}:{match['line']}"
            return f"{where}: error: {match['text']}", source_lines(files, match["path"], int(match["line"]))
    complaint = next((line for line in lines if _ELSEWHERE.search(line)), lines[-1] if lines else "no output")
    return complaint[:500], "\n".join(lines[-_MAX_SNIPPET_LINES:])


def raised_at(trace: str, folder: Path) -> str:
    """Return the innermost line of a Python trace-back that lies in a file below `folder`; empty if none does."""
    places = [match for match in _FRAME.finditer(trace) if Path(match["path"]).is_relative_to(folder)]
    if not places:
        return ""
    last = places[-1]
    file = Path(last["path"]).relative_to(folder)
    return f"{file}, line {last['line']}, in {last['name']}: {(last['code'] or '').strip()}"[:500]
