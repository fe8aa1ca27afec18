"""The JSON Schema of `records.jsonl`, which `rnnbench schema records` prints."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from rnnbench.cli import cli

RUNS = Path(__file__).parents[2] / "results" / "runs"
NEWEST = sorted((RUNS / "long_seq").iterdir())[-1] / "records.jsonl"
LINES = [json.loads(line) for line in NEWEST.read_text().splitlines()]
KINDS = list({(line["case"]["probe"], line["status"]): line for line in LINES}.values())


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    printed = json.loads(CliRunner().invoke(cli, ["schema", "records"]).stdout)
    jsonschema.Draft202012Validator.check_schema(printed)
    return jsonschema.Draft202012Validator(printed)


@pytest.mark.parametrize("line", KINDS, ids=lambda line: f"{line['case']['probe']}-{line['status']}")
def test_a_committed_line_is_what_the_schema_says(schema, line):
    assert [error.message for error in schema.iter_errors(line)] == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.pop("case"),
        lambda line: line.update(format=1),
        lambda line: line.update(status="fine"),
        lambda line: line["timings"]["train"].update(samples="0.1"),
        lambda line: line["values"].update(x={"factor": 2}),
    ],
)
def test_a_damaged_line_is_not(schema, damage):
    line = json.loads(json.dumps(next(one for one in LINES if "train" in one.get("timings", {}))))
    assert schema.is_valid(line)
    damage(line)
    assert not schema.is_valid(line)
