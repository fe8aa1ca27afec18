"""What a program's verification is asked for, and under which key its verdict counts for other cases."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rnnbench.case import Case, digest
from rnnbench.model.bptt import bptt_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnbench.implementation import Implementation
    from rnnbench.probe import Probe

SHORT = 64
"""Steps over which a program is verified for probes that measure the portable step rather than an implementation of the
whole sequence: their loop over time is the harness's own, tested on closed forms."""


SEQUENCES, UNITS = 2, 8
"""Batch and hidden size at most, where an interpreter runs the kernels: it takes seconds for what a device does in a
millisecond."""


def beyond_block(implementation: Implementation) -> int:
    """Steps that fill one block of its kernel and a part of the next; 0 where it has no blocks."""
    block = implementation.block
    return block + block // 2 + 1 if block else 0


def small_case(case: Case, implementation: Implementation) -> Case:
    """The case on which a program is verified whose kernels are interpreted: longer than a block, small elsewhere.

    Where the cell has options, its hidden size stays: they may ask for it, as a number of heads does.
    """
    units = case.hidden_size if "(" in case.cell else min(case.hidden_size, UNITS)
    steps = beyond_block(implementation) or min(case.seq_len, SHORT)
    return replace(
        case, seq_len=steps, batch_size=min(case.batch_size, SEQUENCES), hidden_size=units, params=None, threads=None
    )


@dataclass(frozen=True)
class Verification:
    """key: equal for two cases exactly where one verdict serves both. family: equal for cases whose programs differ in
    length, dtype and threads alone, so that a look at a few steps in another dtype serves them all. options: of the job
    `verify`, beside the case.
    """

    key: str
    family: str
    options: Mapping[str, Any] = field(default_factory=dict)


def verification(case: Case, probe: Probe) -> Verification:
    """How the program of a case is verified: it depends on all that changes the program or what is asked of it.

    That is the task (which gives it a head), an embedding, the way back through time, micro-batches, and which passes
    are timed; not the settings of a clock or an optimiser.
    """
    settings = case.settings
    asked = [settings.get("task"), settings.get("embedding"), bptt_of(settings), settings.get("micro_batches", 1)]
    passes = sorted(settings.get("modes", ()))
    sizes = [case.batch_size, case.input_size, case.hidden_size, case.layers]
    program = [case.cell, case.backend, case.implementation, case.device, *sizes]
    family = digest([program, asked, case.seed])
    if "implementation" in probe.ignores:
        options = {"dtype": "float64", "seq_len": min(case.seq_len, SHORT)}
        return Verification(digest([program, options, asked, passes, case.seed]), family, options)
    decodes = case.probe == "decode"  # nothing of it is trained
    return Verification(digest([case.program_id, asked, passes, decodes, case.seed]), family)
