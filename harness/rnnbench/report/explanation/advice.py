"""What would make a number better: a sentence for each thing that stands in its way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnbench.quantity import Reading
from rnnbench.record import Record
from rnnbench.report.explanation.process import ProcessFacts
from rnnbench.report.series import WIDE

MIN_SAMPLES = 6
"""Fewer have no 95 % interval of their median."""
MAX_DISTURBED = 0.1
"""Share of disturbed samples up to which a median does not care."""
MAX_SLOWDOWN = 0.05
"""By how much the reference kernel may be slower than its median in the run."""
NARROW = 1.05
"""An interval whose ends are closer than this factor needs no advice."""


def advice(record: Record, reading: Reading | None, processes: Sequence[ProcessFacts]) -> list[str]:
    """The sentences, the most telling first; one that says so where nothing is to be done."""
    if reading is None:
        return ["the reason above says what to do"] if record.reason else []
    found = list(_advice(record, reading, processes))
    return found or ["nothing: the number is as good as it was asked for"]


def _advice(record: Record, reading: Reading, processes: Sequence[ProcessFacts]) -> Iterator[str]:
    probe = record.case.probe
    if record.verified in ("none", "self"):
        yield "give the cell a portable `step` or `linear`: then an oracle checks the program before it is timed"
    if reading.bound is not None:
        yield "raise the budget that ended the measurement (`max_steps`, `time_budget`, `search_seconds`)"
        return
    if reading.exact:
        return
    yield from _about_the_machine(processes)
    wide = _ratio(reading) > NARROW
    if 0 < sum(one.count for one in processes) < MIN_SAMPLES and reading.low is not None:
        yield f"fewer than {MIN_SAMPLES} samples: raise `probes.{probe}.budget`"
    elif wide and any(one.stopped == "budget" for one in processes):
        yield f"sampling ended with its budget: raise `probes.{probe}.budget`"
    if "processes" in record.case.settings:
        asked = record.asked
        if asked == 1:
            yield f"one process tells nothing of others: `--set probes.{probe}.processes=3`"
        elif wide and _differ(processes):
            yield (
                f"the processes differ by more than their samples: `--set probes.{probe}.processes={2 * asked + 1}` "
                "narrows the interval"
            )
    if _ratio(reading) > WIDE and record.case.threads is None and record.case.device == "cpu":
        yield "`threads: 1` takes away what threads that wait for each other add"


def _about_the_machine(processes: Sequence[ProcessFacts]) -> Iterator[str]:
    disturbed = [one.disturbed for one in processes if one.disturbed is not None]
    if disturbed and max(disturbed) > MAX_DISTURBED:
        yield (
            f"up to {max(disturbed):.0%} of the samples of a process were disturbed by other work: measure on a "
            "quieter machine, or leave cores free with `threads: 1`"
        )
    slow = [one.slowdown for one in processes if one.slowdown is not None]
    if slow and max(slow) > MAX_SLOWDOWN:
        yield (
            f"the machine was up to {max(slow):.0%} slower than usual meanwhile (reference kernel): measure again, or "
            "look at ratios inside the run"
        )
    stolen = [one.steal for one in processes if one.steal]
    if stolen:
        yield "the hypervisor gave time of this machine to others: use a host of your own for numbers to publish"


def _ratio(reading: Reading) -> float:
    """The ends of the interval, the larger over the smaller; 1 where there is none."""
    if reading.low is None or reading.high is None:
        return 1.0
    small, large = sorted((abs(reading.low), abs(reading.high)))
    return large / small if small else float("inf")


def _differ(processes: Sequence[ProcessFacts]) -> bool:
    """Whether the intervals of two processes have nothing in common."""
    ends = [(one.low, one.high) for one in processes if one.low is not None and one.high is not None]
    return bool(ends) and max(low for low, _ in ends) > min(high for _, high in ends)
