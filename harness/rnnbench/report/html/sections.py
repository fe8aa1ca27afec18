"""The questions a page answers, in order, and which quantities and curves answer each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Literal

from rnnbench.report.findings import findings
from rnnbench.report.generalisation import is_limited
from rnnbench.report.html import filing, leads, tables, views
from rnnbench.report.html.filing import Filed
from rnnbench.report.html.tables import HtmlTable
from rnnbench.report.html.views import PlotView
from rnnbench.report.series import Panel

MOST_RUNS = 3
"""Runs whose findings stand above a plot."""


@dataclass(frozen=True)
class Topic:
    """A question. group: quantities that declare it belong here, with what their probes measure beside them. suite: the
    shipped suite that measures it.

    lead(panels): the finding in one sentence, empty where there are too few numbers; without one, the finding of other
    reports. essential: measured only where there is a quantity that people read first. goals: what it took to reach a
    goal stands in its table too. losses: learning curves are shown. opens: what it shows first. limited: only tasks
    with limited training data say anything of it. across_runs: in place of `lead` where there are several runs.
    """

    id: str
    title: str
    question: str
    group: str = ""
    suite: str = ""
    lead: Callable[[Sequence[Panel]], str] | None = None
    essential: bool = False
    goals: bool = False
    losses: bool = False
    opens: Literal["curves", "losses", "columns"] = "curves"
    limited: bool = False
    across_runs: Callable[[Sequence[Panel]], str] | None = None


@dataclass(frozen=True)
class Section:
    """A topic with what the runs say of it: finding, choices of the plot, tables; empty where none measured it. why: it
    was not, where that can be told.
    """

    topic: Topic
    finding: str
    views: Sequence[PlotView]
    tables: Sequence[HtmlTable] = ()
    why: str = ""

    @property
    def measured(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.views or self.tables)

    @property
    def tables_by_id(self) -> dict[str, HtmlTable]:
        """Each by the id of its element: that of the topic, `<topic>-2` of a second one."""
        ids = (f"{self.topic.id}-{number}" if number > 1 else self.topic.id for number in count(1))
        return dict(zip(ids, self.tables, strict=False))

    @property
    def choices(self) -> dict[str, list[tuple[int, str]]]:
        """What its plot offers first, see `views.choices`."""
        return views.choices(self.views)

    @property
    def variants(self) -> dict[int, list[tuple[int, str]]]:
        """What it offers then, see `views.variants`."""
        return views.variants(self.views)


TOPICS = (
    Topic(
        "gradients",
        "1. Vanishing and exploding gradients",
        "How much of a loss's gradient is left after so many steps back?",
        "gradients",
        "gradients",
        leads.gradients,
    ),
    Topic(
        "memory-span",
        "2. Short memory",
        "How far back does each cell remember?",
        "short memory",
        "memory_span",
        leads.memory_span,
        goals=True,  # which lengths have any, the sentence tells
    ),
    Topic(
        "overfitting",
        "3. Overfitting",
        "How much worse is a trained cell on data it has not seen?",
        "overfitting",
        "overfitting",
        leads.overfitting,
        essential=True,
        losses=True,
        opens="losses",
        limited=True,
    ),
    Topic(
        "cost",
        "4. Cost of long sequences",
        "What do time and memory cost as the sequence grows, and how far is that from what the machine can do?",
        "cost",
        "long_seq",
        leads.cost,
        across_runs=leads.across_runs,
    ),
    Topic(
        "parallelism",
        "5. Limited parallelism",
        "What does it gain to process more at once: a larger batch, more threads, a parallel scan over time?",
        "parallelism",
        "parallelism",
        leads.parallelism,
        essential=True,
    ),
    Topic(
        "learning",
        "Learning curves",
        "Which cells learn the task, and how soon?",
        "learning",
        "digits",
        leads.learning,
        losses=True,
        opens="losses",
    ),
)
OTHER = Topic("other", "Everything else that was measured", "What do the remaining numbers say?")


def sections(panels: Sequence[Panel], runs: Mapping[str, Sequence[Panel]] | None = None) -> list[Section]:
    """Every topic, those that probes name themselves, and one of all that belongs to none. runs: letter -> panels of
    that run by itself, where there are several.
    """
    groups = filing.filed(panels)
    rest = groups.pop("", filing.Filed())
    known = [_section(topic, groups.pop(topic.group, filing.Filed()), panels, runs or {}) for topic in TOPICS]
    own = [_section(_named(group), found, panels, runs or {}) for group, found in groups.items()]
    other = filing.Filed(rest.more, True, (), rest.curves)
    return [*known, *own, *([_section(OTHER, other, panels, {})] if rest.more or rest.curves else [])]


def _named(group: str) -> Topic:
    """A topic that a plugin's probe named."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in group.lower())
    title = f"{group[:1].upper()}{group[1:]}"
    return Topic(f"own-{slug}", title, f"What was measured of {group}?", group)


def further_findings(panels: Sequence[Panel], shown: Iterable[Section]) -> list[str]:
    """The findings that all reports share, but for those that a section leads with."""
    leading = {section.finding for section in shown}
    return [one.text for one in findings(panels) if one.text not in leading]


def _section(topic: Topic, found: Filed, panels: Sequence[Panel], runs: Mapping[str, Sequence[Panel]]) -> Section:
    columns = _exactly(found.columns)
    if topic.essential and not found.ranked and not _scaled(panels, columns):
        return Section(topic, "", ())
    if topic.limited:
        asked = [panel for panel in panels if any(views.matching([panel], columns))]
        panels = [panel for panel in asked if is_limited(panel)]
        if asked and not panels:
            return Section(topic, "", (), why="the training data were fresh at every step, which nothing can overfit")
    learning = filing.losses(panels) if topic.losses else ()
    both = views.of_both_losses(panels) if topic.limited else ()
    kinds = {
        "curves": list(views.of_curves(panels, _exactly(found.curves))),
        "losses": [*both, *views.of_losses(panels, learning)],
        "columns": list(views.of_quantities(panels, (*columns, *_exactly(found.more)))),
    }
    profiles = views.of_profiles(panels) if topic.id == "learning" else ()
    finding = _lead(topic, panels, runs)
    # first what the sentence speaks of, which begins with its task
    kinds[topic.opens].sort(key=lambda view: not finding.startswith(f"{view.group}, "))
    shown = [*kinds.pop(topic.opens), *chain.from_iterable(kinds.values()), *profiles]
    beside = _exactly(filing.goals(panels)) if topic.goals and columns else ()
    return Section(topic, finding, shown, tables.of_quantities(panels, (*columns, *beside)))


def _lead(topic: Topic, panels: Sequence[Panel], runs: Mapping[str, Sequence[Panel]]) -> str:
    """The finding of the only run; of several, each for itself, but costs as ratios of a program to itself."""
    if len(runs) < 2:
        return _sentence(topic, panels)
    if topic.across_runs is not None:
        return topic.across_runs(panels)
    sentences: dict[str, list[str]] = {}
    for letter, own in runs.items():
        sentences.setdefault(_sentence(topic, own), []).append(letter)
    shown = [(letters, sentence) for sentence, letters in sentences.items() if sentence][:MOST_RUNS]
    return " ".join(f"Run {', '.join(letters)}: {sentence}" for letters, sentence in shown)


def _sentence(topic: Topic, panels: Sequence[Panel]) -> str:
    own = topic.lead(panels) if topic.lead else ""
    return own or next((one.text for one in findings(panels) if one.topic == topic.group), "")


def _scaled(panels: Sequence[Panel], columns: Sequence[str]) -> bool:
    """Whether some of the quantities were measured along an axis of `NUMERIC_AXES`."""
    return any(set(views.NUMERIC_AXES) & set(panel.axes) for panel, _ in views.matching(panels, columns))


def _exactly(names: Iterable[str]) -> tuple[str, ...]:
    """Patterns that match these names and nothing else."""
    return tuple("".join(f"[{c}]" if c in "*?[" else c for c in name) for name in dict.fromkeys(names))
