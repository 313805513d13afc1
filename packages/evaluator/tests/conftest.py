import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksearch_referee.environment import require_cuda_torch
from ksearch_referee.failures import InfraError
from ksearch_referee.gpus import visible_gpu
from ksearch_referee.locks import TimingSlot

_SIDE_BY_SIDE = "PYTEST_XDIST_WORKER" in os.environ


_BEGAN = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--limit-s", type=float, default=float("inf"), help="skip what has not begun by then")


def pytest_runtest_setup(item: pytest.Item) -> None:
    limit_s = item.config.getoption("--limit-s")
    if isinstance(limit_s, float) and time.monotonic() - _BEGAN > limit_s:
        pytest.skip(f"not begun after {limit_s:g} s (--limit-s)")


def _lacks_for_a_gpu() -> str | None:
    """Return why kernels cannot be judged on a GPU here, None if they can."""
    gpu = visible_gpu()
    if gpu is None or gpu.device is None:
        return "there is no GPU here" if gpu is None else f"no device of the contract is an {gpu.name}"
    try:
        require_cuda_torch()
    except InfraError as error:
        return str(error)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none: every machine of CI. Side by side, what has to be alone comes last."""
    marked = [item for item in items if item.get_closest_marker("gpu") or item.get_closest_marker("gpu_timed")]
    reason = _lacks_for_a_gpu() if marked else None
    for item in marked if reason else []:
        item.add_marker(pytest.mark.skip(reason=reason or ""))
    if _SIDE_BY_SIDE:
        items.sort(key=_is_timed)


def _is_timed(item: pytest.Item) -> bool:
    return item.get_closest_marker("timed") is not None


@pytest.fixture(scope="session")
def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share: pytest-xdist has several, each with a folder of its own in it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if _SIDE_BY_SIDE else own


@pytest.fixture(scope="session", autouse=True)
def cache_folder(common_folder: Path) -> Iterator[None]:
    """One cache for all tests, so that the same source is built once, and none of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KSEARCH_REFEREE_CACHE", str(common_folder / "cache"))
        patch.setenv("KSEARCH_TEST_SECRET", "not for workers")
        yield
    assert "KSEARCH_TEST_SECRET" not in os.environ


@pytest.fixture(autouse=True)
def _alone_if_timed(request: pytest.FixtureRequest, common_folder: Path) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Run tests side by side, but those whose verdicts rest on times while no other runs."""
    slot = TimingSlot(common_folder / "tests", "any")
    with slot.exclusive() if _is_timed(request.node) else slot.shared():
        yield
