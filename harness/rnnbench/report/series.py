"""Records put in order: one series per program, one group of replicates per sequence length.

Everything a report shows is read off these, and off what probes declare about their quantities.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from rnnbench.case import AXES, CHOSEN, axis_text, value_text
from rnnbench.quantity import Level, Quantity, Ratio, Reading
from rnnbench.record import Record
from rnnbench.report.units import words

REPLICATES = ("replicate", "seed")
"""Settings that only repeat a measurement: records that differ in nothing else are taken together."""
RUN = "run"
"""The setting that tells runs apart where a report has several, see `rnnbench.report.runs`."""
ENVIRONMENT = "environment"
"""The axis that tells environments of one run apart, where numbers depend on them."""
MACHINE = "machine"
"""The axis of the kinds of machine that an executor was asked for."""
COMPETING = frozenset({"cell", "implementation", "device"})
"""Axes along which rows may be ranked; rows that differ elsewhere (dtype, sizes, settings) solve different problems."""
SHOWN_SETTINGS = ("optimizer", "lr", "max_steps")
"""Settings worth a word in a caption even where they do not vary."""
WIDE = 1.5
"""The interval of a single number is shown where its ends are this factor apart, or on both sides of 0."""
MIN_SAMPLES = 6
"""Samples that the interval of a median needs; see `rnnbench.measure.statistics`."""
TIMED = ("s", "1/s")
"""Units of timings and rates."""
UNCLEAR = 10.0
"""A number whose interval spans more than this factor is not shown as one."""
_PLAIN_AXES = tuple(axis for axis in AXES if axis not in ("backend", "seq_len"))


@dataclass(frozen=True, slots=True)
class Entry:
    """What one place of a table shows.

    value, low, high, bound: in the quantity's SI unit. With one record the interval is its own 95 % interval, with
    several (`count` > 1) value is their median and low, high their range. status: `ok`, `missing` (ran, but has no such
    quantity), the status of the record, or empty where there is no record. best: see `table.mark_best`. note: what else
    a reader must know. few: how many samples it has, where they are too few for a number to be quoted or ranked.
    text: what to show in place of value and interval. level: of a number that was measured in lockstep with others.
    """

    status: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: str | None = None
    count: int = 0
    note: str = ""
    best: bool = False
    few: int = 0
    text: str = ""
    level: Level | None = None

    @property
    def unclear(self) -> bool:
        """Whether the interval of a single number spans more than a factor of `UNCLEAR`."""
        if self.count != 1 or self.low is None or self.high is None or self.bound:
            return False
        return 0 < UNCLEAR * self.low < self.high

    @property
    def counts(self) -> bool:
        """Whether there is a number that may be ranked and quoted."""
        return self.value is not None and not self.few and not self.unclear

    @property
    def ran(self) -> bool:
        """Whether the case went well, with this number or without."""
        return self.status in ("ok", "missing")

    @property
    def number(self) -> float:
        """The value, NaN where there is none."""
        return math.nan if self.value is None else self.value

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def ratio(a: Entry, b: Entry) -> Ratio | None:
    """a / b where the two were measured in lockstep, by their levels; None where they were not."""
    if a.level is None or b.level is None or a.level.scale != b.level.scale:
        return None
    return a.level.over(b.level)


def is_wide(entry: Entry) -> bool:
    """Whether the interval of a single number is so wide that the number must not stand without it."""
    if entry.count != 1 or entry.bound or entry.low is None or entry.high is None or entry.low == entry.high:
        return False
    small, large = sorted((abs(entry.low), abs(entry.high)))
    return entry.low <= 0 <= entry.high or large >= WIDE * small


@dataclass(frozen=True, slots=True)
class Group:
    """The records of one program at one length. tuned: the chosen value of the panel's tuned setting, where there was a
    choice; tried: a group for each value that was.
    """

    records: tuple[Record, ...]
    tuned: float | None = None
    tried: tuple[Group, ...] = ()
    _entries: dict[str, Entry] = field(default_factory=dict, repr=False, compare=False)
    _good: list[Record] = field(default_factory=list, repr=False, compare=False)

    @property
    def good(self) -> Sequence[Record]:
        """The records that have numbers; looked up once, for a group may hold thousands."""
        if not self._good:
            self._good.extend(record for record in self.records if record.ok)
        return self._good

    def entry(self, quantity: str) -> Entry:
        """Median over the replicates. One that diverged counts as the worst possible; other failures are left out."""
        if quantity not in self._entries:
            self._entries[quantity] = self._entry(quantity)
        return self._entries[quantity]

    def _entry(self, quantity: str) -> Entry:
        found = [record.quantities[quantity] for record in self.good if quantity in record.quantities]
        if not found:
            return Entry(self.status)
        diverged = self.diverged
        if len(found) == 1 and not diverged:
            (only,) = found
            (record,) = (record for record in self.good if quantity in record.quantities)
            few = too_few(only, record)
            return Entry("ok", only.value, only.low, only.high, only.bound, 1, few=few, level=only.level)
        return _median(found, found[0].better, diverged)

    def over_grid(self, quantity: str) -> Entry:
        """Median and range over all values of the tuned setting, each by the median of its replicates."""
        entries = [group.entry(quantity) for group in self.tried]
        known = [entry for entry in entries if entry.value is not None]
        if not known:
            return Entry(self.status)
        betters = (record.quantities[quantity].better for record in self._all() if quantity in record.quantities)
        return _median(known, next(betters), sum(entry.status == "diverged" for entry in entries))

    def _all(self) -> Iterator[Record]:
        return (record for group in self.tried for record in group.records)

    @property
    def diverged(self) -> int:
        """How many records diverged."""
        if len(self.good) == len(self.records):
            return 0
        return sum(record.status == "diverged" for record in self.records)

    @property
    def status(self) -> str:
        """The commonest status that is not ok, or `missing` if all went well."""
        bad = Counter(record.status for record in self.records if not record.ok)
        return bad.most_common(1)[0][0] if bad else "missing"

    def reached(self, quantity: str) -> tuple[int, int]:
        """(records whose value is exact, records with an outcome), for quantities that can be censored."""
        found = [record.quantities[quantity] for record in self.good if quantity in record.quantities]
        diverged = self.diverged
        return sum(entry.bound is None for entry in found), len(found) + diverged


@dataclass(frozen=True, slots=True)
class Series:
    """One row: its values of the panel's axes, and its groups by sequence length.

    telling: (axis, text) of what tells it apart beside its cell, ("implementation", "torch/native") say.
    verified: false where some record's program was never checked against the oracle. matched: its hidden size was
    solved for a parameter count, which then is what rows must share to be ranked. weak: true where some program was
    checked so loosely that a tenth too much would have passed. parallel: true where its program is parallel over time.
    """

    axes: Mapping[str, Any]
    groups: Mapping[int, Group]
    telling: tuple[tuple[str, str], ...]
    verified: bool
    matched: bool = False
    weak: bool = False
    parallel: bool = False

    @property
    def doubt(self) -> str:
        """`unverified`, `weakly verified`, or empty where the program was checked as usual."""
        return "unverified" if not self.verified else "weakly verified" if self.weak else ""

    @property
    def program(self) -> str:
        """Its name without the cell: `torch/native`, `torch/native, float16`."""
        return ", ".join(text for _, text in self.telling)

    @property
    def contest(self) -> tuple[Any, ...]:
        """Rows with the same value may be ranked against each other."""
        return tuple(self.problem.values())

    @property
    def problem(self) -> dict[str, Any]:
        """The axes that rows must share to be ranked against each other, with their values."""
        free = COMPETING | {"hidden_size"} if self.matched else COMPETING
        return self.but(*free)

    @property
    def name(self) -> str:
        """For sentences: `lstm (torch/native)`."""
        return f"{self.axes['cell']} ({self.program})"

    @property
    def names(self) -> tuple[str, str, str]:
        """What a user may call it, where that is clear: `lstm`, `torch/native`, `lstm torch/native`."""
        cell, program = str(self.axes["cell"]), str(self.axes["implementation"])
        return cell, program, f"{cell} {program}"

    def but(self, *axes: str) -> dict[str, Any]:
        """Its place on all axes but these: what rows that differ there alone have in common."""
        return {axis: value for axis, value in self.axes.items() if axis not in axes}

    def without(self, axes: Iterable[str]) -> Series:
        """The row under a name that leaves out what these axes add to it."""
        gone = set(axes)
        return replace(self, telling=tuple(part for part in self.telling if part[0] not in gone))

    def points(self, quantity: str) -> Iterator[tuple[int, Entry]]:
        """(seq_len, entry) where there is a number that counts, by length."""
        for length in sorted(self.groups):
            entry = self.groups[length].entry(quantity)
            if entry.counts:
                yield length, entry


@dataclass(frozen=True, slots=True)
class Panel:
    """All that one probe found (on one task, where it has tasks).

    axes: those that vary, and always `cell` and `implementation` (`torch/native`). constants: the others. quantities:
    by name, as declared, in the order of the records. absent: (backend, device) pairs of which nothing ran. lengths: of
    all series, ascending. tuned: the setting of which each row shows the best value, empty where there is none.
    tried: its values, ascending. statuses: how many cases ended how.
    """

    probe: str
    task: str | None
    axes: tuple[str, ...]
    constants: Mapping[str, Any]
    series: tuple[Series, ...]
    quantities: Mapping[str, Quantity]
    absent: tuple[tuple[str, str], ...]
    lengths: tuple[int, ...]
    tuned: str
    tried: tuple[float, ...]
    statuses: Counter[str]

    def words(self, quantity: str) -> str:
        """What a quantity is called."""
        declared = self.quantities.get(quantity)
        return (declared and declared.title) or words(quantity)

    @property
    def headlines(self) -> list[str]:
        """The quantities people read first, by rank; all of them where none has a rank."""
        ranked = [name for name, one in self.quantities.items() if one.headline is not None]
        if not any(one.headline is not None or one.fallback for one in self.quantities.values()):
            return list(self.quantities)
        return sorted(ranked, key=lambda name: self.quantities[name].headline or 0)

    @property
    def criterion(self) -> str:
        """The quantity that the tuned setting was chosen by."""
        return _criterion(self.quantities)[1] if self.tuned else ""

    @property
    def goal(self) -> str:
        """The first quantity that says what a goal took; empty where there is none."""
        ranks = {name: math.inf if one.headline is None else one.headline for name, one in self.quantities.items()}
        return min((name for name, one in self.quantities.items() if one.goal), key=ranks.__getitem__, default="")

    @property
    def ran(self) -> Iterator[Record]:
        """Every record that has numbers, those of rates that were tried and not chosen among them."""
        for series in self.series:
            for group in series.groups.values():
                for tried in group.tried or (group,):
                    yield from tried.good


def panels(records: Sequence[Record]) -> list[Panel]:
    """Group records by probe and task, in the order they come."""
    by_probe: dict[tuple[str, str | None], list[Record]] = defaultdict(list)
    for record in records:
        by_probe[record.case.probe, record.case.settings.get("task")].append(record)
    resolved = _resolved(records)
    absent = _absent(records)
    return [_panel(*key, group, resolved, absent) for key, group in by_probe.items()]


def _panel(
    probe: str,
    task: str | None,
    records: list[Record],
    resolved: Mapping[tuple[str, ...], str],
    absent: frozenset[tuple[str, str]],
) -> Panel:
    pairs = [(record.case.backend, record.case.device) for record in records]
    gone = tuple(dict.fromkeys(pair for pair in pairs if pair in absent))
    present = [record for record, pair in zip(records, pairs, strict=True) if pair not in absent]
    if not present:
        present, gone = records, ()
    columns = _columns(present, resolved)
    quantities = _quantities(present)
    setting, criterion = _criterion(quantities)
    tried: tuple[Any, ...] = tuple(sorted({value for value in columns.get(setting, ()) if value is not None}))
    tuned = setting if len(tried) > 1 else ""
    varying = [axis for axis, values in columns.items() if _varies(values) and axis != tuned]
    axes = tuple(axis for axis in columns if axis in ("cell", "implementation") or axis in varying)
    if _needs_environment(present):
        columns[ENVIRONMENT] = [record.environment for record in present]
        axes += (ENVIRONMENT,)
    ignored = _ignored(present)
    constants = {axis: values[0] for axis, values in columns.items() if values and axis not in (*axes, *ignored)}
    if tuned:
        constants[tuned] = f"best of {', '.join(map(value_text, tried))}"
    series = _series(present, [columns[axis] for axis in axes], axes, tuned, criterion)
    statuses = Counter(record.status for record in records)
    lengths = tuple(sorted({length for one in series for length in one.groups}))
    kept = tried if tuned else ()
    return Panel(probe, task, axes, constants, series, quantities, gone, lengths, tuned, kept, statuses)


def _criterion(quantities: Mapping[str, Quantity]) -> tuple[str, str]:
    """(setting, the quantity that its value is chosen by), empty where no quantity selects any."""
    return next(((one.selects, name) for name, one in quantities.items() if one.selects), ("", ""))


def _ignored(records: Sequence[Record]) -> set[str]:
    """Axes that play no part in any of the records, whose value says nothing about them."""
    ignored = [record.details.get("ignored", ()) for record in records if record.ok]
    return set(ignored[0]).intersection(*ignored) if ignored else set()


def _columns(records: list[Record], resolved: Mapping[tuple[str, ...], str]) -> dict[str, list[Hashable]]:
    """Each axis and setting as a column over the records; how to train is none where nothing is trained."""
    cases = [record.case for record in records]
    columns = {axis: list(map(attrgetter(axis), cases)) for axis in _PLAIN_AXES}
    columns["implementation"] = [_program(record, resolved) for record in records]
    if any(case.params for case in cases):
        columns["params"] = [case.params for case in cases]
    if any(case.machine for case in cases):
        columns[MACHINE] = [case.machine for case in cases]
    for name in dict.fromkeys(key for case in cases for key in case.settings):
        untrained = name in SHOWN_SETTINGS and all(case.settings.get("task", "") is None for case in cases)
        if name not in ("task", *REPLICATES, *columns) and not untrained:
            columns[name] = [_hashable(case.settings.get(name)) for case in cases]
    return columns


def _series(
    records: list[Record], columns: list[list[Hashable]], axes: tuple[str, ...], tuned: str, criterion: str
) -> tuple[Series, ...]:
    found: dict[tuple[Hashable, ...], dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record, *key in zip(records, *columns, strict=True):
        found[tuple(key)][record.case.seq_len].append(record)

    def group(members: list[Record]) -> Group:
        return tune(members, tuned, criterion) if tuned else Group(tuple(members))

    matched = all(record.case.params for record in records)
    telling = [axis for axis, column in zip(axes, columns, strict=True) if axis == "implementation" or _varies(column)]
    telling = [axis for axis in telling if axis != "cell" and not (matched and axis == "hidden_size")]
    series = []
    for key, lengths in sorted(found.items(), key=_by_appearance(axes, columns)):
        values = dict(zip(axes, key, strict=True))
        program = tuple((axis, axis_text(axis, values[axis])) for axis in telling)
        members = [record for group in lengths.values() for record in group]
        verdicts, parallel = {record.verified for record in members}, any(record.parallel for record in members)
        groups = {length: group(found) for length, found in lengths.items()}
        doubts = {"verified": "none" not in verdicts, "weak": "weak" in verdicts}
        series.append(Series(values, groups, program, matched=matched, parallel=parallel, **doubts))
    return tuple(series)


def _varies(column: list[Hashable]) -> bool:
    return len(set(column)) > 1


def _by_appearance(axes: tuple[str, ...], columns: list[list[Hashable]]) -> Any:
    """Sort key: the values of each axis in the order in which they first came, implementations after backends."""
    ranks: list[dict[Hashable, Any]] = [
        {value: rank for rank, value in enumerate(dict.fromkeys(column))} for column in columns
    ]
    programs = ranks[axes.index("implementation")]
    backends = {name: rank for rank, name in enumerate(dict.fromkeys(_backend(value) for value in programs))}
    programs |= {value: (backends[_backend(value)], rank) for value, rank in programs.items()}
    return lambda item: tuple(rank[value] for rank, value in zip(ranks, item[0], strict=True))


def _backend(program: Hashable) -> str:
    return str(program).partition("/")[0]


def tune(records: Sequence[Record], tuned: str, criterion: str) -> Group:
    """The tuned setting with the lowest median criterion; all of them where none has one, so the status shows."""
    by_value: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        by_value[record.case.settings.get(tuned)].append(record)
    groups = tuple(Group(tuple(members), value) for value, members in by_value.items())
    scored = [(entry, group) for group in groups if (entry := group.entry(criterion)).value is not None]
    if not scored:
        return Group(tuple(record for group in groups for record in group.records), tried=groups)
    better = next(record.quantities[criterion].better for record in records if criterion in record.quantities)
    sign = -1 if better == "higher" else 1
    return replace(min(scored, key=lambda item: sign * item[0].number)[1], tried=groups)


def too_few(reading: Reading, record: Record) -> int:
    """How many samples a timing rests on, where they are too few for an interval; else 0.

    No spread at all between samples is none either: the clock did not tell them apart. A number that follows from
    timings, a share of the machine's limit say, is as good as they are.
    """
    if reading.low is None or reading.exact or reading.bound:
        return 0
    if reading.unit in TIMED:
        count = len(reading.samples)
        return count if 0 < count < MIN_SAMPLES or (count and reading.low == reading.high) else 0
    if reading.samples or reading.low != reading.high:
        return 0
    return max((too_few(one, record) for one in record.quantities.values() if one.unit in TIMED), default=0)


def _median(found: Sequence[Reading | Entry], better: str, diverged: int) -> Entry:
    """Median and range over replicates; censored values make it a bound where they can move it.

    With lower bounds in place of the unknown values the median is a lower bound of the true one (medians are monotone);
    it is exact if putting infinity there gives the same. Upper bounds likewise.
    """
    worst = {"lower": math.inf, "higher": -math.inf}.get(better)
    lost = [] if worst is None else [worst] * diverged
    values = [entry.number for entry in found]
    middle = statistics.median(values + lost)
    if not math.isfinite(middle):
        return Entry("diverged")
    bound = None
    for side, limit in (("lower", math.inf), ("upper", -math.inf)):
        pushed = [limit if entry.bound == side else value for entry, value in zip(found, values, strict=True)]
        if statistics.median(pushed + lost) != middle:
            bound = side
    note = f"{diverged} diverged" if diverged else ""
    return Entry("ok", middle, min(values), max(values), bound, len(found), note)


def _quantities(records: list[Record]) -> dict[str, Quantity]:
    """By name, as first declared; portable where any run says so, since older ones did not declare it."""
    quantities: dict[str, Quantity] = {}
    for record in records:
        for name, reading in record.quantities.items() if record.ok else ():
            known = quantities.setdefault(name, reading.quantity)
            if reading.quantity.portable and not known.portable:
                quantities[name] = replace(known, portable=True)
    return quantities


def _resolved(records: Iterable[Record]) -> dict[tuple[str, ...], str]:
    """What `auto` or `best` became, for cases that failed before that was known: the one answer of their siblings."""
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for record in records:
        if record.case.implementation in CHOSEN and record.implementation:
            found[_sibling(record)].add(record.implementation)
    return {key: next(iter(names)) for key, names in found.items() if len(names) == 1}


def _sibling(record: Record) -> tuple[str, ...]:
    case = record.case
    return case.probe, case.cell, case.backend, case.implementation, case.device, case.dtype


def _program(record: Record, resolved: Mapping[tuple[str, ...], str]) -> str:
    name = record.implementation or record.case.implementation
    if name in CHOSEN:
        name = resolved.get(_sibling(record), name)
    return f"{record.case.backend}/{name}"


def _absent(records: Iterable[Record]) -> frozenset[tuple[str, str]]:
    """(backend, device) pairs of which every case was skipped, if anything else ran."""
    seen: dict[tuple[str, str], bool] = {}
    for record in records:
        pair = (record.case.backend, record.case.device)
        seen[pair] = seen.get(pair, True) and record.status == "skipped"
    return frozenset(pair for pair, skipped in seen.items() if skipped) if not all(seen.values()) else frozenset()


def _needs_environment(records: list[Record]) -> bool:
    """Whether one run was made in more than one environment, as far as runs and machines are told apart: then no row,
    and no ranking, may mix them in silence. What is the same on every machine is no matter of where it was made.
    """
    if all(reading.quantity.portable for record in records for reading in record.quantities.values()):
        return False
    places = {(record.case.settings.get(RUN), record.case.machine, record.environment) for record in records}
    return len(places) > len({place[:2] for place in places})


def _hashable(value: Any) -> Hashable:
    return json.dumps(value, sort_keys=True) if isinstance(value, (list, dict, tuple)) else value
