"""The table in GitHub's Markdown: the best in bold, statuses in italics."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rnnbench.report.blocks import Block
from rnnbench.report.findings import heading as topic_heading
from rnnbench.report.findings import topics
from rnnbench.report.samples import CAPTION, TITLE, GeneratedText
from rnnbench.report.series import Entry
from rnnbench.report.table import Table
from rnnbench.report.text import axis_heads, block_scale, column_heads, column_scales, entry_text, heading
from rnnbench.report.units import Scale


def render(table: Table) -> str:
    """Markdown with one level-3 heading per quantity."""
    parts = [f"## {escape(table.title)}"] if table.title else []
    parts += [escape(line) for line in table.header]
    parts += _findings(table)
    parts += [_block(block) for block in table.blocks]
    parts += ["  \n".join(_legend(table))] if table.legend else []
    parts += [_list("Not ok", table.problems)]
    parts += [_samples(table.samples)] if table.samples else []
    return "\n\n".join(filter(None, parts)) + "\n"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table of finished cells; the first `left` columns are flush left."""
    rule = ["---" if column < left else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def escape(text: str) -> str:
    """Text that Markdown leaves as it is: no table bars, no HTML, no accidental emphasis."""
    text = re.sub(r"([\\`*|<>\[\]])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # GitHub leaves an underscore inside a word alone


def code(text: str) -> str:
    """A code span, in which Markdown and HTML mean nothing; its fence is longer than any run of backticks inside."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}"


def _samples(samples: Sequence[GeneratedText]) -> str:
    lines = [f"- {escape(sample.by)}:\n  {code(sample.whole)}" for sample in samples]
    return "\n".join([f"### {TITLE}\n\n{CAPTION}\n", *lines])


def _legend(table: Table) -> list[str]:
    words = {"*": "**bold**"}
    return [f"{words.get(mark, escape(mark))}: {line}" for mark, line in table.legend.items()]


def _block(block: Block) -> str:
    scale, scales = block_scale(block), column_scales(block)
    head = [*axis_heads(block), *column_heads(block)]
    rows = [[*map(escape, row.labels), *map(_cell, row.entries, scales)] for row in block.rows]
    caption = f"\n\n{escape(block.caption)}" if block.caption else ""
    return f"### {escape(heading(block, scale))}{caption}\n\n{grid(head, rows, len(block.axes))}"


def _findings(table: Table) -> list[str]:
    """What was found, by topic, and how many more there are."""
    if not table.findings:
        return []
    lines = ["### Findings"]
    for topic in topics(table.findings):
        items = [f"- {escape(one.text)}" for one in table.findings if one.topic == topic]
        lines.append("\n".join([f"**{escape(topic_heading(topic))}**\n", *items]))
    if table.more:
        lines.append(f"{table.more} more: `rnnbench report RUN --all`")
    return lines


def _cell(entry: Entry, scale: Scale) -> str:
    text = escape(entry_text(entry, scale))
    if entry.best:
        return f"**{text}**"
    return f"*{text}*" if entry.value is None and entry.status not in ("", "missing") else text


def _list(title: str, lines: Sequence[str]) -> str:
    return f"### {title}\n\n" + "\n".join(f"- {escape(line)}" for line in lines) if lines else ""
