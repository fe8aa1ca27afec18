"""The table for a terminal: aligned columns, cut into stripes where the window is too narrow."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from rnnbench.report.blocks import Block
from rnnbench.report.findings import heading as topic_heading
from rnnbench.report.findings import topics
from rnnbench.report.samples import CAPTION, TITLE, GeneratedText
from rnnbench.report.series import Entry, is_wide
from rnnbench.report.table import Table
from rnnbench.report.units import Scale, scale_for

GAP = "  "
SGR = {"title": "1", "best": "1;32", "status": "33", "dim": "2"}
"""Parameters of the escape sequence that starts a style, by ECMA-48 (1991), section 8.3.117."""
BETTER = {"lower": "lower is better", "higher": "higher is better"}
Style = Callable[[str, str], str]
"""style(text, kind) -> the text with colours; kinds: `title`, `best`, `status`, `dim`."""


def render(table: Table, width: int | None = None, style: Style | None = None) -> str:
    """Plain text, at most `width` columns wide where one is given; `style` adds colours and changes no width."""
    style = style or plain
    parts = [_head(table, width, style)] if table.title or table.header else []
    parts += _findings(table, width, style)
    parts += [_block(block, width, style) for block in table.blocks]
    if table.legend:
        parts.append(_lines([f"{mark} {line}" for mark, line in table.legend.items()], width, style))
    if table.problems:
        parts.append(style("Not ok", "title") + "\n" + _items(table.problems, width))
    if table.samples:
        parts.append(style(TITLE, "title") + "\n" + _samples(table.samples, width, style))
    return "\n\n".join(parts) + "\n"


def plain(text: str, kind: str) -> str:
    """No colours."""
    del kind
    return text


def coloured(text: str, kind: str) -> str:
    """In ANSI colours: bold titles, the best in bold green, what is not ok in yellow."""
    return f"\x1b[{SGR[kind]}m{text}\x1b[0m"


def heading(block: Block, scale: Scale) -> str:
    """`train time per step, µs (lower is better)`."""
    unit = f", {scale.unit}" if scale.unit else ""
    better = f" ({BETTER[block.better]})" if block.better in BETTER else ""
    return f"{block.title}{unit}{better}"


def entry_text(entry: Entry, scale: Scale, mark: str = "") -> str:
    """`12.3`, `>1000`, `0.012 (0.010–0.015), lr 0.01`, `failed`, `–`; `mark` comes right after the number.

    The range of repetitions is always shown, the interval of a single number where it is wide.
    """
    if entry.value is None:
        return {"": "", "missing": "–"}.get(entry.status, entry.status)
    if entry.text:
        return entry.text
    if entry.few:
        return f"~{scale(entry.value)} (n={entry.few})"
    if entry.unclear and entry.low is not None and entry.high is not None:
        return f"unclear ({scale(entry.low)}–{scale(entry.high)})"
    text = {"lower": ">", "upper": "<"}.get(entry.bound or "", "") + scale(entry.value) + mark
    ranged = (entry.count > 1 and entry.low != entry.high) or is_wide(entry)
    if ranged and entry.low is not None and entry.high is not None:
        text += f" ({scale(entry.low)}–{scale(entry.high)})"
    return f"{text}, {entry.note}" if entry.note else text


def block_scale(block: Block) -> Scale:
    """The scale of all numbers of a block."""
    return scale_for(block.unit, block.values, block.quantity)


def column_scales(block: Block) -> list[Scale]:
    """The scale of each column: one for all of them, unless each has its own quantity."""
    if not block.of:
        return [block_scale(block)] * len(block.heads)
    columns = zip(*(row.entries for row in block.rows), strict=True)
    values = ([entry.value for entry in column if entry.value is not None] for column in columns)
    return [scale_for(unit, own, name) for (name, unit), own in zip(block.of, values, strict=True)]


def column_heads(block: Block) -> list[str]:
    """Above the columns; with its unit where each has its own."""
    if not block.of:
        return list(block.heads)
    scales = column_scales(block)
    return [f"{head}, {scale.unit}" if scale.unit else head for head, scale in zip(block.heads, scales, strict=True)]


def axis_heads(block: Block) -> list[str]:
    """Column heads of the axes."""
    return [axis.removesuffix("_size").replace("_", " ") for axis in block.axes]


def grid(
    head: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]], left: int, width: int | None, style: Style
) -> str:
    """Aligned columns of (text, kind); the first `left` columns are flush left and stand again in every stripe."""
    cells = [[(text, "dim") for text in head], *rows]
    widths = [max(len(row[column][0]) for row in cells) for column in range(len(head))]
    lines = []
    for stripe in stripes(widths, left, width):
        for row in cells:
            texts = [_padded(row[column], widths[column], column < left, style) for column in stripe]
            lines.append(GAP.join(texts).rstrip())
        lines.append("")
    return "\n".join(lines[:-1])


def stripes(widths: Sequence[int], left: int, width: int | None) -> list[list[int]]:
    """Columns of each stripe: as many as fit beside the labels, at least one."""
    labels, stripes = list(range(left)), [list(range(left))]
    for column in range(left, len(widths)):
        used = sum(widths[c] + len(GAP) for c in stripes[-1])
        if width is not None and len(stripes[-1]) > left and used + widths[column] > width:
            stripes.append(list(labels))
        stripes[-1].append(column)
    return stripes


def _padded(cell: tuple[str, str], width: int, left: bool, style: Style) -> str:
    text, kind = cell
    space = " " * (width - len(text))
    shown = style(text, kind) if kind and text else text
    return shown + space if left else space + shown


def _head(table: Table, width: int | None, style: Style) -> str:
    lines = [style(table.title, "title")] if table.title else []
    return "\n".join([*lines, *(wrapped(line, width) for line in table.header)])


def _block(block: Block, width: int | None, style: Style) -> str:
    scale, scales = block_scale(block), column_scales(block)
    head = [*axis_heads(block), *column_heads(block)]
    rows = []
    for row in block.rows:
        entries = [
            (entry_text(entry, own, "*" if entry.best else ""), _kind(entry))
            for entry, own in zip(row.entries, scales, strict=True)
        ]
        rows.append([*((label, "") for label in row.labels), *entries])
    title = style(wrapped(heading(block, scale), width), "title")
    title += f"\n{wrapped(block.caption, width)}" if block.caption else ""
    return f"{title}\n{grid(head, rows, len(block.axes), width, style)}"


def _findings(table: Table, width: int | None, style: Style) -> list[str]:
    """One part a topic, and how many more there are."""
    parts = []
    for topic in topics(table.findings):
        texts = [one.text for one in table.findings if one.topic == topic]
        parts.append(style(topic_heading(topic), "title") + "\n" + _items(texts, width))
    if table.more:
        parts.append(_lines([f"{table.more} more findings: `rnnbench report RUN --all`"], width, style))
    return parts


def _kind(entry: Entry) -> str:
    if entry.best:
        return "best"
    return "" if entry.value is not None else "status"


def _lines(lines: Sequence[str], width: int | None, style: Style) -> str:
    return "\n".join(style(wrapped(line, width), "dim") for line in lines)


def _items(lines: Sequence[str], width: int | None) -> str:
    return "\n".join(wrapped(f"- {line}", width, "  ") for line in lines)


def _samples(samples: Sequence[GeneratedText], width: int | None, style: Style) -> str:
    lines = [f"- {style(sample.by, 'dim')}\n{wrapped(f'  {sample.whole}', width, '  ')}" for sample in samples]
    return "\n".join([wrapped(CAPTION, width), *lines])


def wrapped(text: str, width: int | None, indent: str = "") -> str:
    """The text in lines of at most so many columns, where a width is given."""
    if width is None:
        return text
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
