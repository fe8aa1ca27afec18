"""The table in LaTeX: one `table` per quantity, rules of booktabs, numbers with the half-width of their interval."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnbench.report.blocks import Block, BlockRow
from rnnbench.report.series import Entry, is_wide
from rnnbench.report.table import Table, legend
from rnnbench.report.text import axis_heads, block_scale, column_heads, column_scales, entry_text, heading, stripes
from rnnbench.report.units import Scale, number

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"$\sim$",
    "α": r"$\alpha$",
    "·": r"$\cdot$",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "µ": r"$\mu$",
    "×": r"$\times$",
    "▲": r"$\uparrow$",
    "▼": r"$\downarrow$",
    "→": r"$\to$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "‖": r"$\Vert$",
    "∂": r"$\partial$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    '"': "''",
    **{char: "\\" + char for char in "&%$#_{}"},
}

PAGE = 82
"""Characters that fit beside each other in \\footnotesize on a page of LaTeX's article, which is narrower than most."""
_COMMAND = re.compile(r"\\[A-Za-z]+|[\\${} ]")
"""What takes no room of its own on the page."""


def render(table: Table, *, one: bool = False, siunitx: bool = False, everything: bool = False) -> str:
    r"""A fragment for a document that loads the package booktabs, and no other; findings come as comments.

    one: a single table, the score card or where quantities were chosen all of them side by side. everything: all
    tables, even where there is a score card, which else stands for them. siunitx: numbers as `\num{…}`, for a document
    that loads that package too.
    """
    brief = not everything and any(block.quantity == "score_card" for block in table.blocks)
    packages = "booktabs,siunitx" if siunitx else "booktabs"
    head = [rf"% needs \usepackage{{{packages}}}", *(comment(line) for line in (table.title, *table.header) if line)]
    if one or brief:
        table = replace(table, blocks=_joined(table.blocks))
    notes = [*(f"not ok: {line}" for line in table.problems), *(one.text for one in table.findings)]
    blocks = [_block(table, block) for block in table.blocks]
    blocks = list(map(_with_siunitx, blocks)) if siunitx else blocks
    parts = ["\n".join(head), *blocks, "\n".join(map(comment, notes))]
    return "\n\n".join(filter(None, parts)) + "\n"


def _joined(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The score card where there is one, else the quantities of the first block's rows side by side."""
    card = [block for block in blocks if block.quantity == "score_card"]
    if card or not blocks:
        return tuple(card)
    first = blocks[0]
    alike = [block for block in blocks if block.quantity and block.axes == first.axes and (not block.of)]
    labels = [row.labels for row in first.rows]
    alike = [block for block in alike if [row.labels for row in block.rows] == labels and block.quantity != "growth"]
    rows = [
        BlockRow(row.labels, tuple(entry for block in alike for entry in block.rows[index].entries))
        for index, row in enumerate(first.rows)
    ]
    names = [
        block.title if len(block.heads) == 1 else f"{block.title}, {head}" for block in alike for head in block.heads
    ]
    of = [(block.quantity, block.unit) for block in alike for _ in block.heads]
    caption = "; ".join(dict.fromkeys(filter(None, (block.caption for block in alike))))
    joined = Block(
        *("", None, "chosen", "", "none", caption, first.axes, tuple(range(len(names))), tuple(rows)),
        names=tuple(names),
        of=tuple(of),
        heading="Results",
    )
    return (joined,)


_MATH_NUMBER = re.compile(r"\$([<>]? ?)(?:\\mathbf\{)?(-?\d+(?:\.\d+)?)\}? \\pm (\d+(?:\.\d+)?)\$")


def _with_siunitx(text: str) -> str:
    r"""Value and half-width as `\num{10.0 +- 0.1}`; bold stays a switch around it."""

    def number_of(found: re.Match[str]) -> str:
        macro = rf"\num{{{found[1].strip()}{found[2]} +- {found[3]}}}"
        return rf"{{\bfseries {macro}}}" if "mathbf" in found[0] else macro

    return _MATH_NUMBER.sub(number_of, text)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A tabular of finished cells; the first `left` columns are flush left."""
    lines = [" & ".join(row) + r" \\" for row in rows]
    columns = "l" * left + "r" * (len(head) - left)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def escape(text: str) -> str:
    """Text for LaTeX's text mode, without packages."""
    return "".join(_ESCAPES.get(char, char) for char in " ".join(text.split()))


def comment(text: str) -> str:
    """A comment of one line."""
    return "% " + " ".join(text.split())


def _block(table: Table, block: Block) -> str:
    scale = block_scale(block)
    marks = _marks(block)
    head = [
        *map(escape, axis_heads(block)),
        *(f"${head}$" if head.startswith("T=") else escape(head) for head in column_heads(block)),
    ]
    scales = column_scales(block)
    rows = [
        [*map(escape, row.labels), *(_cell(e, own, marks) for e, own in zip(row.entries, scales, strict=True))]
        for row in block.rows
    ]
    caption = ". ".join(filter(None, [heading(block, scale), block.caption, table.facts]))
    notes = [rf"\textsuperscript{{{mark}}} {escape(note)}" for note, mark in marks.items()]
    notes += [rf"{_sign(mark)}: {escape(line)}" for mark, line in legend([block]).items()]
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(caption)}.}}",
        rf"\label{{tab:{_slug(table, block)}}}",
        r"\smallskip",
        _tabulars(head, rows, len(block.axes)),
        rf"\par\smallskip {'; '.join(notes)}" if notes else "",
        r"\end{table}",
    ]
    return "\n".join(filter(None, lines))


def _slug(table: Table, block: Block) -> str:
    """What a document refers to the table by: `long-seq-train-time-per-step`."""
    return re.sub(r"[^a-z0-9]+", "-", f"{table.title} {block.title}".lower()).strip("-")


def _sign(mark: str) -> str:
    return r"\textbf{bold}" if mark == "*" else escape(mark)


def _tabulars(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """One tabular, or several below each other where the columns are too many for a page."""
    widths = [max(len(_COMMAND.sub("", row[column])) for row in (head, *rows)) for column in range(len(head))]
    parts = [
        grid([head[column] for column in stripe], [[row[column] for column in stripe] for row in rows], left)
        for stripe in stripes(widths, left, PAGE)
    ]
    return "\n\\par\\smallskip\n".join(parts)


def _marks(block: Block) -> dict[str, str]:
    """Notes of the numbers as letters, explained below the table: words would make the columns too wide for a page."""
    notes = dict.fromkeys(note for row in block.rows for entry in row.entries if (note := _note(entry)))
    return {note: chr(ord("a") + index % 26) * (1 + index // 26) for index, note in enumerate(notes)}


def _note(entry: Entry) -> str:
    """The entry's note, unless it is the half-width, which stands beside the number already."""
    return "" if entry.half_width and not is_wide(entry) and entry.note.startswith("±") else entry.note


def _cell(entry: Entry, scale: Scale, marks: Mapping[str, str]) -> str:
    """Value ± half-width in mathematics; replicates keep their range, and a single number an interval that is wide,
    neither of which is symmetric.
    """
    mark = rf"\textsuperscript{{{marks[_note(entry)]}}}" if _note(entry) else ""
    plain = entry.text or entry.bound or not entry.counts or entry.count > 1 or is_wide(entry)
    if entry.value is None or plain or not entry.half_width:
        text = escape(entry_text(replace(entry, note=""), scale))
        return (rf"\textbf{{{text}}}" if entry.best else text) + mark
    value = scale(entry.value)
    value = rf"\mathbf{{{value}}}" if entry.best else value
    return rf"${value} \pm {number(entry.half_width / scale.factor, 2)}${mark}"
