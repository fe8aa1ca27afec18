"""`rnnbench describe` and `rnnbench list`: what there is, and what can be said about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import ask
from rnnbench.registry import load
from rnnbench.registry.suites import shipped


@pytest.mark.parametrize("probe", load().probes)
def test_every_setting_and_quantity_of_a_probe_is_explained(probe: str, tmp_path: Path) -> None:
    text = ask("describe", probe, cwd=tmp_path).out
    assert ask("list", probe, cwd=tmp_path).out == text
    found = load().probes[probe]
    for name in (*found.settings.__dataclass_fields__, *(quantity.name for quantity in found.quantities)):
        assert f"  {name} " in text
    assert max(map(len, text.partition("\nsuite ")[0].splitlines())) <= 100


def test_types_defaults_and_meanings_are_those_of_the_class(tmp_path: Path) -> None:
    text = " ".join(ask("describe", "convergence", "decode", cwd=tmp_path).out.split())
    assert "lr number > 0 0.001 See `rnnbench.backend.Optimizer`" in text
    assert "stop_when_solved true or false true Stop at the first evaluation that reaches the task's target." in text
    assert "patience whole number ≥ 1 or null null" in text
    assert "test_seq_lens list of whole number ≥ 1 []" in text
    assert "decode.latency_p99 s lower is better 99th percentile" in text


def test_cells_tasks_and_suites_are_described(tmp_path: Path) -> None:
    text = ask("describe", "lstm", "adding", "smoke", cwd=tmp_path).out
    assert "cell lstm" in text and "forget_bias=" in text
    assert "task adding" in text
    assert "suite smoke: Every probe" in text and "grid:" in text


def test_suites_are_listed_with_their_cases_and_time(tmp_path: Path) -> None:
    found = json.loads(ask("list", "suites", "--json", cwd=tmp_path).out)["suites"]
    assert [row["name"] for row in found] == list(shipped())
    smoke = next(row for row in found if row["name"] == "smoke")
    assert smoke["cases"] <= 40 and smoke["seconds"] < 600 and "about a minute" in smoke["about"]
    plain = ask("list", cwd=tmp_path).out
    assert "SUITES" in plain and "long_seq" in plain
    assert max(map(len, ask("list", "suites", cwd=tmp_path).out.splitlines())) <= 100
    assert max(map(len, plain.splitlines())) <= 100


def test_what_a_plugin_brought_names_it_and_what_is_absent_says_why(tmp_path: Path) -> None:
    assert ask("new", "cell", "brought_along", cwd=tmp_path).code == 0
    text = ask("list", "cells", "devices", "--plugin", "brought_along.py", cwd=tmp_path).out
    line = next(line for line in text.splitlines() if line.startswith("  brought_along "))
    own = text[text.index("  brought_along ") :].partition("DEVICES")[0]
    assert line.endswith("[brought_along (brought_along.py)]") or "[" in own
    assert "  jax/cpu" in text and "rnnbench 0" not in text
