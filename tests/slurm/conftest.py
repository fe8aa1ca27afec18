"""A Slurm of two nodes in this machine, for all tests of this folder."""

import pytest

from slurm_box import NoBox, box


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    try:
        with box(tmp_path_factory.mktemp("box")) as found:
            yield found
    except NoBox as why:
        pytest.skip(f"no Slurm can be started here: {why}")
