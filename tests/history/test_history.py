"""When numbers changed: planted changes among 30 commits of a real repository, and noise in which there is none."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_records import again, conditions, entry, memory, record, timing, training
from rnnbench.errors import UsageError
from rnnbench.history import Break, by_cause, commits, history, runs, shifts, steps, to_json, to_text
from rnnbench.record import Record
from rnnbench.report.asv import export
from rnnbench.store import RunFolder
from rnnbench.suite import Plan

pytest.importorskip("ruptures")

COMMITS, PLANTED = 30, 18
"""The first commit with the planted change is number 18, counted from 0."""

ENVIRONMENT = {
    "machine": {"cpu": "Test CPU @ 2.00GHz", "cores_allowed": 2, "gpus": []},
    "software": {"os": "Linux", "python": "CPython 3.11.7", "versions": {"numpy": "2.4.6", "torch": "2.13.0"}},
    "state": {"time": 0.0},
}
ELSEWHERE = {**ENVIRONMENT, "machine": {**ENVIRONMENT["machine"], "cpu": "Other CPU"}}


def git(folder: Path, *words: str, text: str = "") -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """30 commits on `main`, an hour apart."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "-q", "-b", "main")
    stream = "".join(
        f"commit refs/heads/main\ncommitter Tester <tester@example.org> {1_700_000_000 + 3600 * k} +0000\n"
        f"data <<END\nversion {k}\nEND\nM 100644 inline code.txt\ndata <<END\nversion {k}\nEND\n\n"
        for k in range(COMMITS)
    )
    git(folder, "fast-import", "--quiet", text=stream)
    git(folder, "reset", "-q", "--hard", "main")
    return folder


@pytest.fixture(scope="module")
def hashes(repository: Path) -> list[str]:
    return git(repository, "rev-list", "--reverse", "main").splitlines()


def store(
    results: Path,
    records: Sequence[Record],
    commit: str | None,
    dirty: bool = False,
    environment=ENVIRONMENT,
    suite="abc",
) -> RunFolder:
    git_state = {"commit": commit, "dirty": dirty} if commit else None
    planned = Plan("demo", 0, "forkserver", 60.0, tuple(one.case for one in records), {"suite": suite})
    with RunFolder.create(results, planned, environment, git_state, []) as folder:
        for one in records:
            folder.append(again(one, environment=folder.environment))
    return folder


def machine_speed(number: int) -> float:
    """A machine that grows up to 30 % slower and recovers: more than any planted change."""
    return 1 + 0.15 * (1 - math.cos(2 * math.pi * number / 20))


@dataclass
class Machine:
    """Measures with 2 % of noise between runs, and reads its reference kernel with 1 %."""

    seed: int = 0
    speed: Callable[[int], float] = machine_speed

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def run(self, number: int, slower: float = 1.0) -> list[Record]:
        """Two cells at two lengths, of which the lstm is `slower`, and a memory probe."""
        speed = self.speed(number)
        kernel = 0.01 * speed * self.rng.normal(1, 0.01)
        records = []
        for cell, factor in (("lstm", slower), ("gru", 1.0)):
            for length in (64, 128):
                one = timing(1e-5 * factor * speed * self.rng.normal(1, 0.02), cell=cell, seq_len=length)
                records.append(read(one, kernel))
        return [*records, memory(1e8 * self.rng.normal(1, 0.002))]


def read(one: Record, kernel: float) -> Record:
    """With the reference kernel's time, and without the first call, which here takes the same on any machine."""
    values = {name: found for name, found in one.parts[0].values.items() if name != "train.first_call"}
    return again(one, values=values, conditions=conditions(kernel=kernel))


def planted(number: int) -> float:
    return 1.1 if number >= PLANTED else 1.0


def stored(results: Path, hashes: Sequence[str], slower: Callable[[int], float], **machine: Any) -> Path:
    """30 runs, measured in any order: old commits may be measured later."""
    meter = Machine(**machine)
    for number in map(int, np.random.default_rng(9).permutation(COMMITS)):
        store(results, meter.run(number, slower(number)), hashes[number])
    return results


@pytest.fixture(scope="module")
def slow_at_18(tmp_path_factory, hashes) -> Path:
    return stored(tmp_path_factory.mktemp("planted"), hashes, planted)


def test_a_planted_slow_down_is_found_with_its_commit_and_size(repository, hashes, slow_at_18):
    found = history(repository, slow_at_18)
    assert (found.runs, len(found.commits), found.breaks, found.notes) == (COMMITS, COMMITS, (), ())
    names = ("train.time", "train.time_per_step", "train.tokens_per_second")
    moved = [(one.record.case.cell, one.record.case.seq_len, one.quantity) for one in found.changes]
    assert sorted(moved) == [("lstm", length, name) for length in (64, 128) for name in names]
    for one in found.changes:
        assert one.last_good.position < PLANTED <= one.first_bad.position
        assert one.kind == "regression"
        assert one.commits <= 2
        truth = 1 / 1.1 - 1 if one.quantity == "train.tokens_per_second" else 0.1
        assert one.low < truth < one.high
        assert one.high - one.low < 0.06
    (cause,) = by_cause(found.changes)
    assert (cause[0].last_good.hash, cause[0].first_bad.hash) == (hashes[PLANTED - 1], hashes[PLANTED])


def test_the_drift_of_the_machine_alone_is_no_change(repository, hashes, tmp_path):
    found = history(repository, stored(tmp_path, hashes, lambda number: 1.0))
    assert found.changes == ()
    assert found.series == 4 * 3 + 1
    assert to_text(found).splitlines()[-1] == "nothing changed"


def test_without_the_reference_kernel_the_drift_would_be_reported(hashes):
    """The control of the test above: the raw times do move."""
    raw = [math.log(record.value("train.time") or 0) for k in range(COMMITS) for record in Machine().run(k)[:1]]
    assert shifts(raw)


def test_times_of_the_undisturbed_machine_are_held_against_the_kernel_that_took_turns_with_them():
    """Not against the one that was read between cases, also while something else ran."""
    seen = conditions(kernel=0.02)
    beside = replace(seen, kernels={"latency": 0.003, "compute": 0.005})
    alone, together = (again(timing(1e-5, cell="lstm"), conditions=one) for one in (seen, beside))
    assert runs._reference([alone, alone]) == pytest.approx(0.02)
    assert runs._reference([alone, together]) == pytest.approx(0.01)


def test_a_speed_up_is_an_improvement_and_a_mended_slow_down_is_both(repository, hashes, tmp_path):
    found = history(repository, stored(tmp_path, hashes, lambda number: 1.1 if 10 <= number < 20 else 1.0))
    kinds = {(one.kind, one.first_bad.hash) for one in found.changes}
    assert kinds == {("regression", hashes[10]), ("improvement", hashes[20])}
    speeds = [one for one in found.changes if one.quantity == "train.tokens_per_second"]
    assert {one.kind: one.size > 0 for one in speeds} == {"regression": False, "improvement": True}


def test_failed_skipped_and_censored_commits_are_gaps_and_widen_the_range(repository, hashes, tmp_path):
    machine = Machine()
    for number in range(COMMITS):
        lstm, *others = machine.run(number, planted(number))
        if number in (4, 5, 17, 18):
            lstm = again(lstm, status="failed", reason="it broke", values={})
        if number in (8, 25):
            lstm = again(lstm, status="skipped", reason="not here", values={})
        if number == 12:
            bounds = {name: replace(one, bound="lower") for name, one in lstm.parts[0].values.items()}
            lstm = again(lstm, values=bounds)
        store(tmp_path, [lstm, *others], hashes[number])
    found = history(repository, tmp_path)
    (one,) = [one for one in found.changes if one.record.case.seq_len == 64 and one.quantity == "train.time"]
    assert (one.last_good.hash, one.first_bad.hash, one.commits) == (hashes[16], hashes[19], 3)
    assert one.points == (13, 10)
    assert found.breaks == ()  # it works again


def test_a_case_that_no_longer_works_is_named_and_a_skip_is_not(repository, hashes, tmp_path):
    machine = Machine()
    for number in range(10):
        records = machine.run(number)
        if number >= 6:
            records[0] = again(records[0], status="wrong", reason="its outputs differ", values={})
            records[1] = again(records[1], status="skipped", reason="not here", values={})
        store(tmp_path, records, hashes[number])
    (broken,) = history(repository, tmp_path).breaks
    assert (broken.last_good.hash, broken.first_bad.hash, broken.status) == (hashes[5], hashes[6], "wrong")
    assert "wrong        throughput lstm torch/native cpu T=64: its outputs differ" in to_text(
        history(repository, tmp_path)
    )


def last_break(repository: Path, results: Path, good: str, bad: str, quantity: str | None = None) -> Break:
    """The one break of that quantity, or of the status, which is between `good` and `bad`."""
    (one,) = [one for one in history(repository, results).breaks if one.quantity == quantity]
    assert (one.last_good.hash, one.first_bad.hash) == (good, bad)
    return one


def test_a_status_is_compared_across_versions_of_the_suite(repository, hashes, tmp_path):
    ok, failed = record({"loss": entry(1.0, "1")}), record(status="failed", reason="it broke")
    for number, one in enumerate([ok, failed, ok, ok]):
        store(tmp_path / "mended", [one], hashes[number], suite="old" if number < 2 else "new")
    assert history(repository, tmp_path / "mended").breaks == ()
    for number, one in enumerate([ok, ok, failed, failed]):
        store(tmp_path / "broken", [one], hashes[number], suite="old" if number < 2 else "new")
    assert last_break(repository, tmp_path / "broken", hashes[1], hashes[2]).reason == "it broke"


def trained(results: Path, hashes: Sequence[str], steps: Sequence[int | None], **plan: Any) -> Path:
    """Training runs on successive commits, None where the target was not reached within 2000 steps."""
    for commit, found in zip(hashes, steps, strict=False):
        store(results, [training(0.005, found, budget=2000)], commit, **plan)
    return results


def test_a_training_run_that_no_longer_reaches_its_target_is_named(repository, hashes, tmp_path):
    results = trained(tmp_path, hashes, [*range(291, 301), *[None] * 10])
    found = history(repository, results)
    assert found.changes == ()
    assert [one.quantity for one in found.breaks] == ["steps_to_target", "seconds_to_target"]
    one = last_break(repository, results, hashes[9], hashes[10], "steps_to_target")
    reason = "steps to target is only known to be at least 2000 steps, after 300 steps (10 + 10 commits)"
    assert (one.status, one.reason) == ("censored", reason)
    assert to_text(found).splitlines()[2:] == [
        f"{hashes[9][:10]}..{hashes[10][:10]}  version 10",
        f"  censored     convergence[adding] lstm torch/native cpu T=64: {reason}",
        "  censored     convergence[adding] lstm torch/native cpu T=64: seconds to target is only known to be at least "
        "2.00 s, after 300 ms (10 + 10 commits)",
    ]
    assert [one["quantity"] for one in to_json(found)["breaks"]] == ["steps_to_target", "seconds_to_target"]


def test_three_commits_on_each_side_must_tell_that_a_target_is_missed(repository, hashes, tmp_path):
    courses = {(3, 3, 0): 2, (10, 2, 0): 0, (2, 10, 0): 0, (4, 4, 1): 0}
    for (before, missed, after), breaks in courses.items():
        steps = [300] * before + [None] * missed + [300] * after
        results = trained(tmp_path / f"{before}-{missed}-{after}", hashes, steps)
        assert len(history(repository, results).breaks) == breaks


def test_a_target_reached_again_after_a_change_of_the_suite_is_no_break(repository, hashes, tmp_path):
    trained(tmp_path, hashes, [300] * 4 + [None] * 4, suite="old")
    assert len(history(repository, tmp_path).breaks) == 2
    trained(tmp_path, hashes[8:], [300] * 4, suite="new")
    assert history(repository, tmp_path).breaks == ()


def test_a_quantity_that_an_ok_case_no_longer_has_is_named(repository, hashes, tmp_path):
    """A skipped or failed commit between says nothing of the quantity."""
    for number in range(10):
        length = {"longest": entry(512.0, "step", "higher")} if number < 5 else {}
        one = record({"loss": entry(1.0, "1"), **length})
        store(tmp_path, [again(one, status="failed") if number == 5 else one], hashes[number])
    one = last_break(repository, tmp_path, hashes[4], hashes[6], "longest")
    assert (one.status, one.reason) == ("missing", "longest has no value any more, after 512 steps (5 + 4 commits)")


def test_an_exact_number_is_missed_at_once(repository, hashes, tmp_path):
    for number in range(4):
        exact = {"parameters": entry(100.0, "1", deterministic=True)} if number < 3 else {}
        store(tmp_path, [record(exact)], hashes[number])
    assert last_break(repository, tmp_path, hashes[2], hashes[3], "parameters").status == "missing"


def test_only_a_bound_on_the_worse_side_is_a_loss(repository, hashes, tmp_path):
    bounds = [(better, bound) for better in ("lower", "higher", "none") for bound in ("lower", "upper")]
    for number in range(10):
        quantities = {
            f"{better}.{bound}": entry(50.0, "step", better, bound=bound if number >= 5 else None)
            for better, bound in bounds
        }
        store(tmp_path, [record(quantities)], hashes[number])
    assert [one.quantity for one in history(repository, tmp_path).breaks] == ["lower.lower", "higher.upper"]


def test_another_suite_or_probe_version_is_another_series(repository, hashes, tmp_path):
    machine = Machine()
    for number in range(COMMITS):
        records = machine.run(number, planted(number))
        if number >= PLANTED:
            records[0] = replace(records[0], case=replace(records[0].case, probe_version=2))
        store(tmp_path / "probe", records, hashes[number])
        store(tmp_path / "suite", records, hashes[number], suite="old" if number < PLANTED else "new")
    found = history(repository, tmp_path / "probe")
    assert {one.record.case.seq_len for one in found.changes} == {128}
    assert history(repository, tmp_path / "suite").changes == ()


def test_exact_numbers_are_compared_exactly_up_to_the_latest_commit(repository, hashes, tmp_path):
    for number in range(5):
        parameters = entry(100.0 if number < 4 else 101.0, "1", deterministic=True)
        store(tmp_path, [record({"parameters": parameters})], hashes[number])
    (one,) = history(repository, tmp_path).changes
    assert (one.last_good.hash, one.first_bad.hash) == (hashes[3], hashes[4])
    assert (one.kind, one.points) == ("regression", (4, 1))
    assert (one.low, one.size, one.high) == pytest.approx((0.01, 0.01, 0.01))


def test_numbers_that_can_be_zero_change_by_differences(repository, hashes, tmp_path):
    rng = np.random.default_rng(2)
    for number in range(20):
        share = 0.0 if number < 12 else 0.3 + 0.01 * rng.normal()
        store(tmp_path, [record({"gradient.nonfinite_share": entry(share, "1")})], hashes[number])
    (one,) = history(repository, tmp_path).changes
    assert (one.relative, one.before, one.first_bad.hash) == (False, 0.0, hashes[12])
    assert one.low < 0.3 < one.high


def test_what_else_changed_is_named(repository, hashes, tmp_path):
    machine = Machine()
    newer = {**ENVIRONMENT, "software": {**ENVIRONMENT["software"], "versions": {"numpy": "2.4.6", "torch": "2.14.0"}}}
    for number in range(COMMITS):
        environment = newer if number >= PLANTED else ENVIRONMENT
        store(tmp_path, machine.run(number, planted(number)), hashes[number], environment=environment)
    found = history(repository, tmp_path)
    assert {one.software for one in found.changes} == {("torch 2.13.0 -> 2.14.0",)}
    assert "also changed: torch 2.13.0 -> 2.14.0" in to_text(found)


def test_runs_without_a_place_are_named_and_left_out(repository, hashes, tmp_path):
    machine = Machine()
    elsewhere = store(tmp_path, machine.run(0, 2.0), hashes[0], environment=ELSEWHERE)
    nowhere = store(tmp_path, machine.run(0, 2.0), None)
    foreign = store(tmp_path, machine.run(0, 2.0), "f" * 40)
    dirty = store(tmp_path, machine.run(0, 2.0), hashes[0], dirty=True)
    kept = store(tmp_path, machine.run(0), hashes[0])
    found = history(repository, tmp_path)
    assert (found.runs, found.commits[0].hash, kept.path.exists()) == (1, hashes[0], True)
    notes = "\n".join(found.notes)
    assert f"without a commit: demo/{nowhere.path.name}" in notes
    assert f"not in the history looked at, which follows first parents: demo/{foreign.path.name}" in notes
    assert f"uncommitted changes: demo/{dirty.path.name}" in notes
    assert f"another machine than the latest run (Test CPU @ 2.00GHz): demo/{elsewhere.path.name}" in notes
    assert "too few commits" in to_text(found)


def imported(folder: Path, parents: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """subject -> hash of a new repository; parents: subject -> those of its parents, which come before it."""
    git(folder, "init", "-q", "-b", "main")
    marks = {subject: f":{number}" for number, subject in enumerate(parents, 1)}
    stream = ""
    for number, (subject, names) in enumerate(parents.items(), 1):
        stream += f"commit refs/heads/{'side' if subject in 'xy' else 'main'}\nmark :{number}\n"
        stream += f"committer Tester <tester@example.org> {1_700_000_000 + 3600 * number} +0000\n"
        stream += f"data {len(subject)}\n{subject}\n"
        stream += "".join(f"{word} {marks[name]}\n" for word, name in zip(("from", "merge"), names, strict=False))
    command = ["git", "-C", str(folder), "fast-import", "--quiet", "--export-marks=marks"]
    subprocess.run(command, input=stream.encode("latin-1"), check=True)
    hashes = dict(line.split() for line in (folder / "marks").read_text().splitlines())
    return {subject: hashes[mark] for subject, mark in marks.items()}


MERGED = {"A": "", "B": "A", "C": "B", "x": "A", "y": "x", "M": "Cy"}
"""A-B-C on `main`, and A-x-y merged into it as M."""


def test_commits_of_a_merged_branch_are_not_put_between_those_of_main(tmp_path):
    hashes = imported(tmp_path, MERGED)
    for subject, commit in hashes.items():
        parameters = entry(101.0 if subject in "xy" else 100.0, "1", deterministic=True)
        store(tmp_path, [record({"parameters": parameters})], commit)
    found = history(tmp_path, tmp_path)
    assert [one.subject for one in found.commits] == [*"ABCM"]
    assert found.changes == ()
    note = found.notes[0]
    assert note.startswith("left out, of commits that are not in the history looked at, which follows first parents: ")
    assert note.count("demo/") == 2


def test_since_a_commit_of_a_merged_branch_begins_where_the_branch_did(tmp_path):
    hashes = imported(tmp_path, MERGED)
    for since, kept in {"A": "ABCM", "C": "CM", "M": "M", "x": "ABCM", "y": "ABCM"}.items():
        found = commits(tmp_path, hashes[since]).values()
        assert [(one.subject, one.position) for one in found] == [(subject, k) for k, subject in enumerate(kept)]


def test_a_subject_that_is_no_utf_8_is_read(tmp_path):
    imported(tmp_path, {"caf\xe9": "", "tea": ["caf\xe9"]})
    assert [one.subject for one in commits(tmp_path).values()] == ["caf\N{REPLACEMENT CHARACTER}", "tea"]


def test_since_looks_at_a_revision_and_what_came_after(repository, hashes, slow_at_18):
    assert len(history(repository, slow_at_18, since="main~20").commits) == 21
    (cause,) = by_cause(history(repository, slow_at_18, since="main~20").changes)
    assert (cause[0].last_good.hash, cause[0].first_bad.hash) == (hashes[PLANTED - 1], hashes[PLANTED])
    late = history(repository, slow_at_18, since=hashes[PLANTED])
    assert [one.hash for one in late.commits] == hashes[PLANTED:]
    assert late.changes == ()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"since": "nowhere"}, "'nowhere' is no revision"),
        ({"since": "--all"}, "'--all' is no revision"),
        ({"suite": "other"}, r"no runs of a suite 'other'.* There are runs of demo"),
        ({"since": "main"}, "has a place in this history|short"),
        ({"repository": Path("/")}, "git could not read the history"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(repository, slow_at_18, hashes, options, complaint, tmp_path):
    results = slow_at_18
    if options.get("since") == "main":
        results = tmp_path
        store(results, Machine().run(0), hashes[0])
    with pytest.raises(UsageError, match=complaint):
        history(options.get("repository", repository), results, options.get("suite"), options.get("since"))


def test_the_command_prints_text_or_json_and_exits_with_zero(repository, hashes, slow_at_18):
    command = [sys.executable, "-m", "rnnbench", "history", "demo", "--results", str(slow_at_18)]
    shown = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    block = shown.stdout.split("\n\n")[1].splitlines()
    assert block[0] == f"{hashes[17][:10]}..{hashes[18][:10]}  version 18"
    words = [line.split() for line in block[1:]]
    expected = ["regression", "throughput", "lstm", "torch/native", "cpu", "T=64", "train", "time", "per", "step"]
    assert expected in [line[: len(expected)] for line in words]
    data = json.loads(subprocess.run([*command, "--json"], cwd=repository, capture_output=True, check=True).stdout)
    assert hashes[18] in {one["first_bad"] for one in data["changes"]}
    assert data["changes"][0]["case"]["cell"] == "lstm"


# what the detector promises, on plain numbers


@pytest.mark.parametrize("noise", ["normal", "laplace", "student"])
def test_noise_alone_is_rarely_called_a_change(noise):
    """At level 1 % at most 1 % of noisy series have any change (2.3 % allows for 1000 trials); with heavy tails too."""
    rng = np.random.default_rng(3)
    draw = {
        "normal": rng.standard_normal,
        "laplace": lambda n: rng.laplace(size=n),
        "student": lambda n: rng.standard_t(3, n),
    }
    false = sum(bool(shifts(0.02 * draw[noise](30), level=0.01)) for _ in range(1000))
    assert false <= 23, false


@pytest.mark.parametrize(("percent", "after", "series"), [(5, 15, 10), (10, 3, 100), (10, 12, 2000)])
def test_a_change_is_found_95_times_in_100(percent, after, series):
    """At 2 % of noise and 30 commits, `after` of them changed, in a report of so many series."""
    rng = np.random.default_rng(4)
    step = percent / 100 * (np.arange(30) >= 30 - after)
    found = sum(bool(shifts(0.02 * rng.standard_normal(30) + step, 0.01 / series)) for _ in range(300))
    assert found >= 0.95 * 300, found


def test_the_range_holds_the_true_place_and_the_interval_the_true_size_95_times_in_100():
    rng = np.random.default_rng(5)
    found = [shifts(rng.standard_normal(40) + 2.0 * (np.arange(40) >= 22)) for _ in range(500)]
    single = [one for (one, *more) in filter(None, found) if not more]
    assert len(single) > 450
    assert np.mean([one.first <= 22 <= one.last for one in single]) > 0.92
    assert (
        np.mean([one.low < 2.0 < one.high for one in single]) > 0.9
    )  # looking for the largest gain favours large ones


def test_an_outlier_or_two_are_no_change():
    rng = np.random.default_rng(6)
    values = 0.02 * rng.standard_normal(30)
    values[[12, 13, 29]] += 0.5
    assert shifts(values) == []


def test_constant_and_short_series_have_no_change():
    assert shifts([]) == shifts([1.0]) == shifts([1.0] * 30) == shifts([1.0, 2.0, 3.0]) == []
    (one,) = shifts([1.0] * 10 + [2.0] * 10)
    assert (one.index, one.first, one.last, one.low, one.p) == (10, 10, 10, 1.0, 0.0)
    assert [(one.index, one.points) for one in steps([1, 1, 2, 2, 2, 1])] == [(2, (2, 3)), (5, (3, 1))]


def test_the_real_asv_shows_the_planted_slow_down_on_its_page(repository, hashes, tmp_path):
    """On a steady machine, for asv does not divide its drift out."""
    machine = Machine(speed=lambda number: 1.0)
    results = repository / "results" / "asv"
    for number, commit in enumerate(hashes):
        folder = store(tmp_path, machine.run(number, planted(number)), commit)
        export(folder.load(), folder.meta, results)
    config = {"version": 1, "project": "demo", "repo": ".", "branches": ["main"], "benchmark_dir": "none"}
    config |= {"results_dir": "results/asv", "html_dir": "html"}
    (repository / "asv.conf.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "asv", "publish", "--no-pull"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    graphs = (repository / "html" / "graphs" / "arch").rglob("demo.throughput.track_train_time_per_step.json")
    (points,) = [json.loads(path.read_text()) for path in graphs]
    lstm = [values[0] for _, values in points]
    assert len(lstm) == COMMITS
    assert np.median(lstm[PLANTED:]) / np.median(lstm[:PLANTED]) == pytest.approx(1.1, abs=0.02)
    index = json.loads((repository / "html" / "index.json").read_text())
    listed = json.loads((repository / "html" / "regressions.json").read_text())["regressions"]
    moved = {name.partition(",")[0] for name, *_ in listed}
    assert moved == {f"demo.throughput.track_train_time{end}('lstm'" for end in ("_per_step", "")}
    for _, _, _, _, new, old, jumps in listed:
        assert new / old == pytest.approx(1.1, abs=0.03)
        assert {index["revision_to_hash"][str(jump[1])] for jump in jumps} == {hashes[PLANTED]}
