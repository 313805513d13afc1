"""Doors: `python -m ksearch_referee judge <request.json | ->` and `python -m ksearch_referee doctor`.

Standard output carries one JSON document and nothing else.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

EXIT_INVALID_REQUEST = 2


def _judge(source: str, *, with_parent: bool) -> tuple[dict[str, Any], int]:
    from ksearch_referee.contract import RequestInvalid
    from ksearch_referee.driver import judge
    from ksearch_referee.worker.sandbox import die_with_parent, hide_from_same_user

    hide_from_same_user()
    if with_parent:
        die_with_parent()
    try:
        request = json.loads(sys.stdin.read() if source == "-" else Path(source).read_text("utf-8"))
        return judge(request), 0
    except RequestInvalid as error:
        fault = {"code": "request.invalid", "message": error.message, "path": error.path}
    except (OSError, ValueError) as error:
        fault = {"code": "request.invalid", "message": f"no JSON request: {error}", "path": "$"}
    return {"error": fault}, EXIT_INVALID_REQUEST


def main() -> int:
    """Run one door; return the exit status."""
    parser = argparse.ArgumentParser(prog="ksearch_referee", description="Judge a kernel.")
    doors = parser.add_subparsers(dest="door", required=True)
    judge_door = doors.add_parser("judge", help="judge one request; prints one result")
    judge_door.add_argument("request", help="path of the request's JSON, or - for standard input")
    judge_door.add_argument(
        "--with-parent", action="store_true", help="end when the process that started this one dies"
    )
    doors.add_parser("doctor", help="say what this host can do")
    arguments = parser.parse_args()
    if arguments.door == "judge":
        document, status = _judge(arguments.request, with_parent=arguments.with_parent)
    else:
        from ksearch_referee.doctor import examine

        document, status = examine(), 0
    print(json.dumps(document, allow_nan=False))  # noqa: T201 - the door's one line
    return status


if __name__ == "__main__":
    sys.exit(main())
