"""Layers and cells of Keras become cells of the framework that Keras computes with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

if not find_spec("keras"):
    pytest.skip("keras is not installed", allow_module_level=True)

FILE = str(Path(__file__).parents[2] / "support/keras_classes.py")
ASKED = """
import json, sys
import numpy as np
from rnnbench_adapters import from_class
from rnnbench_adapters.study import perform

target = sys.argv[1]
found = perform({"target": target})
if found["problems"]:
    print(json.dumps(found["problems"]))
    raise SystemExit
cell = from_class(target)
params, state = cell.init(np.random.default_rng(0), 3, 4)
again, _ = cell.init(np.random.default_rng(0), 3, 4)
from rnnbench_adapters.outputs import outputs_of
xs = np.random.default_rng(1).standard_normal((6, 2, 3))
ys, _ = outputs_of(cell, state, xs)(params)
import keras
layer = getattr(keras.layers, target.rpartition(":")[2], None)
if layer is not None:
    layer = layer(4, return_sequences=True)
    layer.build((2, 6, 3))
    layer.set_weights([value.astype("float32") for value in params.values()])
    theirs = np.asarray(keras.ops.convert_to_numpy(layer(xs.swapaxes(0, 1).astype("float32")))).swapaxes(0, 1)
else:
    theirs = ys
print(json.dumps({
    "framework": cell.framework,
    "same": all(np.array_equal(params[name], again[name]) for name in params),
    "names": sorted(params),
    "whole": cell.unroll is not None,
    "error": float(np.abs(ys - theirs).max()),
    "options": dict(cell.options),
}))
"""


def ask(target: str, framework: str) -> dict:
    if not find_spec(framework):
        pytest.skip(f"{framework} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": framework}
    done = subprocess.run([sys.executable, "-c", ASKED, target], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("layer", "framework"), [("GRU", "torch"), ("GRU", "jax"), ("SimpleRNN", "torch")])
def test_a_layer_computes_what_keras_does(layer, framework):
    inner = {"GRU": "gru_cell", "SimpleRNN": "simple_rnn_cell"}[layer]
    found = ask(f"keras.layers:{layer}", framework)
    assert found["framework"] == framework
    assert found["same"] and found["whole"]
    assert found["names"] == [f"{inner}.bias", f"{inner}.kernel", f"{inner}.recurrent_kernel"]
    assert found["error"] < 1e-6


def test_a_cell_of_ones_own():
    found = ask(f"{FILE}:Leaky", "torch")
    assert found["names"] == ["dense.bias", "dense.kernel"]
    assert found["options"] == {"leak": 0.5}
    assert not found["whole"]


@pytest.mark.parametrize(
    "target, sentence",
    [
        (f"{FILE}:Stopped", "it has no gradient"),
        ("keras.layers:Dense", "neither a layer that descends from keras.layers.RNN nor a cell"),
    ],
)
def test_what_cannot_be_brought_says_why(target, sentence):
    [said] = ask(target, "torch").values()
    assert sentence in said
