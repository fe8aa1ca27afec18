"""Settings in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Optional

import pytest
from annotated_types import Ge, Gt, Lt

from rnnbench.suite.reference import meanings, type_text

WRITTEN = {
    "whole number ≥ 1": Annotated[int, Ge(1)],
    "number ≥ 0 and < 1": Annotated[float, Ge(0), Lt(1)],
    "number > 0 or null": Optional[Annotated[float, Gt(0)]],  # noqa: UP045
    "adam | sgd": Literal["adam", "sgd"],
    "list of whole number ≥ 1": tuple[Annotated[int, Ge(1)], ...],
    "list of text": list[str],
    "true or false": bool,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_types_are_written_as_a_suite_has_them(text: str) -> None:
    assert type_text(WRITTEN[text]) == text


def test_a_docstring_says_what_each_setting_means() -> None:
    @dataclass
    class Settings:
        """modes: which passes: both, or one. lr, clip: see there; budget: seconds
        of sampling. Text about no setting: left to the one before.
        """

    assert meanings(Settings.__doc__ or "", ["modes", "lr", "clip", "budget", "none"]) == {
        "modes": "Which passes: both, or one.",
        "lr": "See there",
        "clip": "See there",
        "budget": "Seconds of sampling. Text about no setting: left to the one before.",
    }
