"""The cache of built objects: what makes an entry another one, and which entry is believed."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from affine import CPP, SETTINGS, cpp, request

from ksearch_referee import build, cuda_toolchain
from ksearch_referee.budget import Budget
from ksearch_referee.build import Build
from ksearch_referee.cuda_toolchain import find_cuda_toolchain
from ksearch_referee.driver import judge
from ksearch_referee.gpus import Gpu
from ksearch_referee.toolchain import Toolchain, find_toolchain
from ksearch_referee.wire import Kernel, Limits

LIMITS = cast("Limits", SETTINGS["limits"])
ANSWER = 'extern "C" int answer() { return 42; }\n'


def kernel(source: str = ANSWER) -> Kernel:
    return cast("Kernel", cpp(source))


def built(folder: Path, source: str = ANSWER, toolchain: Toolchain | None = None) -> tuple[Path, bool]:
    """Return the object, and whether a compiler ran for it."""
    made = Build(kernel(source), toolchain or find_toolchain(), folder, LIMITS)
    try:
        return made.wait(Budget(60_000)), made.build_ms > 0
    finally:
        made.close()


def test_the_same_kernel_is_built_once(tmp_path: Path) -> None:
    first, ran = built(tmp_path)
    assert ran
    assert built(tmp_path) == (first, False)


def test_objects_that_nobody_used_lately_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_MAX_CACHE_BYTES", 0)
    first, second, third = (ANSWER.replace("42", number) for number in "123")
    built(tmp_path, first)
    for file in (tmp_path / "objects").iterdir():
        os.utime(file, (0, 0))
    second_path, _ = built(tmp_path, second)
    third_path, _ = built(tmp_path, third)
    assert {path.stem for path in second_path.parent.iterdir()} == {second_path.stem, third_path.stem}
    assert built(tmp_path, first)[1]


def test_a_second_judgement_builds_nothing_and_still_tells_what_the_compiler_said() -> None:
    asked = request(cpp(CPP + "\n#warning judged twice\n"))
    first, second = judge(asked), judge(asked)
    assert first["usage"]["buildMs"] > 0
    assert second["usage"]["buildMs"] == 0
    assert (first["status"], second["status"]) == ("passed", "passed")
    assert "judged twice" in first["logs"]["build"] == second["logs"]["build"]


@pytest.mark.parametrize("changed", ["flags", "version", "compiler"])
def test_another_toolchain_is_another_entry(tmp_path: Path, changed: str) -> None:
    toolchain = find_toolchain()
    others: dict[str, Any] = {
        "flags": (*toolchain.flags, "-fno-math-errno"),
        "version": f"{toolchain.version}, patched",
        "compiler": f"/usr/..{toolchain.compiler}",
    }
    first, _ = built(tmp_path)
    second, ran = built(tmp_path, toolchain=replace(toolchain, **{changed: others[changed]}))
    assert ran
    assert first != second


def test_another_source_file_name_cpu_or_referee_is_another_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(changed: Kernel) -> str:
        return build._cache_key(changed, find_toolchain())  # pyright: ignore[reportPrivateUsage]

    keys = {key(kernel()), key(kernel(f"{ANSWER}\n"))}
    renamed = kernel()
    renamed["files"] = [{"path": "other.cpp", "content": ANSWER}]
    keys.add(key(renamed))
    monkeypatch.setattr(build, "__version__", "another")
    keys.add(key(kernel()))
    monkeypatch.setattr(build, "cpu_identity", lambda: "another")
    keys.add(key(kernel()))
    assert len(keys) == 5


def test_another_gpu_cuda_torch_orhost_compiler_is_another_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    facts: dict[str, Any] = {"nvcc": "nvcc 13.0.48", "torch": "2.11.0", "g++": "g++ 13.3"}

    def torch_version(_: str) -> str:
        return facts["torch"]

    monkeypatch.setattr(cuda_toolchain, "find_nvcc", lambda: ("/usr/local/cuda/bin/nvcc", facts["nvcc"]))
    monkeypatch.setattr(cuda_toolchain, "package_version", torch_version)
    monkeypatch.setattr(cuda_toolchain, "torch_folder", lambda: Path("/torch"))
    monkeypatch.setattr(cuda_toolchain, "host_compiler", lambda: facts["g++"])

    def key(capability: str = "90", *, torch: bool = True) -> str:
        gpu = Gpu("NVIDIA H100", 1, capability, 50 << 20, "580.159.04", "13.0", {})
        return build._cache_key(kernel(), find_cuda_toolchain(gpu, torch=torch))  # pyright: ignore[reportPrivateUsage]

    keys = [key(), key(capability="100"), key(torch=False)]
    for fact in facts:
        facts[fact] += ".1"
        keys.append(key())
    assert len(set(keys)) == len(keys)
    plain = key(torch=False)
    facts["torch"] = "2.12.0"
    assert key(torch=False) == plain, "a kernel without torch does not depend on it"


@pytest.mark.parametrize("poison", ["object", "record", "no record", "folder", "file"])
def test_a_poisoned_entry_is_not_believed(tmp_path: Path, poison: str) -> None:
    path, _ = built(tmp_path)
    planted, _ = built(tmp_path / "elsewhere", ANSWER.replace("42", "43"))
    record = path.with_suffix(".json")
    if poison == "object":
        path.write_bytes(planted.read_bytes())
    elif poison == "record":
        record.write_text('{"sha256": 7}')
    elif poison == "no record":
        record.unlink()
    elif poison == "folder":
        path.parent.chmod(0o777)
    else:
        path.chmod(0o666)
    _, ran = built(tmp_path)
    assert ran
    if poison == "folder":
        path.parent.chmod(0o700)
    assert built(tmp_path) == (path, False), "mended by the build"
