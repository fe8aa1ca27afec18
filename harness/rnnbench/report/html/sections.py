"""The questions a page answers, in order, and which quantities and curves answer each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from rnnbench.report.findings import findings
from rnnbench.report.generalisation import is_limited
from rnnbench.report.html import leads, tables, views
from rnnbench.report.html.derived import GAP, SPEEDUP
from rnnbench.report.html.tables import Table
from rnnbench.report.html.views import View
from rnnbench.report.series import Panel

MOST_RUNS = 3
"""Runs whose findings stand above a plot."""


@dataclass(frozen=True)
class Topic:
    """A question. suite: the shipped suite that measures it. group: quantities that declare it belong here. columns:
    those that its table begins with, patterns in order.

    lead(panels): the finding in one sentence, empty where there are too few numbers. needs: quantities of which the
    runs must have one, where the others alone do not answer the question. beside: shown in its table too where any of
    its columns is. more: further quantities that its plot can show. curves, losses: measured curves, and learning
    curves among them, that it can show. opens: what of all these it shows first. limited: only tasks with limited
    training data say anything of it. across_runs: in place of `lead` where there are several runs.
    """

    id: str
    title: str
    question: str
    suite: str
    columns: tuple[str, ...]
    lead: Callable[[Sequence[Panel]], str]
    needs: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    opens: Literal["curves", "losses", "columns"] = "curves"
    curves: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    limited: bool = False
    across_runs: Callable[[Sequence[Panel]], str] | None = None
    group: str = ""


@dataclass(frozen=True)
class Section:
    """A topic with what the runs say of it: finding, choices of the plot, table; empty where none measured it. why: it
    was not, where that can be told.
    """

    topic: Topic
    finding: str
    views: Sequence[View]
    table: Table | None
    why: str = ""

    @property
    def measured(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.views) or self.table is not None

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
        (
            *("gradient.decay_rate", "gradient.half_life", "gradient.lyapunov.max", "gradient.nonfinite_share"),
            *("gradient.saturation", "gradient.clipping_share", "gradient.end.decay_rate"),
        ),
        leads.gradients,
        more=("gradient.log_norm_at_full_lag", "gradient.zero_from_lag", "gradient.l*", "gradient.s*", "gradient.p*"),
        curves=("gradient.log_norm", "gradient.*log_norm", "gradient.training_norm", "gradient.*lyapunov"),
        group="gradients",
    ),
    Topic(
        "memory-span",
        "2. Short memory",
        "How far back does each cell remember?",
        "memory_span",
        (
            *("*recall*", "*memory_capacity*", "longest_delay", "*span*"),
            *("gradient.reach", "gradient.input_reach", "gradient.horizon"),
        ),
        leads.memory_span,
        beside=("steps_to_target",),  # which lengths have any, the sentence tells
        more=("gradient.*.reach", "gradient.*.input_reach", "gradient.*.horizon"),
        curves=("*recall*", "*memory_capacity*"),
        group="short memory",
    ),
    Topic(
        "overfitting",
        "3. Overfitting",
        "How much worse is a trained cell on data it has not seen?",
        "overfitting",
        (GAP, "*gap*", "*train_loss*", "*train_metric*", "final_validation_loss"),
        leads.overfitting,
        needs=("*gap*",),
        opens="losses",
        losses=("train_loss", "validation_loss"),
        limited=True,
        group="overfitting",
    ),
    Topic(
        "cost",
        "4. Cost of long sequences",
        "What do time and memory cost as the sequence grows, and how far is that from what the machine can do?",
        "long_seq",
        (
            *("train.time_per_step", "forward.time_per_step", "*.time_per_step", "train.peak_memory.*"),
            *("*.peak_memory.*", "train.limit_share", "*.limit_share", "decode.latency_*", "*.first_call"),
        ),
        leads.cost,
        across_runs=leads.across_runs,
        more=("*.time", "*.flops", "*.bytes", "decode.state_bytes"),
        group="cost",
    ),
    Topic(
        "parallelism",
        "5. Limited parallelism",
        "What does it gain to process more at once: a larger batch, more threads, a parallel scan over time?",
        "parallelism",
        (
            *(f"*{SPEEDUP}", "*.saturation_batch", "*.batch_speedup", "*.parallel_speedup"),
            *("*.best_tokens_per_second", "*.tokens_per_second"),
        ),
        leads.parallelism,
        needs=("*_speedup", "*.saturation_batch"),
        curves=("*.tokens_per_second_by_batch", "*.tokens_per_second_by_*"),
        group="parallelism",
    ),
    Topic(
        "learning",
        "Learning curves",
        "Which cells learn the task, and how soon?",
        "digits",
        (
            *("best_validation_loss", "bits_per_character", "final_validation_metric", "steps_to_target"),
            *("seconds_to_target", "loss_over_chance", "seconds_per_training_step", "seconds_per_sampled_token"),
        ),
        leads.learning,
        opens="losses",
        losses=("validation_loss", "train_loss"),
        group="learning",
    ),
)
OTHER = Topic("other", "Everything else that was measured", "What do the remaining numbers say?", "", (), lambda _: "")


def sections(panels: Sequence[Panel], runs: Mapping[str, Sequence[Panel]] | None = None) -> list[Section]:
    """Every topic, and one of all quantities that belong to none. runs: letter -> panels of that run by itself, where
    there are several.
    """
    groups = _declared(panels)
    topics = [replace(topic, columns=_with(topic.columns, groups.pop(topic.group, ()))) for topic in TOPICS]
    found = [_section(topic, panels, runs or {}) for topic in topics]
    found += [_own(group, names, panels) for group, names in groups.items()]
    told = tuple(chain.from_iterable((*topic.columns, *topic.more) for topic in topics))
    told += tuple(chain.from_iterable(map(_exactly, groups.values())))
    known = {(id(panel), name) for panel, name in views.matching(panels, told)}
    rest = [name for panel in panels for name in panel.quantities if (id(panel), name) not in known]
    curves = _untold_curves(panels)
    if rest or curves:
        other = _exactly(rest)
        shown = [*views.of_quantities(panels, other), *views.of_curves(panels, _exactly(curves))]
        found.append(Section(OTHER, "", shown, tables.of_quantities(panels, other)))
    return found


def _declared(panels: Sequence[Panel]) -> dict[str, list[str]]:
    """group -> quantities that declare it, those people read first in front."""
    ranks: dict[str, dict[str, float]] = {}
    for record in chain.from_iterable(map(views.records_of, panels)):
        for name, reading in record.quantities.items():
            rank = reading.quantity.headline
            if reading.quantity.group:
                ranks.setdefault(reading.quantity.group, {}).setdefault(name, math.inf if rank is None else rank)
    return {group: sorted(names, key=lambda name: names[name]) for group, names in ranks.items()}


def _with(columns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    return (*columns, *_exactly(names))


def _own(group: str, names: Sequence[str], panels: Sequence[Panel]) -> Section:
    """A section for a topic that a plugin's probe named."""
    title = f"{group[:1].upper()}{group[1:]}"
    slug = "".join(letter if letter.isalnum() else "-" for letter in group.lower())
    topic = Topic(f"own-{slug}", title, f"What was measured of {group}?", "", (), lambda _: "")
    shown = list(views.of_quantities(panels, _exactly(names)))
    return Section(topic, "", shown, tables.of_quantities(panels, _exactly(names)))


def further_findings(panels: Sequence[Panel], shown: Iterable[Section]) -> list[str]:
    """The findings that all reports share, but for those that a section leads with."""
    leading = {section.finding for section in shown}
    return [one.text for one in findings(panels) if one.text not in leading]


def _section(topic: Topic, panels: Sequence[Panel], runs: Mapping[str, Sequence[Panel]]) -> Section:
    if topic.needs and not any(views.matching(panels, topic.needs)) and not _scaled(panels, topic):
        return Section(topic, "", (), None)
    if topic.limited:
        panels = [panel for panel in panels if is_limited(panel)]
        if not panels:
            return Section(topic, "", (), None, "the training data were fresh at every step, which nothing can overfit")
    both = views.of_both_losses(panels) if topic.limited else ()
    kinds = {
        "curves": list(views.of_curves(panels, topic.curves)),
        "losses": [*both, *views.of_losses(panels, topic.losses)],
        "columns": list(views.of_quantities(panels, (*topic.columns, *topic.more))),
    }
    profiles = views.of_profiles(panels) if topic.id == "learning" else ()
    finding = _lead(topic, panels, runs)
    # first what the sentence speaks of, which begins with its task
    kinds[topic.opens].sort(key=lambda view: not finding.startswith(f"{view.group}, "))
    shown = [*kinds.pop(topic.opens), *chain.from_iterable(kinds.values()), *profiles]
    beside = topic.beside if any(views.matching(panels, topic.columns)) else ()
    return Section(topic, finding, shown, tables.of_quantities(panels, (*topic.columns, *beside)))


def _lead(topic: Topic, panels: Sequence[Panel], runs: Mapping[str, Sequence[Panel]]) -> str:
    """The finding of the only run; of several, each for itself, but costs as ratios of a program to itself."""
    if len(runs) < 2:
        return topic.lead(panels)
    if topic.across_runs is not None:
        return topic.across_runs(panels)
    told: dict[str, list[str]] = {}
    for letter, own in runs.items():
        told.setdefault(topic.lead(own), []).append(letter)
    shown = [(letters, sentence) for sentence, letters in told.items() if sentence][:MOST_RUNS]
    return " ".join(f"Run {', '.join(letters)}: {sentence}" for letters, sentence in shown)


def _scaled(panels: Sequence[Panel], topic: Topic) -> bool:
    """Whether the topic's quantities were measured along an axis of `NUMERIC_AXES`."""
    return any(set(views.NUMERIC_AXES) & set(panel.axes) for panel, _ in views.matching(panels, topic.columns))


def _untold_curves(panels: Sequence[Panel]) -> list[str]:
    names = dict.fromkeys(name for panel in panels for one in views.records_of(panel) for name in one.curves)
    patterns = [pattern for topic in TOPICS for pattern in (*topic.curves, *topic.losses)]
    parts = {f"{name}.{end}" for name in names for end in ("q10", "median", "q90")}
    return [name for name in names if name not in parts and not any(views.fnmatchcase(name, p) for p in patterns)]


def _exactly(names: Iterable[str]) -> tuple[str, ...]:
    """Patterns that match these names and nothing else."""
    return tuple("".join(f"[{c}]" if c in "*?[" else c for c in name) for name in dict.fromkeys(names))
