"""What trained models wrote, one text per row of the table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnbench.case import axis_text
from rnnbench.record import Record
from rnnbench.report.series import Group, Panel, Series
from rnnbench.report.units import number

TITLE = "Generated text"
CAPTION = "The prompt, a bar, and what the model wrote; of several repetitions the one with the lowest final loss."


@dataclass(frozen=True)
class GeneratedText:
    """One text. by: who wrote it and how well it predicts, in words. prompt, text: every character is visible."""

    by: str
    prompt: str
    text: str

    @property
    def whole(self) -> str:
        """`In the beginning| God created`."""
        return f"{self.prompt}|{self.text}"


def samples(panels: Iterable[Panel]) -> tuple[GeneratedText, ...]:
    """A text for every program and length that has written one, in the order of the table."""
    return tuple(
        _sample(panel, series, length, writer)
        for panel in panels
        for series in panel.series
        for length, group in sorted(series.groups.items())
        if (writer := _best(group)) is not None
    )


def visible(text: str) -> str:
    """Control characters, line ends and what reverses or hides text as escapes; a backslash is doubled."""
    return "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in text)


def _best(group: Group) -> Record | None:
    writers = [record for record in group.good if _is_text(record.details.get("sample"))]
    return min(writers, key=_loss) if writers else None


def _is_text(sample: Any) -> bool:
    """Whether a detail of that name is what the shipped probe writes; another probe may mean something else by it."""
    wanted = {"prompt": str, "text": str, "temperature": (int, float)}
    return isinstance(sample, Mapping) and all(isinstance(sample.get(key), one) for key, one in wanted.items())


def _loss(record: Record) -> float:
    loss = record.value("final_validation_loss")
    return math.inf if loss is None else loss


def _sample(panel: Panel, series: Series, length: int, writer: Record) -> GeneratedText:
    written, bits = writer.details["sample"], writer.value("bits_per_character")
    facts = (
        f"{series.axes['cell']}, {series.program}, T={length}",
        panel.task,
        axis_text(panel.tuned, writer.case.settings[panel.tuned]) if panel.tuned else None,
        f"{number(bits)} bits per character" if bits is not None else None,
        axis_text("temperature", written["temperature"]),
    )
    return GeneratedText(", ".join(filter(None, facts)), visible(written["prompt"]), visible(written["text"]))
