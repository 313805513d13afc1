"""What builders compiled, between judgements: whose it is, what of it is kept, and what is believed of that."""

import copy
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from on_gpu import TRITON, request, triton

from ksearch_referee import cached_files, compiled_cache, contract
from ksearch_referee.cached_files import trim
from ksearch_referee.compilation import make_folders, settle_cache, start_builders
from ksearch_referee.compiled_cache import archive_of, keep, take_out
from ksearch_referee.environment import package_version
from ksearch_referee.failures import KernelFailure
from ksearch_referee.gpus import Gpu, visible_gpu
from ksearch_referee.judgement import Judgement
from ksearch_referee.preparation import Workers, drop_incumbent

GPU = Gpu("NVIDIA H100 80GB HBM3", 1, "90", 50 << 20, "580.159.04", "13.0", {})
MADE = {"abc/kernel.cubin": b"\0ELF", "abc/kernel.json": b"{}", "launcher/one/two.so": b"code"}


def fill(folder: Path, made: dict[str, bytes] = MADE) -> Path:
    for name, content in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def builders(tmp_path: Path) -> Path:
    """The folder that a builder has filled."""
    return fill(tmp_path / "builder's")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "digest.zip"


@pytest.fixture
def workers(tmp_path: Path) -> Path:
    """The folder that workers read."""
    folder = tmp_path / "workers'"
    folder.mkdir(mode=0o700)
    return folder


def test_what_was_compiled_comes_back_for_workers_of_every_user(builders: Path, archive: Path, workers: Path) -> None:
    (builders / "empty").mkdir()
    former = os.umask(0o077)
    try:
        assert keep(builders, archive)
        assert take_out(archive, workers)
    finally:
        os.umask(former)
    assert content_of(workers) == MADE
    assert (workers / "empty").is_dir()
    for path in (workers, *workers.rglob("*")):
        assert path.stat().st_mode & 0o755 == 0o755
        assert not path.stat().st_mode & 0o022


def test_nothing_is_known_at_first(archive: Path, workers: Path) -> None:
    assert not take_out(archive, workers)


@pytest.mark.skipif(package_version("triton") is None, reason="needs triton")
def test_triton_finds_its_files_where_they_are_now(
    builders: Path, archive: Path, workers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager_of: Any = importlib.import_module("triton.runtime.cache").get_cache_manager
    key = "0123456789abcdef"
    monkeypatch.setenv("TRITON_CACHE_DIR", str(builders))
    first = Path(manager_of(key).put(b"ptx", "kernel.ptx"))
    manager_of(key).put_group("kernel.json", {"kernel.ptx": str(first)})
    assert keep(builders, archive)
    first.unlink()
    assert take_out(archive, workers)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(workers))
    assert manager_of(key).get_group("kernel.json") == {"kernel.ptx": str(workers / first.relative_to(builders))}


@pytest.mark.skipif(package_version("triton") is None, reason="needs triton")
@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_a_worker_that_is_not_confined_yet_opens_nothing_that_a_kernel_compiled(builders: Path, device: str) -> None:
    script = f"""
import sys
opened = []

def watch(event, arguments):
    if event != "subprocess.Popen" and {builders.name!r} in repr(arguments):
        opened.append(event)

sys.addaudithook(watch)
from ksearch_referee.worker.compilers import ask_versions
ask_versions(90)
print("triton.compiler.compiler" in sys.modules, opened)
open({str(builders / "abc/kernel.json")!r})
print(opened)
"""
    gpu = visible_gpu() if device == "gpu" else None
    shown = gpu.environment if gpu else {"CUDA_VISIBLE_DEVICES": ""}
    environment = {"TRITON_CACHE_DIR": str(builders), "PATH": os.environ["PATH"], **shown}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True []", "['open']"]


def link(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")


def folder_link(folder: Path) -> None:
    (folder / "link").symlink_to("/etc")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def deep(folder: Path) -> None:
    fill(folder, {"/".join(["folders", "that", "go", "too", "deep"] * 2): b""})


def no_text(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"")


def many(folder: Path) -> None:
    for number in range(20):
        (folder / str(number)).mkdir()


def large(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(100_000)


@pytest.mark.parametrize("leave", [link, folder_link, pipe, deep, no_text, many, large], ids=lambda f: f.__name__)
def test_what_no_compiler_leaves_is_not_kept_and_nor_is_the_rest(
    builders: Path, archive: Path, leave: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_cache, "_MAX_FILES", 20)
    monkeypatch.setattr(compiled_cache, "_MAX_BYTES", 90_000)
    leave(builders)
    assert not keep(builders, archive)
    assert list(archive.parent.iterdir()) == []


@pytest.mark.parametrize("poison", ["byte", "end", "folder", "file"])
def test_an_archive_that_is_not_what_was_kept_is_not_believed(
    builders: Path, archive: Path, workers: Path, poison: str
) -> None:
    assert keep(builders, archive)
    whole = archive.read_bytes()
    if poison == "byte":
        archive.write_bytes(whole.replace(b"\0ELF", b"\0ELG"))
    elif poison == "end":
        archive.write_bytes(whole[: len(whole) // 2])
    elif poison == "folder":
        archive.parent.chmod(0o777)
    else:
        archive.chmod(0o666)
    assert not take_out(archive, workers)
    assert content_of(workers) == {}
    assert keep(builders, archive) == (poison != "folder")
    assert take_out(archive, workers) == (poison != "folder")


def test_judges_that_keep_and_read_the_same_at_once_never_see_half_of_it(
    builders: Path, archive: Path, tmp_path: Path
) -> None:
    assert keep(builders, archive)

    def judge(number: int) -> dict[str, bytes]:
        folder = tmp_path / str(number)
        folder.mkdir()
        assert take_out(archive, folder)
        keep(folder, archive)
        return content_of(folder)

    with ThreadPoolExecutor(8) as pool:
        assert all(found == MADE for found in pool.map(judge, range(64)))


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for age_s, name in enumerate(["new", "used", "old", "oldest"]):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (now - 10 * age_s, now - 10 * age_s))
    cached_files.mark_used(tmp_path / "used", tmp_path / "gone")
    trim(tmp_path, 400)
    trim(tmp_path / "no folder", 0)
    assert len(list(tmp_path.iterdir())) == 4
    trim(tmp_path, 250)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "used"}
    trim(tmp_path, 0, spared_s=5.0)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "used"}, "in use"
    trim(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_another_kernel_problem_gpu_or_tool_is_another_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(triton())
    kernel: Any = asked["kernel"]
    problem: Any = asked["problem"]
    other_workloads = copy.deepcopy(problem)
    other_workloads["workloads"][0]["axes"]["n"] += 1
    other_source: Any = triton(f"{TRITON}\n")
    other_entry: Any = {**kernel, "entryPoint": "main.py::go"}
    archives = [
        archive_of(kernel, problem, GPU),
        archive_of(other_entry, problem, GPU),
        archive_of(other_source, problem, GPU),
        archive_of(kernel, other_workloads, GPU),
        *(
            archive_of(kernel, problem, replace(GPU, **change))
            for change in ({"name": "NVIDIA H100 PCIe"}, {"capability": "100"}, {"driver": "581"}, {"cuda": "13.1"})
        ),
    ]

    for patched in ("torch", "triton"):
        versions = {"torch": "2.11.0", "triton": "3.6.0", "numpy": "2.4.6", patched: "of tomorrow"}
        monkeypatch.setattr(compiled_cache, "package_version", versions.get)
        archives.append(archive_of(kernel, problem, GPU))
    monkeypatch.undo()
    assert len(set(archives)) == len(archives)
    assert archive_of(copy.deepcopy(kernel), copy.deepcopy(problem), GPU) == archives[0]


Start = Callable[..., Judgement]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """What begins a judgement on a GPU that is not there, up to its folders."""
    monkeypatch.setenv("KSEARCH_REFEREE_CACHE", str(tmp_path / "cache"))

    def started(source: str = TRITON, incumbent: str | None = None) -> Judgement:
        asked = request(triton(source), "benchmark")
        asked["incumbent"] = incumbent and triton(incumbent)
        session = Judgement(contract.parse_request(asked))
        vars(session)["gpu"] = GPU
        kernels = {"kernel": session.request["kernel"], **({"incumbent": session.incumbent} if incumbent else {})}
        make_folders(session, kernels)  # pyright: ignore[reportArgumentType]
        return session

    return started


def known(session: Judgement) -> dict[str, bool]:
    return {role: compiled.known for role, compiled in session.compiled.items()}


def test_the_second_judgement_of_a_kernel_that_passed_starts_no_builder(start: Start) -> None:
    first = start()
    assert known(first) == {"kernel": False}
    fill(first.compiled["kernel"].folder)
    settle_cache(first, passed=True)
    second = start()
    assert known(second) == {"kernel": True}
    assert start_builders(second) == {}
    assert content_of(second.compiled["kernel"].folder) == MADE
    assert known(start(f"{TRITON}# another\n")) == {"kernel": False}


def test_a_kernel_that_failed_is_compiled_again(start: Start) -> None:
    first = start()
    fill(first.compiled["kernel"].folder)
    settle_cache(first, passed=False)
    second = start()
    assert known(second) == {"kernel": False}
    settle_cache(second, passed=True)
    settle_cache(start(), passed=False)
    assert known(start()) == {"kernel": False}, "what was kept may have been too little"


def test_an_incumbent_is_kept_unless_it_was_dropped(start: Start) -> None:
    best = f"{TRITON}# the best\n"
    first = start(incumbent=best)
    settle_cache(first, passed=True)
    second = start(incumbent=best)
    assert known(second) == {"kernel": True, "incumbent": True}
    workers: Any = Workers(kernel=None, side=None, incumbent=None)  # pyright: ignore[reportArgumentType]
    drop_incumbent(second, workers, KernelFailure("runtime_error", "no"))
    settle_cache(second, passed=True)
    assert known(start(incumbent=best)) == {"kernel": True, "incumbent": False}


def test_a_kernel_that_compiles_nothing_has_no_folder(start: Start) -> None:
    assert known(start("def run(x, scale):\n    return x * scale + 1\n")) == {}
