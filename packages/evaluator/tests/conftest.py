import os
from collections.abc import Iterator

import pytest

from ksearch_referee.environment import require_cuda_torch
from ksearch_referee.failures import InfraError
from ksearch_referee.gpus import visible_gpu


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
    """Skip what needs a GPU where there is none: every machine of CI."""
    marked = [item for item in items if item.get_closest_marker("gpu") or item.get_closest_marker("gpu_timed")]
    reason = _lacks_for_a_gpu() if marked else None
    for item in marked if reason else []:
        item.add_marker(pytest.mark.skip(reason=reason or ""))


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests, so that the same source is built once, and none of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KSEARCH_REFEREE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("KSEARCH_TEST_SECRET", "not for workers")
        yield
    assert "KSEARCH_TEST_SECRET" not in os.environ
