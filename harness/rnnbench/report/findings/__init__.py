"""Sentences computed from the numbers. Each says no more than they do, and nothing where there are too few."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from rnnbench.case import value_text
from rnnbench.machine.watch import SLOWER
from rnnbench.measure.statistics import Slope, least_squares
from rnnbench.report import units
from rnnbench.report.findings.cost import COSTS
from rnnbench.report.findings.training import LEARNING
from rnnbench.report.growth import (
    MIN_LENGTHS,
    MIN_SPAN,
    Crossover,
    Growth,
    Measured,
    beyond,
    crossovers,
    fit,
)
from rnnbench.report.series import Entry, Group, Panel, Series
from rnnbench.report.wording import listed, steps_text

UNSURE = 0.5
"""The half-width of an exponent's interval beyond which it is not told: T and T² could not be told apart."""
NOTHING = -16
"""Powers of ten below this are lost in double precision beside the gradient of the last step."""
ALIKE = 0.05
"""Rates that differ by less are told in one sentence."""
VAGUE = 1.5
"""Where the ends of a ratio's interval differ by more than this factor, only the lower one is told."""
FEW = 3
"""Programs of one cell that are named rather than counted."""
SOLVED = ": solved by "
OF_TRAINING = ("optimizer", "lr", "momentum", "weight_decay", "clip", "steps")
"""Settings that nothing depends on before the first training step."""


def findings(panels: Sequence[Panel]) -> list[str]:
    """Every finding, the most telling kinds first."""
    return [sentence for kind in KINDS for sentence in kind(panels)]


def gradients(panels: Sequence[Panel]) -> Iterator[str]:
    """How fast the gradient halves or grows at initialisation, by cell; equal rates make one sentence."""
    for panel in panels:
        if "gradient.decay_rate" not in panel.quantities:
            continue
        by_cell: dict[tuple[Any, ...], dict[str, tuple[Series, int, Entry]]] = defaultdict(dict)
        for series in panel.series:
            if points := list(series.points("gradient.decay_rate")):
                before = [value for axis, value in series.problem.items() if axis not in OF_TRAINING]
                row = series.without(OF_TRAINING)
                by_cell[series.axes["cell"], *before].setdefault(row.program, (row, *points[-1]))
        for measured in by_cell.values():
            for alike in _alike(list(measured.values())):
                yield _gradient_sentence(alike)


def _alike(measured: list[tuple[Series, int, Entry]]) -> list[list[tuple[Series, int, Entry]]]:
    groups: list[list[tuple[Series, int, Entry]]] = []
    for item in measured:
        for group in groups:
            first = group[0]
            if first[1] == item[1] and math.isclose(first[2].number, item[2].number, rel_tol=ALIKE, abs_tol=1e-9):
                group.append(item)
                break
        else:
            groups.append([item])
    return groups


def _gradient_sentence(alike: list[tuple[Series, int, Entry]]) -> str:
    series, length, entry = alike[0]
    rate = entry.number
    name = f"{series.axes['cell']} ({', '.join(one.program for one, _, _ in alike)})"
    low, high = (rate if side is None else side for side in (entry.low, entry.high))
    if max(abs(low), abs(high)) * length < math.log(2):
        return f"{name}: the gradient changes by less than a factor of 2 over {length} steps."
    if low <= 0 <= high:
        return f"{name}: whether the gradient vanishes or grows is not clear from T={length}."
    steps = units.number(math.log(2) / abs(rate), 2)
    if rate > 0:
        return f"{name}: the gradient doubles every {steps_text(steps)}: it grows with the lag (T={length})."
    return f"{name}: the gradient halves every {steps_text(steps)}: {_survivors(series.groups[length], length)}."


def _survivors(group: Group, length: int) -> str:
    """What of the gradient at lag 1 is left at the longest measured lag, read off the curve."""
    curves = [record.curves["gradient.log_norm"] for record in group.records if "gradient.log_norm" in record.curves]
    points = list(zip(curves[0].x, curves[0].y, strict=True)) if curves else []
    known = [(lag, norm) for lag, norm in points if norm is not None]
    if len(known) < 2:
        return f"measured over {length} steps"
    if points[-1][1] is None:
        return f"of a loss at T={length} exactly nothing reaches the first step"
    power = (known[-1][1] - known[0][1]) / math.log(10)
    share = f"1e{round(power)} of it" if power < -4 else f"{units.number(100 * 10**power, 2)} %"
    share = f"practically nothing ({share})" if power < NOTHING else share
    return f"of a loss at T={length}, {share} reaches the first step"


def nonfinite(panels: Sequence[Panel]) -> Iterator[str]:
    """Gradients that are infinite or not a number."""
    bad = []
    for panel in panels:
        for series in panel.series if "gradient.nonfinite_share" in panel.quantities else ():
            shares = [entry.number for _, entry in series.points("gradient.nonfinite_share")]
            if shares and max(shares) > 0:
                bad.append(f"{series.name} {units.number(100 * max(shares), 2)} %")
    if bad:
        yield f"Gradients that are infinite or not a number, at the worst length: {listed(bad)}."


def growth(panels: Sequence[Panel]) -> Iterator[str]:
    """Exponents of time and memory against T with their 95 % intervals, and the overhead where it hides the slope."""
    for panel, quantity, fits in _fitted(panels):
        exponents: dict[str, list[str]] = defaultdict(list)
        overheads = []
        for series, model in fits:
            if model.model == "overhead":
                unit = panel.quantities[quantity][0]
                alpha, beta = (units.quantity(value, unit) for value in (model.overhead, model.per_step))
                overheads.append(f"{series.name} {alpha} + {beta}·T")
            elif text := exponent_text(model.exponent):
                exponents[text].append(series.name)
        if exponents:
            yield f"{_words(quantity)} grows as {_by_value(exponents)}."
        if overheads:
            yield f"{_words(quantity)} is no power of T but an overhead and a straight line: {listed(overheads)}."


def exponent_text(exponent: Slope) -> str:
    """`T^1.02 (0.97–1.07)`, or `T^1.00` where the ends are the same; empty where the interval is too wide to say."""
    if exponent.low is None or exponent.high is None or exponent.high - exponent.low > 2 * UNSURE:
        return ""
    middle, low, high = (f"{value:.2f}" for value in (exponent.value, exponent.low, exponent.high))
    return f"T^{middle}" if low == high else f"T^{middle} ({low}–{high})"


def crossings(panels: Sequence[Panel]) -> Iterator[str]:
    """The lengths at which two programs of one contest change places in time, and where there are none, that."""
    for panel in panels:
        for quantity in panel.quantities:
            if not quantity.endswith(".time"):
                continue
            pairs = list(_pairs(panel, quantity))
            told = [
                f"{first.name} is lower up to T≈{units.number(crossing.seq_len, 2)} "
                f"({crossing.low:g}–{crossing.high:g}), {second.name} beyond"
                for a, b, found in pairs
                for crossing in found
                for first, second in [(a, b) if crossing.a_first else (b, a)]
            ]
            if told:
                yield f"{_words(quantity)}, crossovers: {listed(told, '; ')}."
            elif pairs:
                yield f"{_words(quantity)}: no crossover of any two programs within the measured lengths."


def _pairs(panel: Panel, quantity: str) -> Iterator[tuple[Series, Series, list[Crossover]]]:
    """Any two verified rows that solve the same problem at enough common lengths."""
    contests: dict[Any, list[tuple[Series, list[Measured]]]] = defaultdict(list)
    for series in panel.series:
        if series.verified:
            contests[series.contest].append((series, _measured(series, quantity)))
    for contest in contests.values():
        for (a, one), (b, other) in combinations(contest, 2):
            lengths = {point.seq_len for point in one} & {point.seq_len for point in other}
            if len(lengths) >= MIN_LENGTHS and max(lengths) >= MIN_SPAN * min(lengths):
                yield a, b, crossovers(one, other)


def modelled(panels: Sequence[Panel]) -> Iterator[str]:
    """What to expect of a training step at four times the longest length that ran."""
    for panel, quantity, fits in _fitted(panels):
        if not quantity.startswith("train."):
            continue
        unit = panel.quantities[quantity][0]
        *_, length = beyond(panel.lengths[-1])
        told = []
        for series, model in fits:
            value = model.predict(length)
            if value.low is not None and value.high is not None and 0 < value.high <= VAGUE * value.low:
                ends = "–".join(units.quantity(end, unit) for end in (value.low, value.high))
                told.append(f"{series.name} {units.quantity(value.value, unit)} ({ends})")
        if told:
            yield f"Modelled, not run: {_words(quantity).lower()} at T={length}: {listed(told, '; ')}."


def _fitted(panels: Sequence[Panel]) -> Iterator[tuple[Panel, str, list[tuple[Series, Growth]]]]:
    """Every quantity that grows, with the rows that have a model of it."""
    for panel in panels:
        for quantity in filter(_grows, panel.quantities):
            models = [(series, fitted(series, quantity)) for series in panel.series]
            found = [(series, model) for series, model in models if model is not None]
            if found:
                yield panel, quantity, found


def fitted(series: Series, quantity: str) -> Growth | None:
    """The model of one row's exact numbers."""
    return fit(tuple(_numbers(series, quantity)))


def _grows(quantity: str) -> bool:
    """Times and memory as measured; what a compiler says of memory is in its table and needs no second sentence."""
    return quantity.endswith(".time") or (".peak_memory." in quantity and not quantity.endswith(".compiled"))


def _measured(series: Series, quantity: str) -> list[Measured]:
    points = [(length, entry) for length, entry in series.points(quantity) if entry.bound is None]
    return [Measured(float(length), entry.number, entry.low, entry.high) for length, entry in points]


def fastest(panels: Sequence[Panel]) -> Iterator[str]:
    """The fastest program per length, by which ratio over the next, and best against best between backends."""
    for panel in panels:
        for quantity in panel.quantities:
            if not quantity.endswith(".time_per_step"):
                continue
            contests: dict[Any, list[Series]] = defaultdict(list)
            for series in panel.series:
                if series.verified:
                    contests[series.contest].append(series)
            for contest in contests.values():
                yield from _ranking(quantity, panel.lengths, contest)
                yield from _backends(quantity, panel.lengths, contest)


def _ranking(quantity: str, lengths: Sequence[int], contest: Sequence[Series]) -> Iterator[str]:
    winners: dict[str, list[int]] = defaultdict(list)
    last = ""
    for length in lengths:
        ranked = _ranked(quantity, length, contest)
        if len(ranked) < 2:
            continue
        (first, best), (second, next_best) = ranked[:2]
        ratio = ratio_text(next_best, best)
        winners[first.name if ratio else "no clear winner"].append(length)
        what = f"{ratio} times as fast as the next, {second.name}" if ratio else "no clear difference to the next"
        at = units.quantity(best.number, "s")
        last = f"; at T={length} {first.name} takes {at}, {what if ratio else f'{what}, {second.name}'}"
    if winners:
        told = ", ".join(f"{name} at T={', '.join(map(str, where))}" for name, where in winners.items())
        yield f"Lowest {_words(quantity).lower()}: {told}{last}."


def _backends(quantity: str, lengths: Sequence[int], contest: Sequence[Series]) -> Iterator[str]:
    """Best implementation of each backend against each other, per cell, at the longest length they share."""
    cells: dict[tuple[Any, ...], list[Series]] = defaultdict(list)
    for series in contest:
        cells[series.axes["cell"], series.axes.get("device")].append(series)
    told = []
    for members in cells.values():
        pair = _best_of_two_backends(quantity, lengths, members)
        if pair is not None:
            length, (first, best), (second, next_best) = pair
            ratio = ratio_text(next_best, best)
            programs = first.program, second.program
            how = (
                f"{programs[0]} is {ratio} times as fast as {programs[1]}"
                if ratio
                else f"no clear difference between {programs[0]} and {programs[1]}"
            )
            told.append(f"{first.axes['cell']} at T={length}: {how}")
    if told:
        yield f"{_words(quantity)}, best against best of each framework: {listed(told, '; ')}."


def _best_of_two_backends(
    quantity: str, lengths: Sequence[int], members: Sequence[Series]
) -> tuple[int, tuple[Series, Entry], tuple[Series, Entry]] | None:
    for length in reversed(lengths):
        ranked = _ranked(quantity, length, members)
        for item in ranked[1:]:
            if _backend(item[0]) != _backend(ranked[0][0]):
                return length, ranked[0], item
    return None


def _ranked(quantity: str, length: int, contest: Sequence[Series]) -> list[tuple[Series, Entry]]:
    entries = [(series, series.groups[length].entry(quantity)) for series in contest if length in series.groups]
    measured = [(series, entry) for series, entry in entries if entry.value is not None]
    return sorted(measured, key=lambda item: item[1].number)


def ratio_text(a: Entry, b: Entry) -> str:
    """a / b for a > b > 0: `1.8`, with its interval `1.8 (1.7–1.9)`, or where that is wide `at least 1.7`.

    The interval is the widest both allow: [a.low / b.high, a.high / b.low]. Empty where the intervals overlap or lack,
    and where all that is sure is a factor that prints as one.
    """
    if a.low is None or a.high is None or b.low is None or b.high is None or a.low <= b.high or b.low <= 0:
        return ""
    low, high = a.low / b.high, a.high / b.low
    if high > VAGUE * low:
        return f"at least {units.factor(low)}" if units.factor(low) != units.factor(1) else ""
    text = units.factor(a.number / b.number)
    ends = units.factor(low), units.factor(high)
    return text if ends == (text, text) else f"{text} ({ends[0]}–{ends[1]})"


def memory(panels: Sequence[Panel]) -> Iterator[str]:
    """Bytes per time step where memory is a straight line in T."""
    for panel in panels:
        for quantity in panel.quantities:
            if ".peak_memory." not in quantity or not _grows(quantity):
                continue
            slopes = []
            for series in panel.series:
                points = _numbers(series, quantity)
                if not _enough(points):
                    continue
                found = least_squares(*zip(*points, strict=True))
                if found.slope > 0 and found.error <= 0.1 * found.slope:
                    slopes.append((found.slope, series.name))
            if slopes:
                told = [f"{units.quantity(slope, 'B')} ({name})" for slope, name in sorted(slopes)]
                ends = told if len(told) <= 2 else [told[0], told[-1]]
                count = f" in {len(told)} programs" if len(told) > 2 else ""
                yield f"{_words(quantity)} grows per time step by {' to '.join(ends)}{count}."


def learning(panels: Sequence[Panel]) -> Iterator[str]:
    """Which cells solved a task, in how many steps, and which did not within their budget."""
    for panel in panels:
        if "steps_to_target" not in panel.quantities:
            continue
        for length in panel.lengths:
            yield from _learned(panel, length)


def _learned(panel: Panel, length: int) -> Iterator[str]:
    solved: list[tuple[float, str]] = []
    unsolved: dict[str, list[str]] = defaultdict(list)
    for series in panel.series:
        group = series.groups.get(length)
        entry = group.entry("steps_to_target") if group else Entry("")
        if group is not None and entry.status == "diverged":
            unsolved[series.axes["cell"]].append(f"{series.program} diverged")
        if group is None or entry.value is None:
            continue
        reached, count = group.reached("steps_to_target")
        rate = f", lr {value_text(group.tuned)}" if group.tuned is not None else ""
        if entry.bound is None:
            steps = steps_text(units.number(entry.value))
            solved.append((entry.value, f"{series.name} in {steps} ({reached}/{count}{rate})"))
        else:
            unsolved[series.axes["cell"]].append(f"{series.program} {reached}/{count}")
    what = f"{panel.task or panel.probe}, T={length}"
    if solved:
        yield f"{what}{SOLVED}{listed([text for _, text in sorted(solved)])}; in brackets the seeds that did."
    if unsolved:
        few = max(map(len, unsolved.values())) <= FEW
        told = [
            f"{cell} ({'; '.join(programs) if few else f'{len(programs)} programs'})"
            for cell, programs in unsolved.items()
        ]
        yield f"{what}: not solved within the budget by the median seed of {listed(told)}."


def edges(panels: Sequence[Panel]) -> Iterator[str]:
    """Tuning whose winner is the largest or smallest value tried: the optimum may lie outside."""
    ends: dict[str, list[str]] = defaultdict(list)
    for panel in panels:
        if len(panel.tried) < 3:
            continue
        for series in panel.series:
            for group in series.groups.values():
                if group.tuned == panel.tried[-1]:
                    ends[f"{value_text(group.tuned)}, the largest tried"].append(series.name)
                elif group.tuned == panel.tried[0]:
                    ends[f"{value_text(group.tuned)}, the smallest tried"].append(series.name)
    for value, names in ends.items():
        yield f"The best lr is {value}, for {listed(list(dict.fromkeys(names)))}: a better one may lie beyond."


def unverified(panels: Sequence[Panel]) -> Iterator[str]:
    """Programs nobody checked."""
    names = dict.fromkeys(series.name for panel in panels for series in panel.series if not series.verified)
    if names:
        yield f"Not verified against any mathematics, so not ranked: {listed(list(names))}."


def disturbed(panels: Sequence[Panel]) -> Iterator[str]:
    """How many processes ran while the machine was slow, and how many numbers wait for further processes."""
    records = [record for panel in panels for record in panel.ran if record.details]
    slow = sum(int(record.details.get("contaminated", 0)) for record in records)
    if slow:
        ran = sum(len(record.parts) or 1 for record in records if "contaminated" in record.details)
        yield (
            f"{slow} of {ran} processes ran while the reference kernel was over {SLOWER:.0%} slower than its median: "
            f"flagged in their records, not left out."
        )
    waiting = sum(not record.complete for record in records)
    if waiting:
        yield f"Cases with fewer processes than they ask for: {waiting}; `rnnbench run --resume` goes on with them."


def outcomes(panels: Sequence[Panel]) -> Iterator[str]:
    """How many cases are not ok."""
    statuses: Counter[str] = Counter()
    for panel in panels:
        statuses += panel.statuses
    bad = [f"{count} {status}" for status, count in statuses.most_common() if status != "ok"]
    if bad:
        yield f"{statuses.total() - statuses['ok']} of {statuses.total()} cases gave no numbers: {', '.join(bad)}."


KINDS = (
    *(learning, *LEARNING, gradients, nonfinite, fastest, crossings, growth),
    *(memory, *COSTS, modelled, edges, unverified, disturbed, outcomes),
)


def _numbers(series: Series, quantity: str) -> list[tuple[float, float]]:
    return [(float(length), entry.number) for length, entry in series.points(quantity) if entry.bound is None]


def _enough(points: Sequence[tuple[float, float]]) -> bool:
    return len(points) >= MIN_LENGTHS and points[-1][0] >= MIN_SPAN * points[0][0]


def _backend(series: Series) -> str:
    return str(series.axes["implementation"]).partition("/")[0]


def _words(quantity: str) -> str:
    words = units.words(quantity)
    return words[0].upper() + words[1:]


def _by_value(groups: Mapping[str, list[str]]) -> str:
    if len(groups) == 1 and len(next(iter(groups.values()))) > 2:
        ((value, names),) = groups.items()
        return f"{value} for all {len(names)} programs"
    return "; ".join(f"{value} for {listed(names)}" for value, names in sorted(groups.items()))
