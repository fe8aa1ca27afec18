"""`run --resume` of folders that something has damaged: all is measured in the end, or one sentence says why not."""

from __future__ import annotations

import os
import signal

import pytest

from hostile_folders import Bench, check

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes pipes")


def hangs(*_: object) -> None:
    raise AssertionError("it hangs")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGALRM, hangs)
    yield Bench.of(tmp_path, monkeypatch)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def tried(bench: Bench, seeds: range) -> list[str]:
    found = []
    for seed in seeds:
        signal.alarm(60)
        found.append(check(bench, seed))
    return found


def test_a_run_that_died_is_whole_once_it_is_resumed(bench):
    for packed in (False, True):
        path = bench.execute(packed, float("inf"), bench.begun(packed, 3))
        assert len((path / "records.jsonl").read_text().splitlines()) == 8


def test_whatever_was_done_to_its_files_resume_ends_well_or_says_why_not(bench):
    found = tried(bench, range(40))
    whole = sum(one.endswith(": whole") for one in found)
    assert 10 < whole < 40


@pytest.mark.long
def test_many_more(bench):
    tried(bench, range(1000, 3000))
