"""Optimisers that are not what they say are found by the kit, whatever the gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnbench import OPTIMIZERS
from rnnbench.case import Case
from rnnbench.registry import load
from rnnbench.worker import optimisation
from rnnbench.worker.conformance import _any, kit_case, run_kit
from rnnbench.worker.resolve import resolve

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def context():
    case = Case("verify", "rnn", "torch", "eager", "cpu", "float64", 5, 2, 3, 2, threads=1)
    return resolve(case, load())


def checked(context) -> dict[str, bool]:
    found = optimisation.checks(context, context.inputs("verification"))
    return {check.name.split()[3]: check.passed for check in found}


def test_the_shipped_optimisers_are_their_closed_forms(context):
    assert checked(context) == dict.fromkeys(OPTIMIZERS, True)


FAULTS = {
    "decay is left out": ("sgd", {"weight_decay": 0.0}),
    "decay is not decoupled": ("adamw", {"name": "adam"}),
    "momentum of another size": ("momentum", {"momentum": 0.8}),
    "no clip": ("rmsprop", {"clip": None}),
    "another rate": ("adam", {"lr": 0.0101}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_that_is_not_is_found(context, monkeypatch, fault):
    from rnnbench_torch import program

    name, change = FAULTS[fault]
    build = program.optimizers.build
    monkeypatch.setattr(
        program.optimizers,
        "build",
        lambda optimizer, params: build(replace(optimizer, **(change if optimizer.name == name else {})), params),
    )
    passed = checked(context)
    assert not passed.pop(name)
    assert all(passed.values())


def moved(context) -> dict[str, bool]:
    checks = optimisation.moves(replace(context, cell=_any(), cell_options={}), context.inputs("verification"))
    return {check.name.removeprefix("a step of "): check.passed for check in checks}


def test_the_shipped_optimisers_move_weights_of_every_dtype(context):
    dtypes = ["float32", "bfloat16", "float16"]
    assert moved(context) == {f"{name} in {dtype}": True for dtype in dtypes for name in OPTIMIZERS}


def test_optimisers_of_half_precision_that_are_left_to_the_framework_are_found(context, monkeypatch):
    """torch's SGD, fused, moves no such weight on a CPU; an eps of 1e-8 is 0 in float16, and Adam divides by it."""
    import torch

    from rnnbench_torch import program

    def build(optimizer, params):
        if optimizer.name == "sgd" and params[0].dtype.itemsize < 4:
            return lambda gradients: None
        if optimizer.name == "adam" and params[0].dtype == torch.float16:
            return lambda gradients: [param.data.mul_(float("nan")) for param in params]
        return shipped(optimizer, params)

    shipped = program.optimizers.build
    monkeypatch.setattr(program.optimizers, "build", build)
    failed = {name for name, passed in moved(context).items() if not passed}
    assert failed == {"sgd in bfloat16", "sgd in float16", "adam in float16"}


@pytest.mark.parametrize("implementation, asked", [("eager", True), ("native", False)])
def test_the_kit_asks_once_for_a_backend(implementation, asked):
    found = run_kit(resolve(replace(kit_case("rnn", "torch", implementation, "cpu", "float64"), threads=1), load()))
    names = [check["name"] for check in found["checks"] if "closed form" in check["name"]]
    assert len(names) == (len(OPTIMIZERS) if asked else 0)
    assert found.get("status") is None
