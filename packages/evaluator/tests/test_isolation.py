"""Users, folders and drivers of one host: what each may reach, and what a driver that is killed leaves behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from affine import PYTHON, python, request

from ksearch_referee import folders, users
from ksearch_referee.driver import judge
from ksearch_referee.environment import cache_folder
from ksearch_referee.failures import InfraError
from ksearch_referee.folders import make_folder, remove_abandoned
from ksearch_referee.locks import TimingSlot

own_users = pytest.mark.skipif(users.why_none() is not None, reason=f"no users of their own here: {users.why_none()}")


@pytest.fixture(name="temporary")
def temporary_folder() -> Iterator[Path]:
    """A temporary folder that others may enter, as `/tmp` is and pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="ksearch-test-"))
    folder.chmod(0o755)
    yield folder
    folders.remove_folder(folder)


def body(lines: str) -> dict[str, Any]:
    """Return a Python kernel with `lines` before an honest result."""
    indented = "".join(f"    {line}\n" for line in lines.splitlines())
    return python(
        f"import os\nimport numpy as np\ndef affine(x, scale):\n{indented}    return x * np.float32(scale) + 1\n"
    )


@own_users
def test_every_worker_is_another_user_with_no_rights() -> None:
    told = [judge(request(body("print(os.getuid(), os.getgroups())"), sizes=(2,)))["logs"]["run"] for _ in range(2)]
    uids = [int(text.split()[0]) for text in told]
    assert len(set(uids)) == 2
    assert os.getuid() not in uids
    assert all("[]" in text for text in told)


@own_users
@pytest.mark.parametrize(
    "attempt",
    [
        "os.setuid(0)",
        "os.setresuid(0, 0, 0)",
        "os.chown('.', 0, 0)",
        "os.listdir(os.path.join(os.getcwd(), '..', '..'))",
        "open(os.path.join(os.getcwd(), '..', 'log'), 'a')",
        "open('/etc/shadow').read()",
    ],
)
def test_a_user_of_its_own_may_not(attempt: str) -> None:
    result = judge(request(body(attempt), sizes=(2,)))
    assert result["status"] == "runtime_error"
    assert "PermissionError" in result["message"]


@own_users
def test_files_are_handed_over_without_landlock_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user alone keeps a kernel out of what is not its own: as on a host that has no Landlock."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    neighbour = make_folder("worker-")
    (neighbour / "secret").write_text("hush")
    script = (
        "import ctypes, os, sys\n"
        "from ksearch_referee.worker.identity import become\n"
        f"become(ctypes.CDLL(None, use_errno=True), {users.spare_user(None)}, [])\n"
        f"for path in ({str(neighbour / 'secret')!r}, {str(cache_folder())!r} + '/locks/cpu.slot'):\n"
        "    try: print(open(path).read())\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    with TimingSlot(cache_folder() / "locks", "cpu").shared():
        done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, cwd="/", check=True)
    assert done.stdout.split() == ["PermissionError", "PermissionError"]
    folders.remove_folder(neighbour)


def test_without_a_way_to_its_folder_a_worker_keeps_the_drivers_user(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    result = judge(request(python(), sizes=(2,)))
    assert result["status"] == "passed"
    assert "own-user" not in result["env"]["isolation"]
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert ("own-user" in judge(request(python(), sizes=(2,)))["env"]["isolation"]) is (users.why_none() is None)


def test_a_network_that_is_left_has_no_interface() -> None:
    result = judge(request(body("print(open('/proc/self/net/dev').read())"), sizes=(2,)))
    if "network-namespace" not in result["env"]["isolation"]:
        pytest.skip("no network namespace here")
    interfaces = [line.split(":")[0].strip() for line in result["logs"]["run"].splitlines() if ":" in line]
    assert set(interfaces) == {"lo"}


DRIVER = """
import json, sys
from ksearch_referee.driver import judge
print(json.dumps(judge(json.loads(sys.stdin.read()))["status"]))
"""


def start_driver(asked: dict[str, Any], temporary: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asked))
    process.stdin.close()
    return process


def children_of(pid: int) -> list[int]:
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(number) for number in told.split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_of_a_driver_that_is_killed_nothing_is_left(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = "os.open('begun', os.O_CREAT)\nwhile True: pass"
    driver = start_driver(request(body(marker), sizes=(2,)), temporary)
    while not list(temporary.glob("ksearch-den-*/worker-*/work/begun")):
        assert driver.poll() is None
        time.sleep(0.02)
    workers = children_of(driver.pid)
    assert len(workers) >= 2
    driver.kill()
    driver.wait()
    while any(is_alive(pid) for pid in workers):  # the system ends them
        time.sleep(0.02)
    left = [den.name for den in temporary.iterdir()]
    assert len(left) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert remove_abandoned() == left
    assert list(temporary.iterdir()) == []


def test_what_lives_or_was_to_be_kept_is_not_removed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder = make_folder("worker-")
    young = temporary / "ksearch-den-young"
    young.mkdir()
    other = temporary / "ksearch-den-link"
    other.symlink_to(Path(__file__).parent)
    assert remove_abandoned() == [], "one lives, one may be about to be locked, one is no folder"
    os.utime(young, (0, 0))
    monkeypatch.setenv("KSEARCH_REFEREE_KEEP", "1")
    assert remove_abandoned() == []
    monkeypatch.delenv("KSEARCH_REFEREE_KEEP")
    assert remove_abandoned() == ["ksearch-den-young"]
    assert folder.is_dir()
    assert other.is_symlink()


def test_a_worker_that_is_killed_from_outside(temporary: Path) -> None:
    """The kernel's worker: the kernel's fault, for all that anybody can tell. The reference's: no fault of its."""
    kernel, reference = (
        "os.open('begun', os.O_CREAT)\nwhile True: pass",
        "    import os; os.open('begun', os.O_CREAT)\n",
    )
    for slow, status in (("kernel", "runtime_error"), ("reference", "infra_error")):
        asked = request(body(kernel) if slow == "kernel" else python(PYTHON), sizes=(2,))
        if slow == "reference":
            definition = asked["problem"]["definition"]
            definition["reference"] = definition["reference"].replace(
                "    return", f"{reference}    while 1: pass\n    return"
            )
        driver = start_driver(asked, temporary)
        while not (begun := list(temporary.glob("ksearch-den-*/worker-*/work/begun"))):
            assert driver.poll() is None
            time.sleep(0.02)
        busy = [pid for pid in children_of(driver.pid) if Path(f"/proc/{pid}/cwd").resolve() == begun[0].parent]
        os.kill(busy[0], signal.SIGKILL)
        assert driver.stdout is not None
        assert json.loads(driver.stdout.read()) == status
        driver.wait()


def test_two_drivers_share_the_timing_slot(temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSEARCH_REFEREE_CACHE", str(tmp_path / "cache"))
    with TimingSlot(cache_folder() / "locks", "cpu").shared():
        driver = start_driver(request(python(), "benchmark", (2,)), temporary)
        turnstile = TimingSlot(cache_folder() / "locks", "cpu", 0)
        while True:  # until the other driver stands in the turnstile, to time
            assert driver.poll() is None
            try:
                with turnstile.shared():
                    time.sleep(0.02)
            except InfraError:
                break
        assert driver.poll() is None, "it waits while somebody else builds"
    assert driver.stdout is not None
    assert json.loads(driver.stdout.read()) == "passed"
    driver.wait()


def test_a_tree_is_counted_however_deep(tmp_path: Path) -> None:
    here = os.getcwd()  # noqa: PTH109
    try:
        os.chdir(tmp_path)
        for _ in range(40):
            os.mkdir("d" * 200)  # noqa: PTH102
            os.chdir("d" * 200)
        Path("file").write_bytes(b"x" * 100_000)
    finally:
        os.chdir(here)
    assert not folders.holds_more(tmp_path, 41, 1 << 30)
    assert folders.holds_more(tmp_path, 40, 1 << 30)
    assert folders.holds_more(tmp_path, 100, 50_000)
    folders.remove_folder(tmp_path)
