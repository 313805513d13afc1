"""No honest kernel is refused, and on a quiet host none is warned of; what was found goes into the tables."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from on_gpu import figures

from honest import on_cpu, on_device, with_torch
from honest.kernel import Honest
from ksearch_referee.driver import judge
from ksearch_referee.environment import package_version
from ksearch_referee.gpus import visible_gpu
from ksearch_referee.review import Review
from ksearch_referee.static import check_policy
from ksearch_referee.wire import SourceFile

KERNELS = [*on_cpu.KERNELS, *with_torch.KERNELS, *on_device.KERNELS]


def _parameter(kernel: Honest) -> object:
    marks = [pytest.mark.timed if kernel.where == "cpu" else getattr(pytest.mark, kernel.where)]
    return pytest.param(kernel, id=f"{kernel.id} {kernel.where}: {kernel.style}", marks=marks)


def _doubts(kernel: Honest, result: dict[str, Any]) -> dict[str, Any]:
    """What guards say beyond `info`, and beyond what may be said of this kernel; of a busy host (K03), nothing."""
    beyond = (g for g in result["guards"] if g["level"] != "info")
    doubts = {g["id"]: g for g in beyond if (g["id"], g["level"]) not in kernel.told}
    return {} if "K03" in doubts else doubts


@pytest.mark.parametrize("kernel", [_parameter(kernel) for kernel in KERNELS])
def test_honest(kernel: Honest, record_property: Callable[[str, object], None]) -> None:
    if kernel.needs and package_version(kernel.needs) is None:
        pytest.skip(f"no {kernel.needs} here")
    request = kernel.asks()
    result = judge(request)
    record_property("figures", figures(result))
    told = {
        "id": kernel.id,
        "title": kernel.style,
        "format": request["problem"]["format"],
        "language": request["kernel"]["language"],
        "device": request["device"],
        "status": result["status"],
        "guards": [f"{g['id']} {g['level']}" for g in result["guards"]],
        "outcome": "accepted" if result["status"] == "passed" else "refused",
    }
    record_property("honest", json.dumps(told))
    assert (result["status"], result["phase"]) == ("passed", "done"), result
    if kernel.where != "cpu":
        gpu = visible_gpu()
        assert gpu is not None
        assert (result["env"]["gpu"], result["env"]["gpuCount"]) == (gpu.name, gpu.count)
    doubts = _doubts(kernel, result)
    # Noise does not last: what is doubted twice is doubted for good.
    again = _doubts(kernel, judge(request)) if doubts else {}
    assert not doubts.keys() & again.keys(), (doubts, again)


def test_no_text_is_denied_or_suspected() -> None:
    """Those for a GPU too; all of them reviewed by one process."""
    texts: list[SourceFile] = []
    for kernel in KERNELS:
        solution = kernel.asks()["kernel"]
        assert check_policy(solution, "enforce") == []
        texts += [SourceFile(path=f"{kernel.id}/{f['path']}", content=f["content"]) for f in solution["files"]]
    assert [guard for guard in Review(texts).findings() if guard.level != "info"] == []


def test_there_are_enough_of_them() -> None:
    assert len({kernel.id for kernel in KERNELS}) == len(KERNELS)
    assert sum(kernel.where == "cpu" for kernel in KERNELS) >= 25
