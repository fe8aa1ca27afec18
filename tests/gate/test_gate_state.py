"""What a gate keeps of its processes."""

from pathlib import Path

from rnnbench.gate.state import GateState


def kept(path: Path, resume: bool, line: dict) -> list[dict]:
    with GateState.open(path, resume) as state:
        state.add(line)
        return state.lines


def test_a_gate_begins_anew_or_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "gate" / "samples.jsonl"
    assert kept(path, False, {"pair": 0}) == [{"pair": 0}]
    assert kept(path, True, {"pair": 1}) == [{"pair": 0}, {"pair": 1}]
    assert kept(path, False, {"pair": 2}) == [{"pair": 2}]
    assert kept(path, True, {"pair": 3}) == [{"pair": 2}, {"pair": 3}]
