"""What trained models wrote, as the reports show it: untrusted text, every character of it visible."""

from __future__ import annotations

import re
from typing import Any

import pytest

from report_records import entry, record
from rnnbench.record import Record
from rnnbench.report import render
from rnnbench.report.samples import samples, visible
from rnnbench.report.series import panels

EVIL = "</script><script>document.title = 'broken'</script><b>\n`````|*\x1b[31m\u202e\\n"
SHOWN = "</script><script>document.title = 'broken'</script><b>\\n`````|*\\x1b[31m\\u202e\\\\n"


def writer(loss: float, text: str, **fields: Any) -> Record:
    settings = {"task": "english_text", "lr": 0.01, "replicate": 0, "prompt": "In the", **fields.pop("settings", {})}
    quantities = {
        name: entry(loss, "1") for name in ("best_validation_loss", "final_validation_loss", "bits_per_character")
    }
    details = {"sample": {"prompt": settings["prompt"], "temperature": 0.8, "text": text}}
    return record(quantities, probe="convergence", settings=settings, details=details, **fields)


def found(*records: Record) -> list[tuple[str, str]]:
    return [(sample.by, sample.whole) for sample in samples(panels(records))]


def test_every_program_and_length_shows_what_it_wrote():
    records = [
        writer(2.0, " beginning", cell="lstm", seq_len=256),
        writer(2.5, " begin", cell="lstm"),
        writer(1.234, " end", cell="gru"),
    ]
    assert found(*records) == [
        ("lstm, torch/native, T=64, english_text, 2.50 bits per character, temperature 0.8", "In the| begin"),
        ("lstm, torch/native, T=256, english_text, 2.00 bits per character, temperature 0.8", "In the| beginning"),
        ("gru, torch/native, T=64, english_text, 1.23 bits per character, temperature 0.8", "In the| end"),
    ]


def test_of_repetitions_the_best_speaks_and_of_learning_rates_the_chosen():
    cases = [(0.1, 0, 2.0), (0.1, 1, 9.0), (0.01, 0, 4.0), (0.01, 1, 3.0)]
    records = [
        writer(loss, f" {lr} {replicate}", settings={"lr": lr, "replicate": replicate}) for lr, replicate, loss in cases
    ]
    [(by, whole)] = found(*records)
    assert whole == "In the| 0.01 1"  # median loss 3.5 against 5.5
    assert "lr 0.01, 3.00 bits per character" in by


def test_what_failed_or_was_not_asked_to_write_has_no_text():
    silent = record({"best_validation_loss": entry(1.0, "1")}, probe="convergence", settings={"task": "t", "lr": 0.1})
    assert found(silent, record(status="failed", probe="convergence", settings={"task": "t"})) == []
    assert "Generated text" not in render([silent], "table") + render([silent], "md")


def test_every_character_is_visible():
    assert visible(EVIL) == SHOWN
    assert visible("æ 漢 word") == "æ 漢 word"
    assert visible("\ud800\u200b\xa0") == "\\ud800\\u200b\\xa0"


def test_the_table_ends_with_the_text(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    head, _, body = render([writer(2.0, EVIL)], "table").partition("Generated text\n")
    assert "bits per character" in head and body.endswith(f"temperature 0.8\n  In the|{SHOWN}\n")


def test_markdown_keeps_the_text_in_a_code_span_that_it_cannot_close():
    page = render([writer(2.0, EVIL)], "md")
    assert page.endswith(f"  `````` In the|{SHOWN} ``````\n")


def test_html_escapes_the_text_in_the_section_on_learning():
    pytest.importorskip("jinja2")
    pytest.importorskip("plotly")
    page = render([writer(2.0, EVIL)], "html")
    learning = page.partition('<section id="learning"')[2].partition("</section>")[0]
    assert "Generated text" in learning and "<b>In the</b>|&lt;/script&gt;&lt;script&gt;" in learning
    assert not re.search(r"<script>document\.title", page)
