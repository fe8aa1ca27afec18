"""The identities of a cell, on a program of each: what `rnnbench verify` asks beside the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from rnnbench.context import Context
from rnnbench.model import Weights, layer_params
from rnnbench.ops import EPS
from rnnbench.reduction import Reduction
from rnnbench.registry import Registry, spelling
from rnnbench.worker.resolve import resolve
from rnnbench.worker.verification.check import Check
from rnnbench.worker.verification.comparison import SLACK, forward
from rnnbench.worker.verification.truth import Truth


def run_reductions(context: Context, registry: Registry) -> dict[str, Any]:
    """Each identity of the case's cell as a check, on the case's implementation."""
    checks = [_check(context, reduction, registry) for reduction in context.cell.reductions]
    failed = [check.sentence() for check in checks if not check.passed]
    found = {"checks": [asdict(check) | {"passed": check.passed} for check in checks]}
    return found | ({"status": "wrong", "reason": "; ".join(failed)} if failed else {})


def pair(context: Context, reduction: Reduction, registry: Registry) -> tuple[Context, Weights, Context, Weights]:
    """(the cell's case, its weights, the other cell's case, its weights) of an identity."""
    case = context.case
    own = resolve(replace(case, cell=spelling.spell(context.cell.name, reduction.options)), registry)
    other = resolve(replace(case, cell=reduction.to), registry)
    drawn, mine = other.weights(), own.weights()
    theirs, ours = dict(drawn.params), dict(mine.params)
    for layer in range(case.layers):
        special = reduction.special(layer_params(drawn.params, layer))
        theirs |= _named(layer, special)
        ours |= _named(layer, reduction.weights(special))
    return own, Weights(ours, mine.states, mine.frozen), other, Weights(theirs, drawn.states, drawn.frozen)


def _named(layer: int, params: Mapping[str, Any]) -> dict[str, Any]:
    return {f"layers.{layer}.{name}": np.asarray(array, float) for name, array in params.items()}


def _check(context: Context, reduction: Reduction, registry: Registry) -> Check:
    own, ours, other, theirs = pair(context, reduction, registry)
    xs, eps = context.inputs("verification"), EPS[context.case.dtype]
    (got, _), (wanted, _) = forward(own.program(ours), xs), forward(other.program(theirs), xs)
    size = float(np.abs(wanted).max(initial=1e-3))
    noises = [Truth(one.model, weights, xs, np.empty(0)) for one, weights in ((own, ours), (other, theirs))]
    natural = max(float(truth.natural(context.case.dtype).max()) for truth in noises)
    name = f"{spelling.spell(context.cell.name, reduction.options)} as {reduction.to} ({reduction.why})"
    return Check(name, float(np.abs(got - wanted).max()), SLACK * (natural + eps * size), size)
