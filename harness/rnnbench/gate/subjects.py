"""What two revisions have in common: the cases that both plan, paired.

A subject is one case, or all replicates of one: training runs that differ only in their seed are the pairs of one
subject, so that weights and data are the same on both sides of a pair. Cases are matched by every field that both
revisions know; a setting that only one of them has, with whatever default, does not keep them apart, and is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rnnbench.case import Case, digest, labels
from rnnbench.gate.side import Name

SAMPLE_SECONDS = 0.4
"""Longest timing budget of a process, per pass: some 30 turns, beyond which further pairs tell more."""

REPLICATE = "replicate"


@dataclass(frozen=True)
class PlannedCase:
    """A case as one side plans it. names: implementations to try, reason: why there is none. verify, program: how and
    under which key its program is verified. memory: whether bytes of its process are measured.
    """

    case: Case
    names: tuple[str, ...]
    reason: str
    verify: Mapping[str, Any]
    program: str
    memory: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlannedCase:
        """From an entry of `rnnbench.gate.remote.plan`."""
        case = Case.from_json(data["case"])
        return cls(case, tuple(data["names"]), data["reason"], data["verify"], data["program"], data["memory"])


@dataclass(frozen=True)
class Subject:
    """One thing to compare. id: the same whenever both sides ask the same. replicates: those of the suite, None where
    the case has none.
    """

    id: str
    label: str
    base: PlannedCase
    head: PlannedCase
    replicates: tuple[int, ...] | None = None

    def entry(self, side: Name) -> PlannedCase:
        """Of `base` or of `head`."""
        return self.base if side == "base" else self.head

    def case(self, side: Name, implementation: str, pair: int) -> Case:
        """The case a process of this pair measures: with a short timing budget, and the pair's own seed."""
        case = self.entry(side).case
        settings = dict(case.settings)
        if isinstance(settings.get("budget"), int | float):
            share = settings["budget"] / settings.get("processes", 1)
            settings["budget"] = min(share, SAMPLE_SECONDS)
            settings |= {"processes": 1} if "processes" in settings else {}
        if self.replicates is not None:
            settings[REPLICATE] = self._replicate(pair)
        return replace(case, implementation=implementation, settings=settings)

    def _replicate(self, pair: int) -> int:
        """The suite's replicates in their order, then further ones."""
        assert self.replicates is not None
        further = max(self.replicates) + 1 + pair - len(self.replicates)
        return self.replicates[pair] if pair < len(self.replicates) else further


@dataclass(frozen=True)
class MatchedSubjects:
    """subjects: what both have. new, removed: labels of what only head or only base has. notes: sentences."""

    subjects: tuple[Subject, ...]
    new: tuple[str, ...]
    removed: tuple[str, ...]
    notes: tuple[str, ...]


def match(base: Sequence[PlannedCase], head: Sequence[PlannedCase]) -> MatchedSubjects:
    """Pair the cases of two plans, in the order of head's."""
    shared, notes = _shared_settings(base, head)
    groups_base, groups_head = _groups(base, shared), _groups(head, shared)
    names = _labels(groups_head)
    subjects = [
        _subject(key, names[key], groups_base[key], groups_head[key]) for key in groups_head if key in groups_base
    ]
    new = tuple(names[key] for key in groups_head if key not in groups_base)
    removed = tuple(text for key, text in _labels(groups_base).items() if key not in groups_head)
    return MatchedSubjects(tuple(subjects), new, removed, tuple(notes))


def subject_labels(cases: Sequence[Case]) -> list[str]:
    """`rnnbench.case.labels` of the cases, in which replicates of one are one."""
    alike = [{name: value for name, value in case.settings.items() if name != REPLICATE} for case in cases]
    return labels([replace(case, settings=settings) for case, settings in zip(cases, alike, strict=True)])


def _labels(groups: Mapping[str, Sequence[PlannedCase]]) -> dict[str, str]:
    """A text for each subject, no two alike."""
    return dict(zip(groups, subject_labels([entries[0].case for entries in groups.values()]), strict=True))


def _shared_settings(
    base: Sequence[PlannedCase], head: Sequence[PlannedCase]
) -> tuple[dict[str, frozenset[str]], list[str]]:
    """By probe, the settings that both know, and a sentence per probe whose settings differ."""
    names = [_setting_names(base), _setting_names(head)]
    shared, notes = {}, []
    for probe in names[0].keys() & names[1].keys():
        common, either = names[0][probe] & names[1][probe], names[0][probe] | names[1][probe]
        unique = all(
            len(_groups(side, {probe: common})) == len(_groups(side, {probe: either})) for side in (base, head)
        )
        shared[probe] = frozenset(common if unique else either)
        if unique and common != either:
            notes.append(f"{probe}: only one side has the settings {', '.join(sorted(either - common))}")
    return shared, notes


def _setting_names(entries: Iterable[PlannedCase]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        names[entry.case.probe].update(entry.case.settings)
    return names


def _groups(entries: Iterable[PlannedCase], shared: Mapping[str, Iterable[str]]) -> dict[str, list[PlannedCase]]:
    """Entries by the hash of what identifies their subject."""
    groups: dict[str, list[PlannedCase]] = defaultdict(list)
    for entry in entries:
        data = entry.case.to_json()
        known = shared.get(entry.case.probe, entry.case.settings)
        data["settings"] = {key: data["settings"].get(key) for key in sorted(known) if key != REPLICATE}
        groups[digest(data)].append(entry)
    return groups


def _subject(key: str, label: str, base: Sequence[PlannedCase], head: Sequence[PlannedCase]) -> Subject:
    replicates = None
    if REPLICATE in head[0].case.settings:
        replicates = tuple(entry.case.settings[REPLICATE] for entry in head)
    return Subject(key, label, base[0], head[0], replicates)
