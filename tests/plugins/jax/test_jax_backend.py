"""The backend seen from the parent process, which must never import jax."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jax_programs import BACKEND, IMPLEMENTATIONS, matrix, program
from rnnbench.errors import Skipped
from rnnbench_jax import backend as backend_module


def in_fresh_process(code: str) -> dict:
    """What `code` prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=Path(__file__).parents[2] / "support",
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_but_build_imports_jax():
    code = """
import json, sys
import rnnbench_jax
from rnnbench_cells import gru
[backend] = rnnbench_jax.rnnbench_backends()
backend.missing(), backend.versions(), backend.devices(), backend.preferred("cpu")
[i.supports(gru, "cuda", "float32") for i in rnnbench_jax.rnnbench_implementations()]
print(json.dumps(sorted({"jax", "jaxlib", "optax"} & set(sys.modules))))
"""
    assert in_fresh_process(code) == []


def test_what_is_preferred_exists_and_a_loop_comes_first_on_a_cpu():
    for device in BACKEND.devices():
        assert set(BACKEND.preferred(device)) == set(IMPLEMENTATIONS) - {"pallas", "cudnn"}  # timed on no device so far
    portable = {
        device: [name for name in BACKEND.preferred(device) if name != "module"] for device in BACKEND.devices()
    }
    assert portable["cpu"][0] == "scan", "`module` serves classes of libraries alone"
    assert portable["cuda"][0] == portable["tpu"][0] == "associative_scan"
    assert [impl.name for impl in IMPLEMENTATIONS.values() if impl.stepwise] == ["scan"]


def test_an_absent_framework_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(backend_module, "REQUIRED", ("numpy", "no-such-package"))
    assert BACKEND.missing() == 'no-such-package not installed: pip install "rnnbench[jax]"'
    assert BACKEND.versions() == {"numpy": np.__version__}
    with pytest.raises(Skipped, match="no-such-package not installed"):
        program(matrix(np.eye(2)))


def test_an_absent_device_is_a_sentence_and_a_skip():
    reasons = r"jax has no|no NVIDIA driver|hides every GPU|no TPU is attached|compiling for a chip"
    devices = BACKEND.devices()
    assert list(devices) == ["cpu", "cuda", "tpu", "cuda:a100", "cuda:h100", "tpu:v4", "tpu:v5e", "tpu:v5p", "tpu:v6e"]
    assert devices["cpu"] is None
    for name, reason in devices.items():
        if reason is not None:
            with pytest.raises(Skipped, match=reasons):
                program(matrix(np.eye(2)), device=name)


def test_an_unknown_device_names_the_known_ones():
    with pytest.raises(Skipped, match="knows no device 'npu'; it knows cpu, cuda, tpu"):
        program(matrix(np.eye(2)), device="npu")


# --- with jax -----------------------------------------------------------------------------------------------------


def test_preloading_starts_no_thread_and_no_client_and_a_fork_computes():
    pytest.importorskip("jax")
    code = """
import importlib, json, os
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's own threads are not ours
import rnnbench_jax
for module in rnnbench_jax.JaxBackend.preload:
    importlib.import_module(module)
from jax._src import xla_bridge
found = {"threads": len(os.listdir("/proc/self/task")), "clients": len(xla_bridge._backends)}
pid = os.fork()
if pid == 0:
    import jax.numpy as jnp
    os._exit(int(jnp.ones((4, 4)).sum()))
found["exit"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps(found))
"""
    assert in_fresh_process(code) == {"threads": 1, "clients": 0, "exit": 16}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs CPU affinity, so Linux")
def test_the_pool_has_as_many_threads_as_asked_for_and_the_process_keeps_its_cpus():
    pytest.importorskip("jax")
    code = """
import json, os
import numpy as np
from jax_programs import matrix, program
before = os.sched_getaffinity(0)
prog = program(matrix(np.eye(2)), threads=1, sizes=(2, 2, None))[2]
after = [os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")]
print(json.dumps({"threads": prog.settings()["threads"], "unchanged": all(cpus == before for cpus in after)}))
"""
    assert in_fresh_process(code) == {"threads": 1, "unchanged": True}


ON_DEVICE = """
import json
import numpy as np
from jax_programs import IMPLEMENTATIONS, O, T, B, inputs, program
from rnnbench.model import oracle
from rnnbench_cells import gru, lru
device = "{device}"
worst = 0.0
for cell, name in ((gru, "scan"), (lru, "scan"), (lru, "associative_scan")):
    model, weights, prog = program(cell, name, "float32", device=device, layers=2)
    placed = prog.put(dict(xs=inputs(), cotangent=np.ones((T, B, O))))
    prog.reset_peak_memory()
    outputs = prog.forward(placed["xs"])[1]
    worst = max(worst, float(np.abs(prog.get(outputs) - oracle.forward(model, weights, inputs())[1]).max()))
    losses = prog.get(prog.train_steps([placed] * 3))
platforms = sorted(each.platform for each in outputs.devices())
found = dict(worst=worst, finite=bool(np.isfinite(losses).all()), kind=prog.memory_kind, peak=prog.peak_memory() > 0)
print(json.dumps(dict(found, platforms=platforms)))
"""


def needs(name: str):
    reason = BACKEND.missing() or BACKEND.devices()[name]
    return pytest.mark.skipif(reason is not None, reason=str(reason))


@pytest.mark.parametrize(
    ("device", "platform"),
    [
        pytest.param("cuda", "gpu", marks=[pytest.mark.gpu, needs("cuda")]),
        pytest.param("tpu", "tpu", marks=[pytest.mark.tpu, needs("tpu")]),
    ],
)
def test_on_an_accelerator_float32_means_float32(device, platform):
    """TF32 and bfloat16 products would be off by 1e-3. A process of its own: jax starts its platforms once."""
    found = in_fresh_process(ON_DEVICE.replace("{device}", device))
    assert found.pop("worst") < 1e-4
    assert found == {"finite": True, "kind": "allocator", "peak": True, "platforms": [platform]}
