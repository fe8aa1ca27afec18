"""What a gate found, for a terminal, for the page of a pull request, and for programs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rnnbench.gate.rows import GateRow
from rnnbench.report import markdown, text
from rnnbench.report.units import quantity

ORDER = ("regressed", "improved", "changed", "inconclusive", "not compared", "equivalent")
MARKS = {"regressed": "🔴 ", "improved": "🟢 "}
HEAD = ("verdict", "case", "runs", "quantity", "base", "head", "worse by (95 %)", "detectable", "pairs")
LEFT = 4
MAX_NAMED = 3
IN_TURNS = (
    "`worse by` is the median ratio of samples taken next to each other, by two processes in turns{but}; `base` and "
    "`head` are medians of all their samples, taken over minutes"
)


MOST_PAIRS = 1000
"""Pairs beyond which a row is not decidable: an hour of processes that take seconds each."""


@dataclass(frozen=True)
class Report:
    """base, head: what the sides are called. new, removed: cases of only one side. floors: of an A/A gate, by quantity.
    complete: False after an interruption. tampering: what the measured code changed that it must not, in sentences.
    """

    suite: str
    base: str
    head: str
    rows: Sequence[GateRow]
    new: Sequence[str] = ()
    removed: Sequence[str] = ()
    notes: Sequence[str] = ()
    floors: dict[str, dict[str, Any]] | None = None
    seconds: float = 0.0
    complete: bool = True
    tampering: Sequence[str] = ()

    @property
    def regressed(self) -> bool:
        """Whether anything got worse, or code that was judged changed what it is judged by: the exit code is 1."""
        return bool(self.tampering) or any(row.verdict == "regressed" for row in self.rows)

    @property
    def silent(self) -> bool:
        """Whether there were cases and not one of them could be compared."""
        return bool(self.rows) and all(row.verdict == "not compared" for row in self.rows)

    @property
    def title(self) -> str:
        """What was compared."""
        return f"{self.suite}: {self.head} against {self.base}"

    @property
    def summary(self) -> str:
        """The counts in one sentence."""
        counts = Counter(row.verdict for row in self.rows)
        tally = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict]) or "nothing compared"
        return f"{tally}{'' if self.complete else ' (interrupted: not all pairs were measured)'}"

    @property
    def remarks(self) -> list[str]:
        """Sentences below the table."""
        lines = [*self._reasons()]
        lines += [f"new in head, nothing to compare with: {label}" for label in self.new]
        lines += [f"only in base, head's suite no longer asks for it: {label}" for label in self.removed]
        for name, entry in sorted((self.floors or {}).items()):
            lines.append(f"A/A floor of {name}: {entry['floor']:.2%} ({entry['cases']} cases, {entry['pairs']} pairs)")
        lines += [f"tampered with: {text}, so that its numbers say nothing" for text in self.tampering]
        return [*lines, *self._about_turns(), *self.notes]

    def _about_turns(self) -> Iterator[str]:
        """What `worse by` says, and in which rows it is the ratio of two medians instead."""
        paired = [row for row in self.rows if row.judgement]
        apart = [row for row in paired if not row.in_turns]
        if len(apart) < len(paired):
            but = f" (in {len(apart)} rows, like {apart[0].quantity}, of whole processes)" if apart else ""
            yield IN_TURNS.format(but=but)

    def _reasons(self) -> Iterator[str]:
        """What numbers do not say; what more than a few rows share, once."""
        sharing: dict[str, list[str]] = {}
        for row in self._sorted():
            if row.reason:
                sharing.setdefault(row.reason, []).append(f"{row.case}, {row.quantity}")
        for reason, names in sharing.items():
            if len(names) > MAX_NAMED:
                yield f"{len(names)} rows, {names[0]} for one: {reason}"
            else:
                yield from (f"{name}: {reason}" for name in names)

    def _sorted(self) -> list[GateRow]:
        return sorted(self.rows, key=lambda row: ORDER.index(row.verdict))

    def table(self) -> list[GateRow]:
        """All rows, the most urgent first; exact numbers that agree are only counted."""
        return [row for row in self._sorted() if row.kind != "exact" or row.verdict != "equivalent"]


def as_text(report: Report, style: text.Style = text.plain, width: int | None = None) -> str:
    """For a terminal."""
    kinds = {"regressed": "status", "improved": "best"}
    rows = [[(part, kinds.get(row.verdict, "dim")) for part in cells(row)] for row in report.table()]
    parts = [style(report.title, "title")]
    parts += [text.grid(HEAD, rows, LEFT, width, style)] if rows else []
    parts += [_agreeing(report)] if _agreeing(report) else []
    return "\n\n".join([*parts, "\n".join([*(f"- {line}" for line in report.remarks), report.summary + "."])]) + "\n"


def as_markdown(report: Report) -> str:
    """For a comment on a pull request: what needs a look at once, all else folded away."""
    rows = report.table()
    urgent = [row for row in rows if row.verdict not in ("equivalent", "inconclusive")]
    rest = [row for row in rows if row.verdict in ("equivalent", "inconclusive")]
    sign = "🔴" if report.regressed else "🟢"
    parts = [f"## {sign} {markdown.escape(report.title)}", f"{report.summary}."]
    parts += [_grid(urgent)] if urgent else []
    parts += [f"<details><summary>{len(rest)} other rows</summary>\n\n{_grid(rest)}\n\n</details>"] if rest else []
    parts += [_agreeing(report)] if _agreeing(report) else []
    parts += ["\n".join(f"- {markdown.escape(line)}" for line in report.remarks)] if report.remarks else []
    return "\n\n".join(parts) + "\n"


def as_json(report: Report) -> str:
    """Everything, samples included; what is unbounded is null."""
    data = asdict(report) | {"summary": report.summary, "regressed": report.regressed, "format": 1}
    return json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def cells(row: GateRow) -> list[str]:
    """The texts of one line."""
    base, head = (_value(value, row) for value in (row.base, row.head))
    name = f"{row.quantity} (+{len(row.also)} views)" if row.also else row.quantity
    start = [row.verdict, row.case, row.implementation, name, base, head]
    judgement = row.judgement
    if judgement is None:
        return [*start, "", "", ""]
    needed = judgement.pairs_needed
    pairs = str(judgement.pairs)
    if row.verdict == "inconclusive" and needed and needed > judgement.pairs:
        pairs = _wanting(judgement.pairs, needed)
    change = f"{percent(judgement.estimate)} ({percent(judgement.low)} to {percent(judgement.high)})"
    return [*start, change, percent(judgement.detectable), pairs]


def _wanting(pairs: int, needed: int) -> str:
    """`needs 24, has 8`; where so many would take longer than anybody waits, that."""
    return f"has {pairs}, not decidable here" if needed > MOST_PAIRS else f"needs {needed}, has {pairs}"


def percent(change: float) -> str:
    """`+5.1 %`, `−0.3 %`, `?` where nothing is known."""
    return "?" if math.isinf(change) else f"{change * 100:+.1f} %".replace("-", "−")


def _value(value: float | None, row: GateRow) -> str:
    return "" if value is None else quantity(value, row.unit, row.quantity)


def _grid(rows: Sequence[GateRow]) -> str:
    lines = [[MARKS.get(row.verdict, "") + row.verdict, *cells(row)[1:]] for row in rows]
    return markdown.grid(HEAD, [list(map(markdown.escape, line)) for line in lines], LEFT)


def _agreeing(report: Report) -> str:
    same = sum(row.kind == "exact" and row.verdict == "equivalent" for row in report.rows)
    return f"Exact numbers that are the same in both: {same}." if same else ""


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
