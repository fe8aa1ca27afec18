"""Sentences that follow from the numbers, and silence where they do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from report_records import conditions, entry, gradient, memory, named, record, timing, training, whole_run
from rnnbench.quantity import Quantity, Reading
from rnnbench.record import Record
from rnnbench.report import render
from rnnbench.report.findings import MOST, findings, most_telling, ratio_text, topics
from rnnbench.report.findings.finding import CHOICE
from rnnbench.report.findings.process import busy
from rnnbench.report.series import Entry, panels
from rnnbench.report.table import build

LENGTHS = (64, 128, 256, 512)


def sentences(records: Sequence[Record]) -> list[str]:
    return [finding.text for finding in findings(panels(records))]


def test_gradients_are_ranked_at_initialisation_the_longest_first() -> None:
    """Half-lives of 9 and 100 steps; one that grows has none, and its rate stands in."""
    records = [gradient(-math.log(2) / n, 1e-9, cell=cell, seq_len=2048) for cell, n in (("rnn", 9), ("lru", 100))]
    assert sentences(records)[0] == (
        "Half-life of the gradient at initialisation (T=2048): lru (torch/native) 100 steps; "
        "rnn (torch/native) 9 steps. The first is 11 times ahead."
    )
    assert "; no such number: irnn" in sentences([*records, gradient(0.1, 0.01, cell="irnn", seq_len=2048)])[0]
    assert sentences([gradient(-0.1)]) == [], "one alone is no ranking"


def test_equal_numbers_of_a_cell_are_told_of_the_cell_and_different_ones_of_the_program() -> None:
    other: dict[str, Any] = {"backend": "jax", "implementation": "scan"}
    gru = [gradient(-0.2, cell="gru"), gradient(-0.2001, cell="gru", **other)]
    same = [gradient(-0.1), gradient(-0.1001, **other), *gru]
    assert "lstm 6.93 steps; gru 3.47 steps" in sentences(same)[0]
    different = [gradient(-0.1), gradient(-0.3, **other), *gru]
    assert "lstm (torch/native) 6.93 steps; gru 3.47 steps" in sentences(different)[0]


def test_numbers_that_must_be_zero_are_an_alarm() -> None:
    one = gradient(-0.1)
    bad = replace(one, quantities=named(dict(one.quantities) | {"gradient.nonfinite_share": entry(0.031, "1")}))
    (alarm,) = [text for text in sentences([bad]) if "NaN" in text]
    assert alarm.endswith("infinite or NaN gradient, at the worst length: lstm (torch/native) 0.0310.")
    assert not [text for text in sentences([one]) if "NaN" in text]


def test_programs_are_ranked_with_the_interval_of_the_ratio() -> None:
    """10 ± 1 % against 30 ± 1 %: 3.0, from 29.7/10.1 to 30.3/9.9."""
    records = [timing(10e-6), timing(30e-6, backend="jax", implementation="scan")]
    assert sentences(records)[0] == (
        "Train time per step (T=64): lstm (torch/native) 10.0 µs; lstm (jax/scan) 30.0 µs. "
        "The first is 3.0 (2.9–3.1) times ahead."
    )


def test_overlapping_intervals_are_no_difference() -> None:
    records = [timing(10e-6, spread=0.1), timing(11e-6, spread=0.1, backend="jax", implementation="scan")]
    assert sentences(records)[0].endswith("(jax/scan) 11.0 µs. The first two are not clearly apart.")


def test_a_vague_ratio_is_told_by_its_lower_end() -> None:
    """10 ± 20 % against 40 ± 20 %: the ratio lies between 32/12 and 48/8."""
    records = [timing(10e-6, spread=0.2), timing(40e-6, spread=0.2, cell="gru")]
    assert sentences(records)[0].endswith("The first is at least 2.7 times ahead.")


@pytest.mark.parametrize(
    ("slow", "fast"),
    [
        (Entry("ok", 3.0), Entry("ok", 1.0)),  # no intervals
        (Entry("ok", 3.0, 0.9, 5.0), Entry("ok", 1.0, 0.5, 1.5)),  # overlap
        (Entry("ok", 3.0, 2.0, 4.0), Entry("ok", 1.0, -0.5, 1.5)),  # the ratio may be anything
        (Entry("ok", 3.0, 1.52, 4.0), Entry("ok", 1.0, 0.5, 1.5)),  # all that is sure prints as one
    ],
)
def test_no_ratio_without_grounds(slow: Entry, fast: Entry) -> None:
    assert ratio_text(slow, fast) == ""


def test_one_program_alone_is_neither_fastest_nor_compared() -> None:
    assert sentences([timing(1e-6)]) == []


def test_different_problems_are_not_compared() -> None:
    found = sentences(
        [timing(1e-6), timing(2e-6, dtype="float16", cell="gru"), timing(3e-6, hidden_size=64, cell="rnn")]
    )
    assert found == []


def test_memory_per_step() -> None:
    """1 MiB and 16 KiB for every step."""

    def per_step(records: Sequence[Record]) -> list[str]:
        return [text for text in sentences(records) if "per time step" in text]

    records = [memory(2**20 + 2**14 * T, seq_len=T) for T in LENGTHS]
    assert per_step(records) == ["Train peak memory (process) grows per time step by 16.0 KiB (lstm (torch/native))."]
    assert per_step([memory(2**20, seq_len=T) for T in LENGTHS]) == []
    more = [memory(2**20 + 2**12 * T, seq_len=T, cell=cell) for T in LENGTHS for cell in ("rnn", "gru")]
    (text,) = per_step(records + more)
    assert text.endswith("by 4.00 KiB (gru (torch/native)) to 16.0 KiB (lstm (torch/native)) in 3 programs.")


def test_who_learned() -> None:
    records = [training(0.005, steps, replicate=k) for k, steps in enumerate((300, 340, None))]
    records += [training(0.16, None, replicate=k, cell="rnn") for k in range(3)]
    assert sentences(records)[:2] == [
        "adding, T=64: solved by lstm (torch/native) in 340 steps (2/3); in brackets the seeds that did.",
        "adding, T=64: not solved within the budget by the median seed of rnn (torch/native 0/3).",
    ]


def test_a_winner_at_the_edge_of_the_learning_rates() -> None:
    records = [training(loss, None, lr) for lr, loss in ((0.001, 0.1), (0.01, 0.05), (0.1, 0.01))]
    edge = "The best lr is 0.1, the largest tried, for lstm (torch/native): a better one may lie beyond."
    assert edge in sentences(records)
    inner = [training(loss, None, lr) for lr, loss in ((0.001, 0.1), (0.01, 0.01), (0.1, 0.05))]
    assert not [text for text in sentences(inner) if "best lr" in text]


def test_unverified_programs_and_failures_are_named() -> None:
    records = [timing(1e-6, cell="mine", verified="none"), timing(2e-6), record(status="oom", reason="x", seq_len=8)]
    assert sentences(records) == [
        "Not verified against any mathematics, so not ranked: mine (torch/native).",
        "1 of 3 cases gave no numbers: 1 oom.",
    ]


def test_disturbed_and_missing_processes_are_counted() -> None:
    def with_processes(done: int, contaminated: int, **fields: Any) -> Record:
        one = timing(1e-5, **fields)
        return replace(one, parts=[*one.parts] * done, asked=3, conditions=conditions(contaminated))

    calm, slow, cut = with_processes(3, 0), with_processes(3, 2, seq_len=128), with_processes(1, 0, seq_len=256)
    assert not [line for line in sentences([calm]) if "reference kernel" in line or "--resume" in line]
    found = sentences([calm, slow, cut])
    assert [line.split(" ran")[0] for line in found if "reference kernel" in line] == ["2 of 7 processes"]
    assert [line.split(";")[0] for line in found if "--resume" in line] == [
        "Cases with fewer processes than they ask for: 1"
    ]
    assert not busy(panels([calm]))
    share = "29% of the processes were disturbed by other work: times are wide"
    assert build([calm, slow, cut], environment={}).header[0] == busy(panels([calm, slow, cut])) == share


def test_at_most_ten_are_told_the_first_of_every_topic_before_the_second_of_any() -> None:
    found = findings(panels(whole_run()))
    assert len(found) > MOST
    kept = most_telling(found)
    assert len(kept) == MOST
    assert topics(kept) == topics(found), "every topic is there"
    assert [one for one in found if one in kept] == kept, "in their order"
    texts = [one.topic for one in kept]
    assert texts == sorted(texts, key=topics(found).index)


def test_which_to_take_is_of_the_cells_that_solved_the_task() -> None:
    """rnn is the fastest and solves nothing; gru solves it soonest, lstm is faster than gru."""
    records = [timing(cost, cell=cell) for cell, cost in (("rnn", 1e-6), ("lstm", 2e-6), ("gru", 4e-6))]
    records += [training(0.1, steps, cell=cell) for cell, steps in (("rnn", None), ("lstm", 300), ("gru", 200))]
    (choice,) = [one.text for one in findings(panels(records)) if one.topic == CHOICE]
    assert choice == (
        "Of the cells that solved adding at T=64, gru had the fewest steps to target, 200 steps; "
        "lstm (torch/native) the lowest train time per step at T=64, 2.00 µs."
    )


def test_a_probe_of_a_plugin_is_told_like_the_shipped_ones() -> None:
    """Nothing here is known to the report: joules with intervals, a score with a topic of its own, a goal."""
    joules = Quantity(
        "energy.per_step", "J", "lower", "Of one step.", headline=1, group="cost", title="joules per step"
    )
    novelty = Quantity("novelty", "1", "higher", "How new it is.", headline=2, group="novelty")
    hidden = Quantity("energy.raw", "J", "lower", "All of it.", grows=True)

    def one(cell: str, value: float, score: float, length: int) -> Record:
        found = {
            "energy.per_step": Reading(value, value * 0.99, value * 1.01, quantity=joules),
            "novelty": Reading(score, quantity=novelty),
            "energy.raw": Reading(value * length, quantity=hidden),
        }
        made = record({}, probe="energy", cell=cell, seq_len=length)
        return replace(made, quantities=found)

    records = [one(cell, v, s, T) for cell, v, s in (("a", 1.0, 0.1), ("b", 2.0, 0.9)) for T in (64, 128, 256)]
    found = {finding.topic: finding.text for finding in reversed(findings(panels(records)))}
    assert found["cost"].startswith("Joules per step (T=256): a (torch/native) 1.00 J; b (torch/native) 2.00 J. The")
    assert found["novelty"] == "Novelty (T=256): b (torch/native) 0.900; a (torch/native) 0.100."
    table = build(records)
    assert [block.title for block in table.blocks] == [
        "score card",
        "joules per step",
        "novelty",
        "growth with the sequence length",
    ]
    assert table.blocks[0].heads == ("energy per step", "novelty")
    for format in ("table", "md", "latex"):
        text = render(records, format)
        assert "joules per step" in text and "energy raw, J" not in text
    assert "energy.raw" in render(records, "csv") and "energy raw, J" in render(records, "table", everything=True)


def test_of_many_programs_that_did_alike_the_first_are_named() -> None:
    """A sentence about a hundred programs is not read."""
    many = [training(0.1, 200, cell="gru", backend=f"b{number}", seq_len=T) for number in range(9) for T in (8, 16)]
    assert max(map(len, sentences(many))) < 200
    assert any("gru (b0/native) and gru (b1/native) and 7 more in 200 steps" in text for text in sentences(many))


@pytest.mark.parametrize(("sequences", "ranked"), [(None, False), (1000, True)])
def test_a_gap_on_fresh_data_ranks_nobody(sequences: int | None, ranked: bool) -> None:
    """It is the luck of two samples; of a fixed set it is overfitting."""
    declared = Quantity("generalisation_gap", "1", "lower", "A gap.", headline=5, group="overfitting")
    found = []
    for cell, gap in (("lru", 0.02), ("gru", 0.1)):
        one = training(0.1, 500, cell=cell)
        gaps = {"generalisation_gap": replace(entry(gap, "1"), quantity=declared)}
        details = {**one.details, "available": {"train": sequences, "validation": None}}
        found.append(replace(one, quantities={**one.quantities, **gaps}, details=details))
    assert any("generalisation gap" in str(sentence).lower() for sentence in findings(panels(found))) == ranked
