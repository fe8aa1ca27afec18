"""The torch backend: what it says without torch, and what its programs keep of the contract."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from rnnbench import Cell, Model, Optimizer, ProgramSpec, errors
from rnnbench.cell import leaves
from rnnbench.model import Weights, initialise
from rnnbench_cells import lstm, mingru
from rnnbench_torch import TorchBackend, associative_scan, devices, eager, native
from rnnbench_torch.ops import torch_ops
from rnnbench_torch.program import named_out_of_memory

T, B, D, H = 12, 3, 4, 5


def spec(cell: Cell = lstm, implementation=eager.implementation, **changes) -> ProgramSpec:
    model = Model(cell, D, H, layers=2, dropout=changes.pop("rate", 0.0))
    settings = {"device": "cpu", "dtype": "float64", "threads": 1, "seed": 3} | changes
    return ProgramSpec(model, initialise(model, 0), implementation, **settings)


def batch(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"xs": rng.standard_normal((T, B, D)), "targets": rng.standard_normal((T, B, H))}


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_parent_process_learns_everything_without_torch():
    code = """
import sys
import rnnbench_torch
from rnnbench_cells import FAMILIES
backend = rnnbench_torch.TorchBackend()
backend.missing(), backend.devices(), backend.versions(), backend.preferred("cpu")
for implementation in rnnbench_torch.rnnbench_implementations():
    for cell in FAMILIES["first"]:
        implementation.supports(cell, "cpu", "float32")
print("torch" in sys.modules)
"""
    assert fresh(code) == "False"


def test_preloading_starts_no_thread():
    """Beyond the one OpenBLAS starts for NumPy, which survives forks. A fork copies no other thread."""
    code = f"""
import importlib, os
import numpy
before = len(os.listdir("/proc/self/task"))
for module in {TorchBackend.preload!r}:
    importlib.import_module(module)
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert fresh(code) == "0"


def test_a_missing_framework_comes_with_its_remedy(monkeypatch):
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    backend = TorchBackend()
    assert 'pip install "rnnbench[torch]"' in (backend.missing() or "")
    assert set(backend.devices().values()) == {backend.missing()}


def test_devices_agree_with_torch():
    found = TorchBackend().devices()
    assert found["cpu"] is None
    assert (found["cuda"] is None) == torch.cuda.is_available()


@pytest.mark.parametrize("device", ["tpu", "cuda"])
def test_an_absent_device_is_skipped_with_a_reason(device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("CUDA is here")
    with pytest.raises(errors.Skipped, match=r"CUDA|'tpu'"):
        TorchBackend().build(spec(device=device))


def test_an_unknown_device_cannot_be_waited_for():
    with pytest.raises(ValueError, match="no way to wait for device 'abacus'"):
        devices.synchronizer("abacus")


def test_settings_are_those_in_force():
    settings = TorchBackend().build(spec(threads=1)).settings()
    assert settings["threads"] == 1
    assert settings["float32_matmul_precision"] == "highest"
    assert settings["tf32"] is False
    assert settings["flush_denormal"] is False
    torch.set_flush_denormal(True)
    try:
        assert devices.settings("cpu")["flush_denormal"] is True
    finally:
        torch.set_flush_denormal(False)


def test_threads_default_to_physical_cores():
    TorchBackend().build(spec(threads=None))
    assert torch.get_num_threads() == devices.physical_cores() >= 1


def test_put_and_get():
    prog = TorchBackend().build(spec(dtype="bfloat16"))
    arrays = {"xs": np.full((2, 2), 0.5), "labels": np.arange(3), "mask": np.array([True, False])}
    placed = prog.put(arrays)
    assert placed["xs"].dtype == torch.bfloat16
    assert placed["labels"].dtype == torch.int64
    assert placed["mask"].dtype == torch.bool
    assert prog.get(placed["xs"]).dtype == np.float32
    arrays["labels"][0] = 9
    assert prog.get(placed["labels"])[0] == 0


def test_training_steps_are_the_same_one_by_one_or_together():
    one, other = TorchBackend().build(spec()), TorchBackend().build(spec())
    batches = [one.put(batch(seed)) for seed in range(4)]
    losses = [float(one.train_step(b)) for b in batches]
    np.testing.assert_array_equal(other.get(other.train_steps(batches)), losses)
    for name, array in one.parameters().items():
        np.testing.assert_array_equal(array, other.parameters()[name])


def test_the_loss_is_the_one_before_the_step_and_training_lowers_it():
    prog = TorchBackend().build(spec(optimizer=Optimizer("adam", lr=0.01)))
    placed = prog.put(batch())
    before = prog.evaluate(placed)["loss"]
    assert float(prog.train_step(placed)) == pytest.approx(before, rel=1e-12)
    prog.train_steps([placed] * 20)
    assert prog.evaluate(placed)["loss"] < 0.9 * before


def test_one_sgd_step_is_one_step_down_the_gradient():
    prog = TorchBackend().build(spec(optimizer=Optimizer("sgd", lr=0.1)))
    placed, start = prog.put(batch()), prog.parameters()
    _, gradients, _ = prog.loss_and_gradients(placed)
    prog.train_step(placed)
    for name, array in prog.parameters().items():
        np.testing.assert_allclose(array, start[name] - 0.1 * prog.get(gradients[name]), rtol=1e-12)


def test_a_parameter_without_influence_has_gradient_zero():
    def init(rng, D, H):
        return {"used": np.ones((H, D)), "unused": np.ones(H)}, np.zeros(H)

    cell = Cell("lazy", init, lambda ops, params, h, z: (h, z @ params["used"].T + h))
    prog = TorchBackend().build(spec(cell))
    _, gradients, _ = prog.loss_and_gradients(prog.put(batch()))
    assert not prog.get(gradients["layers.0.unused"]).any()


def test_metric():
    prog = TorchBackend().build(spec(metric=lambda ops, outputs, batch: ops.max(ops.abs(outputs))))
    found = prog.evaluate(prog.put(batch()))
    assert set(found) == {"loss", "metric"}
    assert 0 < found["metric"] < 1


@pytest.mark.parametrize("implementation", [eager, native])
def test_same_seed_same_numbers(implementation):
    """Also with dropout, also when two programs take turns."""
    one, other = (TorchBackend().build(spec(implementation=implementation.implementation, rate=0.5)) for _ in range(2))
    placed = one.put(batch())
    torch.manual_seed(0)
    losses = [(float(one.train_step(placed)), float(other.train_step(placed))) for _ in range(5)]
    assert all(a == b for a, b in losses)
    different = TorchBackend().build(spec(implementation=implementation.implementation, rate=0.5, seed=4))
    assert float(different.train_step(placed)) != losses[0][0]


def test_dropout_acts_in_training_only_and_keeps_the_mean():
    prog = TorchBackend().build(spec(rate=0.5))
    placed = prog.put(batch())
    assert prog.evaluate(placed) == prog.evaluate(placed)
    assert float(prog.loss_and_gradients(placed)[0]) == pytest.approx(prog.evaluate(placed)["loss"], rel=1e-12)
    assert float(prog.train_step(placed)) != prog.evaluate(placed)["loss"]
    dropout = prog._dropout
    assert dropout is not None
    dropped = dropout(torch.ones(100_000))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_forward_keeps_no_gradients():
    prog = TorchBackend().build(spec(mingru, associative_scan.implementation))
    states, outputs = prog.forward(prog.put(batch())["xs"])
    assert not outputs.requires_grad
    assert not any(leaf.requires_grad for state in states for leaf in leaves(state))


def test_nothing_is_compiled():
    prog = TorchBackend().build(spec())
    prog.train_step(prog.put(batch()))
    assert prog.compilations() == 0


def test_peak_memory_sees_a_large_array_and_forgets_it():
    size = 1 << 28

    def step(ops, params, h, z):
        big = torch.ones(size // 8, dtype=torch.float64)
        return h + 0 * big.sum(), h

    cell = Cell("hungry", lambda rng, D, H: ({"w": np.ones(H)}, np.zeros(H)), step)
    model = Model(cell, D, H)
    prog = TorchBackend().build(
        ProgramSpec(model, Weights({"layers.0.w": np.ones(H)}, (np.zeros(H),)), eager.implementation, "cpu", "float64")
    )
    xs = prog.put(batch())["xs"]
    assert prog.memory_kind == "process"
    prog.reset_peak_memory()
    prog.forward(xs)
    assert prog.peak_memory() == pytest.approx(size, rel=0.2)
    prog.reset_peak_memory()
    assert prog.peak_memory() < size / 10


def test_lack_of_memory_is_named():
    with pytest.raises(errors.OutOfMemory, match="out of memory on cpu; use a smaller"), named_out_of_memory("cpu"):
        torch.empty(1 << 60)
    with pytest.raises(RuntimeError, match="something else"), named_out_of_memory("cpu"):
        raise RuntimeError("something else")


def test_activations_are_stable_far_out():
    from rnnbench.ops import ACTIVATIONS, numpy_ops

    numpy, ours = numpy_ops(), torch_ops()
    x = np.array([-800.0, -40.0, -20.0, -1.0, 0.0, 1.0, 20.0, 30.0, 50.0, 800.0])
    for name in ACTIVATIONS:
        axis = (0,) if name == "logsumexp" else ()
        found = getattr(ours, name)(torch.tensor(x), *axis)
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(found, getattr(numpy, name)(x, *axis), rtol=1e-14, atol=1e-300, err_msg=name)


@pytest.mark.gpu
def test_on_cuda_memory_is_the_allocators_and_native_weights_are_one_buffer():
    reason = TorchBackend().devices()["cuda"]
    if reason is not None:
        pytest.skip(reason)
    prog = TorchBackend().build(spec(implementation=native.implementation, device="cuda", dtype="float32"))
    placed = prog.put(batch())
    assert prog.memory_kind == "allocator"
    first = [param for name, param in prog._params.items() if name.startswith("layers.0.")]
    assert len({param.untyped_storage().data_ptr() for param in first}) == 1
    prog.reset_peak_memory()
    prog.train_step(placed)
    assert prog.peak_memory() > 0
    assert prog.settings()["cudnn"] > 0
