"""Whether the machine was slow is known when all of a run is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnbench.case import Case
from rnnbench.part import Conditions, Part, Reference
from rnnbench.record import Record
from rnnbench.records import merge
from rnnbench.store.judging import judged

CASE = Case("p", "lstm", "torch", "auto", "cpu", "float32", 64, 16, 128, 32, settings={"processes": 3})


def ran(*kernels: float, environment: str = "here") -> Record:
    """A record of processes beside which the reference kernel took so long; each was judged by itself."""
    parts = [
        Part("ok", conditions=Conditions(0.0, 1.0, {}, Reference(one, one, 0.0)), environment=environment)
        for one in kernels
    ]
    return merge(CASE, parts)


def slowdowns(found: Record) -> list[tuple[float, int]]:
    return [
        (one.conditions.reference.slowdown, one.conditions.contaminated)
        for one in found.parts
        if one.conditions and one.conditions.reference
    ]


def test_a_machine_that_is_slow_from_the_start_is_found_out():
    first, second = judged([ran(0.015, 0.0101), ran(0.0099, 0.01)])
    [(slowdown, contaminated), *calm] = slowdowns(first)
    assert slowdown == pytest.approx(0.015 / 0.01005 - 1) and contaminated == 1
    assert first.conditions is not None and first.conditions.contaminated == 1
    assert [contaminated for _, contaminated in [*calm, *slowdowns(second)]] == [0, 0, 0]


def test_each_machine_has_its_own_median():
    fast, slow = ran(0.01, 0.01, 0.01), ran(0.02, 0.02, environment="there")
    assert [slowdowns(one) for one in judged([fast, slow])] == [[(0.0, 0)] * 3, [(0.0, 0)] * 2]


def test_what_was_not_watched_is_left_alone():
    [part] = ran(0.01).parts
    bare = merge(CASE, [replace(part, conditions=None)])
    assert judged([bare]) == [bare]
