"""Our figures beside published ones, each from the CSV report of the newest committed run of its suite."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

Row = dict[str, str]
METRIC, TIME, ITERATIONS = "final_validation_metric", "train.time_per_step", "newton.iterations"


def table(report: Callable[[str], str | None]) -> str:
    """A row per published figure. report: a suite -> the CSV report of its newest run, None where there is none."""
    lines = ["| suite | published | ours, on a CPU |", "|---|---|---|"]
    for suite, (published, ours) in FIGURES.items():
        text = report(suite)
        figures = "no committed run yet" if text is None else ours(measured(text))
        lines.append(f"| `{suite}` | {published} | {figures} |")
    return "\n".join(lines) + "\n"


def measured(text: str) -> list[Row]:
    """The rows of the CPU that hold a number."""
    return [row for row in csv.DictReader(io.StringIO(text)) if row["value"] and row["device"] == "cpu"]


def _speed(rows: Sequence[Row]) -> str:
    """GRU over minGRU, LSTM over minLSTM: each by its fastest program, and by the same loop over steps."""
    times = {
        (row["cell"], f"{row['backend']}/{row['implementation']}", int(row["seq_len"])): float(row["value"])
        for row in rows
        if row["quantity"] == TIME
    }
    figures = []
    for T in sorted({T for *_, T in times}):
        quotients = []
        for gated, minimal in (("gru", "mingru"), ("lstm", "minlstm")):
            slow, fast = (_fastest(times, cell, T) for cell in (gated, minimal))
            loop = times.get((gated, "torch/eager", T))
            if slow and fast:
                against = f", {loop / fast[1]:.2g} times {gated}'s in a loop" if loop else ""
                quotients.append(f"{minimal} ({fast[0]}) {slow[1] / fast[1]:.2g} times {gated}'s ({slow[0]}){against}")
        figures.append(f"T={T}: {'; '.join(quotients)}")
    return "training speed, " + ". ".join(figures)


def _fastest(times: dict[tuple[str, str, int], float], cell: str, T: int) -> tuple[str, float] | None:
    """(program, seconds per step) of a cell."""
    found = [(seconds, program) for (name, program, length), seconds in times.items() if (name, length) == (cell, T)]
    seconds, program = min(found, default=(0.0, ""))
    return (program, seconds) if program else None


def _iterations(rows: Sequence[Row]) -> str:
    found = [row for row in rows if row["quantity"] == ITERATIONS and row["implementation"] == "newton"]
    T = max((int(row["seq_len"]) for row in found), default=0)
    figures = {row["cell"]: row["value"] for row in found if int(row["seq_len"]) == T}
    return f"iterations at T={T}: " + ", ".join(f"{cell} {float(value):g}" for cell, value in figures.items())


def _accuracy(rows: Sequence[Row]) -> str:
    """The best validation accuracy of each cell, over learning rates, seeds and frameworks."""
    best: dict[str, float] = {}
    layers = {row["layers"] for row in rows}
    for row in rows:
        if row["quantity"] == METRIC:
            name = row["cell"] + (f" with {row['layers']} layers" if len(layers) > 1 and row["layers"] != "1" else "")
            best[name] = max(best.get(name, 0.0), float(row["value"]))
    sizes = sorted({int(row["seq_len"]) for row in rows})
    ranked = sorted(best.items(), key=lambda item: -item[1])
    return f"accuracy at T={', '.join(map(str, sizes))}: " + ", ".join(f"{name} {100 * x:.3g} %" for name, x in ranked)


FIGURES: dict[str, tuple[str, Callable[[Sequence[Row]], str]]] = {
    "was_it_worth_it": ("minGRU 175 times GRU, minLSTM 235 times LSTM, T=512, one T4", _speed),
    "predictability": ("GRU, T=10,000: 68 times a loop, one V100", _iterations),
    "mqar": ("width 64: attention and input-dependent gates near 100 %", _accuracy),
    "lru_copy": ("LRU: 100 % after two to four epochs", _accuracy),
    "selective_copy": ("minGRU, three layers: 99.5 %, T=4096", _accuracy),
}
"""Suite -> the published figure, and what ours says of it."""
