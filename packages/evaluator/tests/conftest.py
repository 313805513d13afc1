import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests, so that the same source is built once, and none of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KSEARCH_REFEREE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("KSEARCH_TEST_SECRET", "not for workers")
        yield
    assert "KSEARCH_TEST_SECRET" not in os.environ
