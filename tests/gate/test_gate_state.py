"""What a gate keeps of its processes."""

import json
from pathlib import Path

import pytest

from rnnbench.errors import UsageError
from rnnbench.gate.state import GateState

TIME = {"value": 0.5, "unit": "s", "better": "lower", "bound": None, "exact": False, "resolution": 0.0, "ratio": 1.1}
SAMPLE = {
    "kind": "sample",
    "subject": "a",
    "pair": 0,
    "side": "head",
    "status": "ok",
    "reason": "",
    "quantities": {"train.time": TIME, "train.compilations": {"value": 1, **{k: TIME[k] for k in ("unit", "better")}}},
    "seconds": 1.5,
    "stops": 0,
    "left_over": {"train.time": [0.001, 0.01]},
}
SAMPLE["quantities"]["train.compilations"] |= {"bound": None, "exact": True}
FOUND = {"status": "ok", "reason": "", "implementation": "scan", "verified": "oracle", "rejected": {"native": "off"}}
RESOLUTION = {"kind": "resolution", "subject": "a", "side": "base"} | FOUND


def kept(path: Path, resume: bool, line: dict) -> list[dict]:
    with GateState.open(path, resume) as state:
        state.add(line)
        return state.lines


def test_a_gate_begins_anew_or_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "gate" / "samples.jsonl"
    lines = [SAMPLE | {"pair": pair} for pair in range(3)]
    assert kept(path, False, lines[0]) == [lines[0]]
    assert kept(path, True, RESOLUTION) == [lines[0], RESOLUTION]
    assert kept(path, False, lines[1]) == [lines[1]]
    assert kept(path, True, lines[2]) == [lines[1], lines[2]]


BAD = {
    "no object": ("5", "should be"),
    "another kind": (json.dumps(SAMPLE | {"kind": "x"}), "kind"),
    "no pair": (json.dumps({key: value for key, value in SAMPLE.items() if key != "pair"}), "sample.pair"),
    "a text for a number": (json.dumps(SAMPLE).replace("0.5", '"0.5"'), "quantities.train.time.value"),
    "no number": (json.dumps(SAMPLE).replace("0.5", "NaN"), "quantities.train.time.value"),
    "another side": (json.dumps(RESOLUTION | {"side": "other"}), "resolution.side"),
    "two in a line": (json.dumps(SAMPLE) + ',"more":5', ""),
    "deep": ("[" * 99999, ""),
    "no text": ("\udcff", ""),
}


@pytest.mark.parametrize("line, where", BAD.values(), ids=BAD.keys())
def test_a_damaged_state_is_refused_with_its_line(tmp_path: Path, line: str, where: str) -> None:
    path = tmp_path / "samples.jsonl"
    good = json.dumps(RESOLUTION)
    path.write_bytes(f"{good}\n{line}\n{good}\n".encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=rf"is damaged in line 2 \(.*{where}.*Remove it"):
        GateState.open(path, resume=True)
