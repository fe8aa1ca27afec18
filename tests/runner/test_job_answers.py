"""What a job answers is looked at before it is believed: code of a plugin has run in the process that answers."""

from __future__ import annotations

from typing import Any

import pytest

from rnnbench.executor import Outcome
from rnnbench.runner.answers import understood
from rnnbench.worker.conformance import parity

VERIFIED = {"status": "ok", "reason": "", "verified": "oracle", "looked_at": {"steps": 9, "notes": ["a"]}, "seconds": 1}
KIT = {"status": "ok", "reason": "", "verified": "oracle", "checks": [{"name": "a"}], "outputs": [[[1.0, 2.0]]]}
REDUCTIONS = {"status": "wrong", "reason": "off by 2", "checks": [{"name": "a"}]}


@pytest.mark.parametrize("kind, answer", [("verify", VERIFIED), ("kit", KIT), ("reductions", REDUCTIONS)])
def test_what_the_worker_answers_is_believed(kind: str, answer: dict[str, Any]) -> None:
    outcome = Outcome("ok", answer)
    assert understood(outcome, kind) is outcome


@pytest.mark.parametrize(
    "kind, answer",
    [
        ("verify", {}),
        ("verify", VERIFIED | {"status": 5}),
        ("verify", VERIFIED | {"status": "perfect"}),
        ("verify", VERIFIED | {"verified": None}),
        ("verify", VERIFIED | {"looked_at": 5}),
        ("verify", VERIFIED | {"looked_at": {"notes": 5}}),
        ("verify", VERIFIED | {"seconds": float("nan")}),
        ("verify", VERIFIED | {"seconds": -1.0}),
        ("verify", VERIFIED | {"seconds": True}),
        ("kit", {"status": "ok", "reason": ""}),
        ("kit", KIT | {"checks": [1]}),
        ("kit", KIT | {"outputs": [[[1.0], [1.0, 2.0]]]}),
        ("kit", KIT | {"outputs": [["x"]]}),
        ("kit", KIT | {"outputs": 10**400}),
        ("reductions", {"status": "ok", "reason": ""}),
        ("measure", {"status": "ok", "reason": ""}),
        ("measure", {"status": "ok", "reason": "", "values": 5}),
    ],
)
def test_anything_else_is_a_crash_with_a_sentence(kind: str, answer: dict[str, Any]) -> None:
    found = understood(Outcome("ok", answer), kind)
    assert (found.status, found.result) == ("crashed", {})
    assert found.reason.startswith("its answer is none of rnnbench's worker (")


def test_outputs_of_another_shape_are_not_equal() -> None:
    [check] = parity({"a": [[[1.0, 2.0]]], "b": [[[1.0]]]}, "float32")
    assert not check.passed
    assert "inf" in check.sentence()
