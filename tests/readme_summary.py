"""A run of long_seq in six rows and five sentences, every word and number from its CSV report."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

CELLS = ("rnn", "lstm", "gru", "mingru", "minlstm", "lru")
TIME, SHARE, MEMORY = "train.time_per_step", "train.limit_share", "train.peak_memory.process"
HALF_LIFE, REACH, STEPS = "gradient.half_life", "gradient.reach", "steps_to_target"
FAR = 100
"""Reach of the gradient, in steps, from which on a cell is named with its own number."""


@dataclass(frozen=True)
class Number:
    """One row of the CSV, in SI units."""

    quantity: str
    cell: str
    program: str
    T: int
    value: float
    low: float
    high: float
    bound: str


@dataclass(frozen=True)
class Rows:
    """The numbers of the CPU."""

    numbers: tuple[Number, ...]

    @classmethod
    def of_csv(cls, text: str) -> Rows:
        """From `rnnbench report RUN --format csv`."""
        found = []
        for row in csv.DictReader(io.StringIO(text)):
            if row["value"] and row["device"] == "cpu":
                value = float(row["value"])
                low, high = float(row["low"] or value), float(row["high"] or value)
                program = f"{row['backend']}/{row['implementation']}"
                T = int(row["seq_len"])
                found.append(Number(row["quantity"], row["cell"], program, T, value, low, high, row["bound"]))
        return cls(tuple(found))

    def of(self, quantity: str, **fields: object) -> list[Number]:
        """Numbers of one quantity whose fields are these."""
        return [
            number
            for number in self.numbers
            if number.quantity == quantity and all(getattr(number, key) == value for key, value in fields.items())
        ]

    def longest(self, quantity: str) -> int:
        """Time steps of the longest sequence of a quantity."""
        return max(number.T for number in self.of(quantity))


def summary(rows: Rows) -> str:
    """A Markdown table: the fastest program of each cell, and what it learns."""
    T = rows.longest(TIME)
    fastest = {cell: min(rows.of(TIME, cell=cell, T=T), key=lambda number: number.value) for cell in CELLS}
    best = min(fastest.values(), key=lambda number: number.value).value
    task_T = rows.longest(STEPS)
    lines = [
        "| cell | training | gradient | adding |",
        "| --- | ---: | ---: | ---: |",
    ]
    for cell in CELLS:
        number = fastest[cell]
        half = max(rows.of(HALF_LIFE, cell=cell), key=lambda each: each.T)
        texts = cell, f"{number.value / best:.1f} ×", _steps(half.value), _solved(rows, cell)
        lines.append(f"| {' | '.join(texts)} |")
    legend = (
        f"training: time per step at T={T}, over the least; gradient: steps in which it halves, untrained; adding: "
        f"steps of training until it is solved at T={task_T}."
    )
    return "\n".join([*lines, "", legend]) + "\n"


def _steps(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _solved(rows: Rows, cell: str) -> str:
    middle = _middle(rows, cell)
    return f"> {middle.value:.0f}" if middle.bound else f"{middle.value:.0f}"


def _middle(rows: Rows, cell: str) -> Number:
    """The median of the seeds at the longest sequence, of an even number the lower one; unsolved ones come last."""
    numbers = rows.of(STEPS, cell=cell, T=rows.longest(STEPS))
    return sorted(numbers, key=lambda number: (bool(number.bound), number.value))[(len(numbers) - 1) // 2]


def found(rows: Rows) -> str:
    """Five sentences, as a Markdown list."""
    return "".join(
        f"- {sentence}\n" for sentence in (_waiting(rows), _frameworks(rows), *_gradients(rows), _memory(rows))
    )


def _waiting(rows: Rows) -> str:
    shares = sorted(rows.of(SHARE), key=lambda number: number.value)
    most, middle = shares[-1], median(number.value for number in shares)
    return (
        f"Training reaches {middle:.0%} of the machine's limit in the median row, and {most.value:.0%} at most "
        f"({most.cell}, {most.program}, T={most.T}): what is left is waiting for the step before."
    ).replace("%", " %")


def _frameworks(rows: Rows) -> str:
    T = rows.longest(TIME)
    clear, compared = [], 0
    for cell in sorted({number.cell for number in rows.of(TIME)}):
        by_backend: dict[str, list[Number]] = defaultdict(list)
        for number in rows.of(TIME, cell=cell, T=T):
            by_backend[number.program.partition("/")[0]].append(number)
        if len(by_backend) < 2:
            continue
        compared += 1
        first, second = sorted(
            (min(each, key=lambda n: n.value) for each in by_backend.values()), key=lambda n: n.value
        )
        if first.high < second.low:
            clear.append(f"{cell} {second.value / first.value:.1f} times as fast with {first.program}")
    where = f"Which framework trains faster depends on the cell: at T={T} "
    rest = "; the others are not told apart." if len(clear) < compared else "."
    return where + ("; ".join(clear) + rest if clear else "no cell tells them apart.")


def _gradients(rows: Rows) -> tuple[str, str]:
    T = rows.longest(REACH)
    reach = sorted({each.cell: each for each in rows.of(REACH, T=T)}.values(), key=lambda number: number.value)
    short, long = [each for each in reach if each.value < FAR], [each for each in reach if each.value >= FAR]
    parts = []
    if short:
        steps = _range([each.value for each in short])
        parts.append(f"{steps} steps in {', '.join(each.cell for each in short)}")
    parts += [f"{'at least ' * bool(each.bound)}{each.value:.0f} in {each.cell}" for each in long]
    first = f"In untrained cells a thousandth of the gradient is left, at T={T}, after {'; '.join(parts)}."
    reached, missed = [], []
    for cell in sorted({number.cell for number in rows.of(STEPS)}):
        (missed if _solved(rows, cell).startswith(">") else reached).append(cell)
    solved = ", ".join(
        f"{cell} {_solved(rows, cell)}" for cell in sorted(reached, key=lambda cell: _middle(rows, cell).value)
    )
    second = f"That does not decide what is learnt: the adding problem at T={rows.longest(STEPS)} takes {solved} steps"
    return first, second + (f"; {' and '.join(missed)} do not get there." if missed else ".")


def _range(values: list[float]) -> str:
    return f"{min(values):.0f}" if min(values) == max(values) else f"{min(values):.0f} to {max(values):.0f}"


def _memory(rows: Rows) -> str:
    T = rows.longest(MEMORY)
    numbers = sorted(rows.of(MEMORY, T=T), key=lambda number: number.value)
    least, most = numbers[0], numbers[-1]
    return (
        f"A training step at T={T} needs {least.value / 2**20:.0f} MiB ({least.cell}, {least.program}) to "
        f"{most.value / 2**20:.0f} MiB ({most.cell}, {most.program})."
    )
