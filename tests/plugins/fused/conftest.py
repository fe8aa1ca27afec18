"""Kernels of these tests are kept apart from the user's, and made once per run of the tests."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def kernels(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
