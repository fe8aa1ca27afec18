"""A class without portable mathematics is checked against itself: a broken law is `wrong`, in `run` as in `verify`."""

from __future__ import annotations

import pytest

from rnnbench.case import Case
from rnnbench.worker import perform

pytest.importorskip("torch")

PLUGIN = """
import numpy as np
from rnnbench import Cell, Implementation, hookimpl

FAULTS = ["none", "future", "rows", "forgetful", "detached", "rounded", "noisy"]

def init(rng, D, H):
    return {"W": rng.normal(0, D**-0.5, (H, D)), "U": rng.normal(0, H**-0.5, (H, H))}, np.zeros(H)

def build(cell, device, dtype):
    import torch
    fault = cell.name

    def unroll(params, h, xs):
        W, U = params["W"], params["U"]
        if fault == "future":
            xs = xs + 0.1 * xs.flip(0)
        if fault == "rows":
            xs = xs + 0.1 * xs.mean(1, keepdim=True)
        if fault == "forgetful":
            h = h * 0
        if fault == "rounded":
            U = U.bfloat16().to(xs.dtype) if xs.dtype == torch.float32 else U
        ys = []
        for x in xs:
            h = torch.tanh(x @ W.T + (h.detach() if fault == "detached" else h) @ U.T)
            if fault == "noisy":
                h = h + 0.01 * torch.randn_like(h)
            ys.append(h)
        return h, torch.stack(ys)

    return unroll

def supports(cell, device, dtype):
    return None if cell.name in FAULTS else "it runs its own cells"

@hookimpl
def rnnbench_cells():
    return [Cell(name, init) for name in FAULTS]

@hookimpl
def rnnbench_implementations():
    return [Implementation("own", "torch", supports, build)]
"""
WRONG = {
    "future": "causality: outputs before a changed input",
    "rows": "batch independence: outputs of untouched rows",
    "forgetful": "split law: outputs and state of two halves",
    "detached": "gradients against difference quotients",
    "rounded": "outputs against float64",
    "noisy": "the same call twice",
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("plugins") / "own.py"
    path.write_text(PLUGIN)
    return str(path)


def verdict(plugin: str, cell: str, kind: str, dtype: str = "float32"):
    case = Case("throughput", cell, "torch", "own", "cpu", dtype, 9, 3, 6, 4, settings={})
    return perform({"kind": kind, "case": case.to_json(), "plugins": [plugin]})


@pytest.mark.parametrize("kind", ["verify", "kit"])
def test_a_good_program_passes_in_every_dtype(plugin, kind):
    for dtype in ("float64", "float32", "bfloat16"):
        found = verdict(plugin, "none", kind, dtype)
        assert (found["status"], found["verified"]) == ("ok", "self"), found["reason"]


@pytest.mark.parametrize("fault, message", WRONG.items(), ids=WRONG)
def test_a_fault_is_wrong_before_a_run_as_in_the_kit(plugin, fault, message):
    import re

    for kind in ("verify", "kit"):
        found = verdict(plugin, fault, kind)
        assert found["status"] == "wrong", fault
        assert re.search(message, found["reason"]), found["reason"]
