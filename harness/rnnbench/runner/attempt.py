"""One process of a case on its way to a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rnnbench.case import Case
from rnnbench.executor import Request
from rnnbench.part import Part


@dataclass
class Attempt:
    """What is known so far.

    program: the case with the implementation that is tried. left: implementations to try where it is wrong. verified,
    looked_at: what its verification said. request: of its measurement, None where there is nothing to measure. part:
    what came of it. seconds: what they went into. notes: on what was passed over. details: how the program was chosen.
    kernels: see `Conditions`.
    """

    case: Case
    program: Case = field(init=False)
    left: tuple[str, ...] = ()
    verified: str = ""
    looked_at: Mapping[str, Any] = field(default_factory=dict)
    request: Request | None = None
    part: Part = field(default_factory=lambda: Part("skipped"))
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)
    kernels: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.program = self.case

    def pass_over(self) -> None:
        """The program is wrong, and there is another one to try."""
        self.notes.append(
            f"{self.case.implementation} passed over {self.program.implementation}, which is wrong: {self.part.reason}"
        )
