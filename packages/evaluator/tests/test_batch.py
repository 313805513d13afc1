"""The door of a job at AWS Batch, as a process against a server on loopback that stands in for S3."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from affine import python, request

from ksearch_referee import batch_main, door
from ksearch_referee.contract import check_result

SECRET = "X-Amz-Signature=0f3c"
KERNEL = "import os\ndef affine(x, scale):\n    return (x * scale + 1).astype('f')\nprint(dict(os.environ))\n"


class Store:
    """One object to be read and one place to be written, behind URLs that can be used up."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.left: list[bytes] = []
        self.asked: list[str] = []
        self.statuses: list[int] = []

    def serve(self) -> ThreadingHTTPServer:
        store = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self, body: bytes) -> None:
                store.asked.append(f"{self.command} {self.path}")
                status = store.statuses.pop(0) if store.statuses else 200
                if status == 200 and self.command == "PUT":
                    store.left.append(body)
                self.send_response(status)
                content = store.content if self.command == "GET" and status == 200 else b""
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self._answer(b"")

            def do_PUT(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


@pytest.fixture(name="store")
def served_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store(json.dumps(request(python(KERNEL))).encode())
    server = store.serve()
    at = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("KSEARCH_REQUEST_URL", f"{at}/request?{SECRET}")
    monkeypatch.setenv("KSEARCH_ANSWER_URL", f"{at}/answer?{SECRET}")
    yield store
    server.shutdown()


def job() -> "subprocess.CompletedProcess[str]":
    """Run the job as Batch does."""
    command = [sys.executable, "-I", "-m", "ksearch_referee.batch_main"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def quick(monkeypatch: pytest.MonkeyPatch, answer: str = "{}") -> int:
    """Run the job in this process, without its pauses, with an answer in place of the driver's."""

    def answered(_request: str) -> str:
        return answer

    monkeypatch.setattr(batch_main, "_PAUSE_S", 0)
    monkeypatch.setattr(door, "answer", answered)
    return batch_main.main()


def test_a_job_reads_its_request_and_leaves_the_verdict(store: Store) -> None:
    done = job()
    assert done.returncode == 0, done
    verdict: dict[str, Any] = json.loads(store.left[0])
    check_result(verdict)
    assert verdict["status"] == "passed"
    assert store.asked == [f"GET /request?{SECRET}", f"PUT /answer?{SECRET}"]
    # No kernel sees the URLs, and no log.
    assert "KSEARCH" not in verdict["logs"]["run"]
    assert SECRET not in store.left[0].decode() + done.stdout + done.stderr


def test_what_is_no_request_is_answered_too(store: Store) -> None:
    store.content = b"\xff{"
    assert job().returncode == 0
    assert json.loads(store.left[0])["error"]["code"] == "request.invalid"


@pytest.mark.parametrize(
    ("statuses", "asked"),
    [([403], ["GET"]), ([404], ["GET"]), ([301], ["GET"]), ([200, 403], ["GET", "PUT"]), ([503] * 4, ["GET"] * 4)],
)
def test_an_url_that_serves_no_more_is_no_verdict(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    statuses: list[int],
    asked: list[str],
) -> None:
    store.statuses = list(statuses)
    assert quick(monkeypatch) == batch_main.EXIT_TRY_AGAIN
    assert [one.split()[0] for one in store.asked] == asked
    assert store.left == []
    said = capsys.readouterr().err
    assert str(statuses[-1]) in said
    assert SECRET not in said


def test_a_server_that_fails_for_a_moment_is_asked_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.statuses = [503, 200, 500, 429, 200]
    assert quick(monkeypatch, '{"a": 1}') == 0
    assert store.left == [b'{"a": 1}']


def test_a_request_without_end_is_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_main, "MAX_REQUEST_BYTES", 1_000)
    assert quick(monkeypatch) == batch_main.EXIT_TRY_AGAIN
    assert len(store.asked) == 1


@pytest.mark.parametrize("url", ["", "http://example.com/request", "file:///etc/passwd", "http://127.0.0.1:1/request"])
def test_an_url_that_may_not_or_cannot_be_asked(store: Store, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("KSEARCH_REQUEST_URL", url)
    assert quick(monkeypatch) == batch_main.EXIT_TRY_AGAIN
    assert store.asked == []


def test_the_urls_are_forgotten_before_anything_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def spying(_request: str) -> str:
        return json.dumps([name for name in os.environ if name.startswith("KSEARCH_") and name.endswith("_URL")])

    monkeypatch.setattr(door, "answer", spying)
    assert batch_main.main() == 0
    assert store.left == [b"[]"]
