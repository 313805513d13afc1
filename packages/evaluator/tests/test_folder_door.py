"""The batch door: a folder of requests becomes a folder of answers, whatever dies in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from affine import python, request

from ksearch_referee import batch, door
from ksearch_referee.batch import Batch
from ksearch_referee.contract import check_result

RIGHT = "def affine(x, scale):\n    return (x * scale + 1).astype('f')\n"


@pytest.fixture(name="folders")
def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "in").mkdir()
    return tmp_path / "in", tmp_path / "out"


def ask(folder: Path, name: str, source: str = RIGHT, **fields: Any) -> dict[str, Any]:
    asked = {**request(python(source), sizes=(2,)), "requestId": f"id of {name}", **fields}
    (folder / f"{name}.json").write_text(json.dumps(asked))
    return asked


def answer(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def stand_in(monkeypatch: pytest.MonkeyPatch, script: str = "cat") -> None:
    """Let a shell script answer in place of the driver; by default with the request itself."""
    monkeypatch.setattr(door, "hide_from_same_user", lambda: None)

    def driver(_door: str) -> list[str]:
        return ["sh", "-c", script]

    monkeypatch.setattr(door, "_driver", driver)


ECHO = """python3 -c '
import json, sys
print(json.dumps({"status": "passed", "requestId": json.load(sys.stdin)["requestId"]}))'"""


def batch_process(folders: tuple[Path, Path], *flags: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ksearch_referee", "batch", *map(str, folders), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_folder_of_requests_becomes_a_folder_of_answers(folders: tuple[Path, Path]) -> None:
    ask(folders[0], "right")
    ask(folders[0], "wrong", RIGHT.replace("+ 1", "+ 2"))
    (folders[0] / "broken.json").write_text("{")
    (folders[0] / "notes.txt").write_text("not a request")
    done = batch_process(folders, "--json")
    stdout, stderr = done.communicate(timeout=120)
    assert done.returncode == 0, stderr
    assert json.loads(stdout) == {"answered": 3, "replayed": 0, "refused": 1, "left": 0, "ignored": ["notes.txt"]}
    check_result(answer(folders[1], "right"))
    assert answer(folders[1], "right")["status"] == "passed"
    assert answer(folders[1], "right")["requestId"] == "id of right"
    assert answer(folders[1], "wrong")["status"] == "incorrect_numerical"
    assert answer(folders[1], "broken")["error"]["code"] == "request.invalid"
    assert json.loads((folders[1] / ".doctor.json").read_text())["ok"] is True
    assert "3 answered, 0 left" in stderr
    assert list((folders[1] / ".claims").iterdir()) == []


def test_what_is_answered_is_not_asked_again(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, ECHO)
    ask(folders[0], "a")
    assert [name for name, _, _ in Batch(*folders, None).run(watch=False)] == ["a"]
    first = answer(folders[1], "a")
    ask(folders[0], "b")
    (folders[1] / ".b.json.part").write_text('{"status": "half')
    assert [name for name, _, _ in Batch(*folders, None).run(watch=False)] == ["b"], "half an answer is none"
    assert answer(folders[1], "a") == first


@pytest.mark.parametrize("name", ["../out", ".hidden", "a b", "-x", "con\\..", "ü"])
def test_a_name_that_is_none_is_left_alone(folders: tuple[Path, Path], name: str) -> None:
    if "/" not in name:
        (folders[0] / f"{name}.json").write_text("{")
    (folders[0] / "link.json").symlink_to("/etc/hostname")
    (folders[0] / "folder.json").mkdir()
    tally = Batch(*folders, None)
    assert list(tally.run(watch=False)) == []
    assert {"link.json", "folder.json"} <= tally.tally.ignored


def test_two_at_once_never_take_the_same_request(folders: tuple[Path, Path]) -> None:
    for number in range(6):
        ask(folders[0], f"r{number}", "def affine(")  # refused by its text: quick
    both = [batch_process(folders, "--json") for _ in range(2)]
    told = [json.loads(process.communicate(timeout=120)[0]) for process in both]
    assert sum(one["answered"] for one in told) == 6
    assert all(answer(folders[1], f"r{number}")["status"] == "compile_error" for number in range(6))


def test_a_claim_that_nobody_keeps_fresh_is_taken_over(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, ECHO)
    ask(folders[0], "a")
    ours = Batch(*folders, None)
    claim = folders[1] / ".claims" / "a.0"
    claim.touch()
    assert ours.work_on("a") is None, "somebody is at work on it"
    os.utime(claim, (0, 0))
    assert ours.work_on("a") == "passed"
    assert list((folders[1] / ".claims").glob("a.*")) == []


def test_a_request_that_ends_every_referee_is_given_up(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "exit 1")
    ask(folders[0], "a")
    ours = Batch(*folders, None)
    for number in range(3):
        claim = folders[1] / ".claims" / f"a.{number}"
        claim.touch()
        os.utime(claim, (0, 0))
    assert ours.work_on("a") == "driver.lost"


def test_the_first_answer_holds(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ask(folders[0], "a")
    stand_in(monkeypatch, f'echo \'{{"status": "first"}}\' > {folders[1] / "a.json"}; {ECHO}')
    assert Batch(*folders, None).work_on("a") == "answered by somebody else meanwhile"
    assert answer(folders[1], "a") == {"status": "first"}


def test_a_withdrawn_request_is_not_run(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ask(folders[0], "a")
    (folders[0] / "a.cancel").touch()
    stand_in(monkeypatch, "exit 1")
    assert Batch(*folders, None).work_on("a") == "request.canceled"


def test_a_request_is_withdrawn_while_it_runs(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ask(folders[0], "a")
    stand_in(monkeypatch, f"touch {folders[0] / 'a.cancel'}; exec sleep 60")
    assert Batch(*folders, None).work_on("a") == "request.canceled"
    assert list(Batch(*folders, None).run(watch=False)) == []


def test_whoever_watches_takes_what_comes_and_ends_when_told(folders: tuple[Path, Path]) -> None:
    watcher = batch_process(folders, "--watch", "--json")
    while not (folders[1] / ".doctor.json").exists():
        time.sleep(0.02)
    ask(folders[0], "a", "def affine(")
    while not (folders[1] / "a.json").exists():
        time.sleep(0.02)
    (folders[0] / "stop").touch()
    stdout, _ = watcher.communicate(timeout=60)
    assert watcher.returncode == 0
    assert json.loads(stdout)["answered"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_request_survives_whoever_was_at_work_on_it(
    folders: tuple[Path, Path], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(folders[0], "a", RIGHT.replace("return", "import time; time.sleep(30); return"))
    first = batch_process(folders)
    while not list((folders[1] / ".claims").glob("a.*") if folders[1].exists() else []):
        time.sleep(0.02)
    first.send_signal(number)
    first.communicate(timeout=15)  # its driver, too, has ended by then: it would hold the pipe
    assert not (folders[1] / "a.json").exists()
    left = list((folders[1] / ".claims").glob("a.*"))
    assert len(left) == (1 if number == signal.SIGKILL else 0)
    monkeypatch.setattr(batch, "_LEASE_S", 0)
    stand_in(monkeypatch, ECHO)
    assert Batch(*folders, None).work_on("a") == "passed"


def test_the_same_request_gets_the_same_stored_answer(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Spec 8.8: same key, same stored result; without a store every request is run."""
    store = tmp_path / "store"
    ask(folders[0], "a")
    ask(folders[0], "b")
    ask(folders[0], "c", RIGHT.replace("+ 1", "+ 1.0"))
    ours = Batch(*folders, store)
    assert len(list(ours.run(watch=False))) == 3
    assert ours.tally.replayed == 1
    a, b, c = (answer(folders[1], name) for name in "abc")
    assert b == {**a, "requestId": "id of b"}
    assert c["seed"] != a["seed"]


def test_what_failed_on_the_host_is_asked_again(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    stand_in(monkeypatch, """echo '{"status": "infra_error"}'""")
    ask(folders[0], "a")
    list(Batch(*folders, store).run(watch=False))
    stand_in(monkeypatch, ECHO)
    ask(folders[0], "b")
    assert [word for _, word, _ in Batch(*folders, store).run(watch=False)] == ["passed"]


def test_a_judgement_from_the_store(tmp_path: Path) -> None:
    text = json.dumps(request(python(RIGHT), sizes=(2,)))
    command = [sys.executable, "-m", "ksearch_referee", "judge", "-", "--store", str(tmp_path / "store")]
    first, second = (
        json.loads(subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    )
    assert first["status"] == "passed"
    assert second == first


def test_no_folder_of_requests(tmp_path: Path) -> None:
    done = batch_process((tmp_path / "nowhere", tmp_path / "out"))
    assert "there is no folder" in done.communicate(timeout=30)[1]
    assert done.returncode == 2
