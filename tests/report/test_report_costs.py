"""Sentences about what it brings to change one thing: how a gradient is cut, how steps are done at once."""

from dataclasses import replace
from typing import Any

from report_records import entry, memory, record, timing
from rnnbench.record import Record
from rnnbench.report.findings.ranking import rankings
from rnnbench.report.findings.trials import trials
from rnnbench.report.findings.varied import axes, frameworks, implementations
from rnnbench.report.series import panels


def sentences(kind: Any, records: list[Record]) -> list[str]:
    return [finding.text for finding in kind(panels(records))]


def cut(one: Record, bptt: str, segment: int | None) -> Record:
    one.case.settings["bptt"], one.case.settings["segment"] = bptt, segment  # type: ignore[index]
    return one


def test_a_gradient_that_is_cut_or_recomputed_is_told_against_the_full_one_at_the_longest_length():
    records = [
        *(cut(timing(1e-5, seq_len=T, settings={}), "full", None) for T in (64, 128)),
        *(cut(timing(2.5e-5, seq_len=T, settings={}), "checkpointed", 16) for T in (64, 128)),
        cut(timing(0.5e-5, seq_len=64, settings={}), "truncated", 16),
        cut(memory(8e6, settings={}), "full", None),
        cut(memory(2e6, settings={}), "truncated", 16),
    ]
    times, sizes = sentences(axes, records)
    assert times == (
        "Train time per step by bptt: checkpointed in segments of 16 takes 2.5 (2.5–2.6) times as long as full for "
        "lstm (torch/native), T=128; truncated in segments of 16 is 2.0 times as fast as full for "
        "lstm (torch/native), T=64."
    )
    assert "full has 4.0 times that of truncated in segments of 16 for lstm" in sizes
    assert sentences(axes, [timing(1e-5)]) == []


def test_number_formats_threads_and_batches_are_held_against_the_first():
    """float32 at 20 µs and bfloat16 at 10 µs, ± 1 %: 2.0, from 19.8/10.1 to 20.2/9.9, which prints the same."""
    records = [timing(20e-6), timing(10e-6, dtype="bfloat16"), timing(19.9e-6, dtype="float16")]
    (first, *_) = sentences(axes, records)
    assert first == (
        "Train time per step by number format: bfloat16 is 2.0 times as fast as float32 for "
        "lstm (torch/native), T=64; no clear difference between float16 and float32 for lstm (torch/native), T=64."
    )
    for axis, values in (("threads", (1, 2)), ("batch_size", (1, 16)), ("hidden_size", (64, 128)), ("layers", (1, 2))):
        records = [
            timing(cost, **dict[str, Any]({axis: value})) for value, cost in zip(values, (20e-6, 10e-6), strict=True)
        ]
        assert f"{values[1]} is 2.0 times as fast as {values[0]} for lstm" in sentences(axes, records)[0]


def test_the_batch_of_saturation_and_what_a_parallel_scan_brings():
    def one(program: str, batch: float, tokens: float, bound: str | None = None, **differs: Any) -> Record:
        found = {
            "forward.saturation_batch": entry(batch, "1", "none", bound=bound),
            "forward.best_tokens_per_second": entry(tokens, "1/s", "higher"),
        }
        return record(found, probe="parallelism", cell="mingru", implementation=program, **differs)

    records = [one("eager", 4.0, 1e6), one("associative_scan", 12.0, 3e6)]
    assert sentences(rankings, records)[0] == (
        "Forward saturation batch (T=64): mingru (torch/associative_scan) 12.0; mingru (torch/eager) 4.00."
    )
    assert sentences(implementations, records) == [
        "Forward best tokens per second, best implementation against the next: "
        "mingru at T=64: torch/associative_scan is 3.0 times better than torch/eager."
    ]
    unlike: tuple[dict[str, Any], ...] = (
        {"hidden_size": 1024},
        {"verified": "none"},
        {"backend": "jax"},
        {"device": "cuda"},
        {"seq_len": 128},
    )
    for differs in unlike:
        assert sentences(implementations, [one("eager", 4.0, 1e6), one("associative_scan", 12.0, 3e6, **differs)]) == []
    assert sentences(implementations, [timing(1e-5)]) == []
    assert "at least 64.0" in sentences(rankings, [one("eager", 64.0, 1e6, "lower"), one("x", 2.0, 1e6)])[0]


def test_frameworks_are_compared_by_their_best_where_some_are_told_apart():
    records = [timing(10e-6), timing(30e-6, backend="jax", implementation="scan"), timing(9e-6, cell="gru")]
    assert sentences(frameworks, records) == [
        "Train time per step, best against best of each framework: "
        "lstm at T=64: torch/native is 3.0 (2.9–3.1) times as fast as jax/scan."
    ]
    alike = [timing(10e-6, spread=0.1), timing(11e-6, spread=0.1, backend="jax", implementation="scan")]
    assert sentences(frameworks, alike) == []


def tried(one: Record, **ratios: float) -> Record:
    return replace(one, details={"tried": {"mode": "train", "ratios": ratios}})


def test_the_best_implementations_that_trials_took_are_told_and_held_against_each_other():
    ran: dict[str, Any] = {"implementation": "best"}
    records = [
        tried(timing(10e-6, **ran, ran="fused"), fused=1.0, native=3.0, eager=9.0),
        tried(timing(9e-6, **ran, ran="fused", cell="gru"), fused=1.0, native=5.0),
        tried(timing(30e-6, **ran, ran="scan", backend="jax"), scan=1.0),
    ]
    assert sentences(trials, records) == [
        "By a trial of all implementations (throughput): torch/fused for lstm, gru (3.0 to 5.0 times as fast as the "
        "next); jax/scan for lstm."
    ]
    assert sentences(frameworks, records) == [
        "Train time per step, best against best of each framework: "
        "lstm at T=64: torch/fused is 3.0 (2.9–3.1) times as fast as jax/scan."
    ]
    assert sentences(trials, [timing(10e-6), replace(timing(1e-6), details={"tried": {"ratios": 3}})]) == []
