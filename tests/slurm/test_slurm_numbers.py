"""Losses from a cluster are those of one machine, bit for bit, whoever submitted them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import rnnbench
from command_line import ask
from learn_suite import LEARN, losses

pytest.importorskip("submitit")
pytestmark = pytest.mark.long

LOTS = ("--executor", "slurm", "--set", "executor.lot_minutes=0.05")
HIDDEN = ("torch", "jax", "optax", "flax", "equinox", "keras", "haiku", "memax", "array_api_compat", "functorch")


def records(folder: Path) -> Sequence[rnnbench.Record]:
    return rnnbench.load(str(max((folder / "results/runs/learn").iterdir()))).records


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_losses_are_those_of_one_machine(slurm, tmp_path, backend):
    pytest.importorskip(backend)
    (tmp_path / "learn.yaml").write_text(LEARN.replace("BACKEND", backend))
    assert ask("run", "learn.yaml", "--executor", "forkserver", cwd=tmp_path).code == 0
    serial = records(tmp_path)
    answer = slurm.rnnbench("run", "learn.yaml", *LOTS, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert len(losses(serial)) >= 4 * 8
    assert losses(records(tmp_path)) == losses(serial)


def test_a_driver_needs_neither_torch_nor_jax(slurm, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "learn.yaml").write_text(LEARN.replace("BACKEND", "torch"))
    driver = without_frameworks(tmp_path / "driver")
    missing = slurm.ask(driver, "-c", "import torch", cwd=tmp_path)
    assert "No module named 'torch'" in missing.err
    command = ("run", "learn.yaml", *LOTS, "--set", f"executor.python={sys.executable}")
    answer = slurm.ask(driver, "-m", "rnnbench", *command, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert len(losses(records(tmp_path))) >= 4 * 8


def without_frameworks(folder: Path) -> Path:
    """The Python of an environment that has all that this one has but the frameworks."""
    import venv

    venv.create(folder, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    for place in map(Path, sys.path):
        if place.name == "site-packages":
            for entry in place.iterdir():
                leads_back = entry.suffix == ".pth" and "editable" not in entry.name
                if not entry.name.startswith(HIDDEN) and not leads_back and not (site / entry.name).exists():
                    (site / entry.name).symlink_to(entry)
    return folder / "bin" / "python"
