"""The door for hosts that carry texts: a request's JSON in, the answer's JSON out, whatever becomes of the driver.

The driver is a process of its own with an environment of its own: what the host has told this process (an identity, an
address to answer to) reaches neither the driver nor a worker. `python -I -m ksearch_referee.door` is this door on
standard input and output.
"""

import json
import os
import subprocess
import sys
from typing import Any

from ksearch_referee.worker.sandbox import hide_from_same_user

MAX_ANSWER_BYTES = 16 * 1024 * 1024
_DOORS = {"ksearch.request/1": "judge", "ksearch.examine/1": "examine"}
# The driver answers within its request's `limits.totalMs`; so much more for its start and the waiting for a device.
_GRACE_S = 90
# Enough to find a compiler, a cache and the GPU.
_KEPT = (
    "PATH", "HOME", "TMPDIR", "LANG", "KSEARCH_REFEREE_CACHE",
    "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LD_LIBRARY_PATH",
)  # fmt: skip


class Undelivered(Exception):
    """The driver gave no answer. `code` and the message are for the asker."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _door_of(text: str) -> tuple[str, float]:
    """Return the door that a request wants, and how long it may take, s.

    Raises:
        Undelivered: it is no request of this contract.
    """
    try:
        request: Any = json.loads(text)
        schema = request["schema"]
        total_ms = request["settings"]["limits"]["totalMs"]
    except (ValueError, KeyError, TypeError) as error:
        raise Undelivered("request.invalid", f"no JSON request: {error}") from error
    if schema not in _DOORS:
        raise Undelivered("request.invalid", f"'{schema}' is no schema of a request; known: {', '.join(_DOORS)}")
    if not isinstance(total_ms, int):
        raise Undelivered("request.invalid", "settings.limits.totalMs is no integer")
    return _DOORS[schema], total_ms / 1_000 + _GRACE_S


def _driver(door: str) -> list[str]:
    """Return the command of a driver that answers at one of its own doors."""
    return [sys.executable, "-I", "-m", "ksearch_referee", door, "-", "--with-parent"]


def _ask_driver(text: str) -> str:
    """Return what a driver of its own says.

    Raises:
        Undelivered: it says nothing within its time, or no JSON.
    """
    door, limit_s = _door_of(text)
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        done = subprocess.run(
            _driver(door), input=text.encode(), stdout=subprocess.PIPE, env=environment, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Undelivered("driver.timeout", f"the driver did not answer within {limit_s:.0f} s") from error
    if len(done.stdout) > MAX_ANSWER_BYTES:
        raise Undelivered("driver.answer", f"the driver answered {len(done.stdout)} bytes")
    try:
        answer = done.stdout.decode()
        json.loads(answer)
    except ValueError as error:
        raise Undelivered("driver.answer", f"the driver ended with {done.returncode} and no JSON") from error
    return answer


def answer(text: str) -> str:
    """Answer a request, text for text: a `Verdict` or an `Examination`, else `{"error": {code, message, path}}`."""
    hide_from_same_user()
    try:
        return _ask_driver(text)
    except Undelivered as failure:
        fault = {"code": failure.code, "message": str(failure)[:2_000], "path": "$"}
        return json.dumps({"error": fault})


if __name__ == "__main__":
    sys.stdout.write(answer(sys.stdin.read()))
