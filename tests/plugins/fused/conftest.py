"""Kernels of these tests are kept apart from the user's, and made once per run of the tests."""

import pytest


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def kernels(kept):
    """Only while these modules run: the tests of others have caches of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNBENCH_CACHE", str(kept))
        yield
