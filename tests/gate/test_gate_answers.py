"""A revision's plan is looked at before it is believed: its code has run in the process that answers."""

from __future__ import annotations

from typing import Any

import pytest

from rnnbench.gate.answers import check_plan
from rnnbench.records import Malformed

CASE = {
    "probe": "nap",
    "cell": "one",
    "backend": "plain",
    "implementation": "auto",
    "device": "cpu",
    "dtype": "float32",
    "seq_len": 4,
    "batch_size": 1,
    "hidden_size": 2,
    "input_size": 1,
}
ENTRY = {"case": CASE, "names": ["plain"], "reason": "", "verify": {}, "program": "x", "memory": False}
PLAN = {
    "foreign": [],
    "name": "naps",
    "hash": "0",
    "timeout": 60.0,
    "entries": [ENTRY],
    "plugins": ["/a.py"],
    "preload": {"plain": []},
    "versions": {},
    "quantities": ["nap.loss"],
    "folder": "/",
    "data": [],
    "broken": [],
    "rnnbench": "/x",
    "python": "CPython 3.11.7",
    "packages": {"numpy": "2.0"},
}
PROBLEM = {"foreign": [{"module": "a", "file": "/b"}], "problem": "no such cell", "stage": "plan"}


@pytest.mark.parametrize("answer", [PLAN, PROBLEM])
def test_what_the_gate_asked_for_is_believed(answer: dict[str, Any]) -> None:
    check_plan(answer)


@pytest.mark.parametrize(
    "answer, where",
    [
        ({}, "foreign: field required"),
        (PLAN | {"entries": [ENTRY | {"case": CASE | {"seq_len": "4"}}]}, "entries.0.case.seq_len"),
        (PLAN | {"entries": 5}, "entries"),
        (PLAN | {"preload": {"plain": 5}}, "preload.plain"),
        (PLAN | {"timeout": None}, "timeout"),
        (PROBLEM | {"stage": "later"}, "stage"),
        (PROBLEM | {"problem": 5}, "problem"),
        (PROBLEM | {"foreign": [5]}, "foreign.0"),
    ],
)
def test_anything_else_is_refused_with_its_place(answer: dict[str, Any], where: str) -> None:
    with pytest.raises(Malformed, match=where):
        check_plan(answer)
