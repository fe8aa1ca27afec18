"""`rnnbench report --plots`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from report_records import gradient, memory, record
from rnnbench.cli.plots_option import inches
from rnnbench.cli.report_command import command
from rnnbench.errors import UsageError
from rnnbench.quantity import Curve
from rnnbench.record import Record
from rnnbench.store.lines import encode

ENVIRONMENTS = {"env1": {"machine": {"cpu": "Test CPU"}, "software": {"versions": {}}}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    dead = Curve("delay", "r²", [0, 1], [None, None])
    made: list[Record] = [*(memory(1e6, seq_len=T) for T in (64, 128)), gradient(-0.1)]
    made.append(record({}, probe="capacity", curves={"memory_capacity": dead}))
    folder = tmp_path / "run"
    folder.mkdir()
    meta = {"format": 1, "suite_name": "demo", "suite_hash": "x", "suite": {}, "total": len(made), "cases": []}
    meta |= {
        "created": "2026-11-21T10:00:00+00:00",
        "environments": ENVIRONMENTS,
        "versions": {},
        "git": None,
        "argv": [],
    }
    (folder / "run.json").write_text(json.dumps(meta))
    (folder / "records.jsonl").write_bytes(b"".join(encode(one.case, one.parts[0]) for one in made))
    return folder


def test_figures_are_written_and_named_and_what_is_not_drawn_says_why(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    words = [str(run), "--plots", str(folder), "--format", "pdf", "--width", "3.25in"]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert [Path(line).name for line in done.stdout.splitlines()] == ["peak_memory_process.pdf", "gradient_norm.pdf"]
    assert sorted(path.name for path in folder.iterdir()) == ["gradient_norm.pdf", "peak_memory_process.pdf"]
    assert done.stderr == "memory_capacity is not drawn: there is no finite number in any of its cases (1 ok)\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--plots", "x", "--format", "latex"], "--plots writes png, pdf, svg, not latex"),
        (["--format", "pdf"], "--format pdf is for figures; add `--plots FOLDER`"),
        (["--width", "3in"], "--width is for figures; add `--plots FOLDER`"),
        (["--plots", "x", "--width", "wide"], "--width 'wide': a width is a number with in, cm, mm, pt"),
    ],
)
def test_what_does_not_go_together_is_refused(run: Path, words: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint.replace("(", r"\(")):
        CliRunner().invoke(command, [str(run), *words], catch_exceptions=False)


@pytest.mark.parametrize(("text", "size"), [("3.25in", 3.25), ("8.255cm", 3.25), ("72.27 pt", 1.0), ("3", 3.0)])
def test_widths(text: str, size: float) -> None:
    if size < 1.5:
        with pytest.raises(UsageError):
            inches(text)
    else:
        assert inches(text) == pytest.approx(size)


@pytest.mark.parametrize("text", ["", "in", "3,25in", "3.25inch", "-3in", "0in", "1e9in", "1000in"])
def test_what_is_no_width(text: str) -> None:
    with pytest.raises(UsageError, match="--width"):
        inches(text)
