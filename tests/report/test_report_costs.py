"""Sentences about truncation and about what can be done at once."""

from typing import Any

from report_records import entry, memory, record, timing
from rnnbench.record import Record
from rnnbench.report.findings.cost import saturation, truncation
from rnnbench.report.series import panels


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
    times, sizes = truncation(panels(records))
    assert times == (
        "Train time of lstm (torch/native), over that of the full gradient: checkpointed in segments of 16 2.5 times "
        "(T=128), truncated in segments of 16 0.50 times (T=64)."
    )
    assert "truncated in segments of 16 0.25 times" in sizes
    assert list(truncation(panels([timing(1e-5)]))) == []


def test_the_batch_of_saturation_and_what_a_parallel_scan_brings():
    def one(program: str, batch: float, tokens: float, bound: str | None = None, **differs: Any) -> Record:
        found = {
            "forward.saturation_batch": entry(batch, "1", "none", bound=bound),
            "forward.best_tokens_per_second": entry(tokens, "1/s", "higher"),
        }
        return record(found, probe="parallelism", cell="mingru", implementation=program, **differs)

    told = list(saturation(panels([one("eager", 4.0, 1e6), one("associative_scan", 12.0, 3e6)])))
    assert told == [
        "Tokens/s of forward stop growing near a batch of 12 for mingru (torch/associative_scan) (T=64), "
        "4.0 for mingru (torch/eager) (T=64).",
        "Tokens/s of forward by a parallel scan over step by step, each at its best batch: "
        "mingru 3.0 times (torch/associative_scan over torch/eager, T=64).",
    ]
    unlike: tuple[dict[str, Any], ...] = (
        {"hidden_size": 1024},
        {"verified": "none"},
        {"backend": "jax"},
        {"device": "cuda"},
        {"seq_len": 128},
    )
    for differs in unlike:
        alone = panels([one("eager", 4.0, 1e6), one("associative_scan", 12.0, 3e6, **differs)])
        assert not any("parallel scan" in sentence for sentence in saturation(alone))
    assert list(saturation(panels([timing(1e-5)]))) == []
    [unknown] = saturation(panels([one("eager", 64.0, 1e6, "lower")]))
    assert "near a batch of over 64 for mingru" in unknown
