"""Sentences computed from the numbers. Each says no more than they do, and nothing where there are too few.

No probe and no quantity is known here by name: what a sentence may say follows from what probes declare
(`rnnbench.quantity.Quantity`), so that a probe of a plugin is told like the shipped ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rnnbench.quantity import TOPICS
from rnnbench.report.findings import cost, learned, process, ranking, trials, varied
from rnnbench.report.findings.finding import CHOICE, PROCESS, Finding
from rnnbench.report.findings.ratios import ratio_text
from rnnbench.report.portable import once
from rnnbench.report.series import Panel

MOST = 10
"""Findings told unless more are asked for."""
KINDS = (
    ranking.choice,
    learned.solved,
    ranking.rankings,
    *learned.KINDS,
    *varied.KINDS,
    *cost.KINDS,
    *trials.KINDS,
)
"""In the order in which the findings of one topic are told; last those of the process."""

__all__ = ["MOST", "Finding", "findings", "heading", "most_telling", "ratio_text", "topics"]


def findings(panels: Sequence[Panel]) -> list[Finding]:
    """Every finding, by topic, within each the most telling kinds first; what all runs say of numbers that no machine
    changes is said once.
    """
    told = once(panels)
    found = [finding for kind in KINDS for finding in kind(told)]
    found += [finding for kind in process.KINDS for finding in kind(panels)]
    order = topics(found)
    return sorted(found, key=lambda one: order.index(one.topic))


def most_telling(found: Sequence[Finding], most: int = MOST) -> list[Finding]:
    """At most so many, in their order: the first of every topic, then the second of every topic, and so on."""
    by_topic = {topic: [one for one in found if one.topic == topic] for topic in topics(found)}
    ranked = [(rank, one) for members in by_topic.values() for rank, one in enumerate(members)]
    kept = {id(one) for _, one in sorted(ranked, key=lambda item: item[0])[:most]}
    return [one for one in found if id(one) in kept]


def topics(found: Iterable[Finding]) -> list[str]:
    """The topics of some findings: what to take, the challenges, those of plugins, how the run went."""
    present = dict.fromkeys(one.topic for one in found)
    own = [topic for topic in present if topic not in (CHOICE, PROCESS, *TOPICS)]
    return [topic for topic in (CHOICE, *TOPICS, *own, PROCESS) if topic in present]


def heading(topic: str) -> str:
    """What stands above the findings of a topic."""
    return TOPICS.get(topic, topic[:1].upper() + topic[1:])
