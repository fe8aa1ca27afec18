"""`rnnbench map`: how the weights of a class lie beside those of a cell."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from rnnbench.cli import cli
from rnnbench.errors import PluginError, UsageError

pytest.importorskip("torch")


def run(*arguments: str):
    return CliRunner().invoke(cli, ["map", *arguments], catch_exceptions=False)


def test_it_prints_the_layout():
    result = run("torch.nn:LSTMCell", "lstm")
    assert (result.exit_code, result.stdout) == (0, "torch.nn:LSTMCell is lstm; gates in the order i, f, g, o\n")


def test_what_has_no_layout_says_why():
    with pytest.raises(PluginError, match=r"torch.nn:LSTMCell: it has 4 input blocks of H rows, and gru has 3"):
        run("torch.nn:LSTMCell", "gru")
    with pytest.raises(UsageError, match=r"is no class; write"):
        run("lstm", "gru")
    with pytest.raises(UsageError, match=r"no cell 'gruu'.*Did you mean 'gru'"):
        run("torch.nn:GRUCell", "gruu")
