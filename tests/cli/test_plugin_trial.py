"""A plugin is imported and tried in a process of its own first: it can neither end the command nor change it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnnbench.cli import cli, plugins
from rnnbench.errors import PluginError
from rnnbench.worker import trial

CELL = """
import numpy as np
from rnnbench import Cell, Implementation, hookimpl

def init(rng, D, H):
    return {"W": rng.normal(size=(H, D))}, np.zeros(H)

def step(ops, p, h, z):
    return h, ops.tanh(z @ p["W"].T)

@hookimpl
def rnnbench_cells():
    return [Cell("tried", init, step)]
"""
SUPPORTS = """
@hookimpl
def rnnbench_implementations():
    return [Implementation("tried", "torch", lambda cell, device, dtype: %s, lambda cell, device, dtype: None)]
"""
HARMFUL = {
    "exit": ("import os\nos._exit(0)\n", r"ended the process: called os._exit\(0\)"),
    "segfault": ("import ctypes\nctypes.string_at(0)\n", "ended the process: killed by SIGSEGV"),
    "base exception": ("class Stop(BaseException): pass\nraise Stop('now')\n", r"Stop: now \(mine.py:2\)"),
    "alarm": (f"import signal\nsignal.alarm(30)\n{CELL}", "it changes a timer or alarm while it is imported"),
    "folder": (f"import os\nos.chdir('/')\n{CELL}", "it changes the folder the process works in"),
    "limit": (
        f"import resource as r\nr.setrlimit(r.RLIMIT_NOFILE, (99, r.getrlimit(r.RLIMIT_NOFILE)[1]))\n{CELL}",
        "it changes the limit RLIMIT_NOFILE",
    ),
    "recursion": (f"import sys\nsys.setrecursionlimit(900)\n{CELL}", "it changes the recursion limit"),
    "descriptor": (f"import os\nos.close(1)\n{CELL}", "it changes standard input, output or error"),
    "thread": (
        f"import threading, time\nthreading.Thread(target=time.sleep, args=[60], daemon=True).start()\n{CELL}",
        "it changes the threads that run while it is imported",
    ),
    "fork": (f"import os\nos.fork()\n{CELL}", "it changes the processes that run"),
    "cleared environment": (f"import os\nos.environ.clear()\n{CELL}", "it changes [A-Z_]+ in the environment"),
    "variable": (f"import os\nos.environ['JAX_DISABLE_JIT'] = '1'\n{CELL}", "JAX_DISABLE_JIT in the environment"),
    "umask": (f"import os\nos.umask(0o777)\n{CELL}", "it changes the umask"),
    "priority": (f"import os\nos.nice(3)\n{CELL}", "it changes its priority"),
    "trace": (f"import sys\nsys.setprofile(lambda *_: None)\n{CELL}", "it changes what traces it"),
    "collector": (f"import gc\ngc.disable()\n{CELL}", "it changes the garbage collector"),
    "numpy": (f"import numpy as np\nnp.seterr(all='raise')\n{CELL}", "it changes what NumPy does with errors"),
    "dtype": (f"import torch\ntorch.set_default_dtype(torch.float64)\n{CELL}", "it changes torch's default dtype"),
    "precision": (
        f"import torch\ntorch.set_float32_matmul_precision('medium')\n{CELL}",
        "it changes torch's precision of products",
    ),
    "wrong step": (CELL.replace("return h, ops", "return ops"), r"`step` \(mine.py:8\) returned one array of shape"),
    "supports says true": (CELL + SUPPORTS % True, r"`supports` \(mine.py:17\) returned True; return None for a cell"),
    "supports raises": (CELL + SUPPORTS % "1 / 0", "`supports` raised ZeroDivisionError.*return None for a cell"),
}


FRAMEWORKS = {
    "torch.set_grad_enabled(False)": "whether torch records gradients",
    "torch.set_default_device('meta')": "torch's default device",
    "torch.use_deterministic_algorithms(True)": "torch's deterministic algorithms",
    "torch.autograd.set_detect_anomaly(True)": "torch's detection of anomalies",
    "torch.set_flush_denormal(True)": "whether denormal numbers are kept",
    "torch.backends.mkldnn.enabled = False": "whether torch uses oneDNN",
    "jax.config.update('jax_enable_x64', True)": "jax_enable_x64 of jax",
    "jax.config.update('jax_default_matmul_precision', 'bfloat16')": "jax_default_matmul_precision of jax",
    "jax.config.update('jax_debug_nans', True)": "jax_debug_nans of jax",
    "jax.config.update('jax_disable_jit', True)": "jax_disable_jit of jax",
    "jax.config.update('jax_default_prng_impl', 'rbg')": "jax_default_prng_impl of jax",
}


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_each_setting_of_a_framework_is_noticed_and_what_it_begins_with_is_no_change(framework):
    """In one process a framework: its import takes seconds."""
    lines = {line: what for line, what in FRAMEWORKS.items() if line.startswith(framework)}
    script = (
        "import json, os, sys\nfrom rnnbench.worker.trial import _frameworks\nbefore, found = _frameworks(), {}\n"
        f"import {framework}\n"
        "for line in [''] + json.loads(sys.argv[1]):\n"
        "    read, write = os.pipe()\n"
        "    if os.fork() == 0:\n"
        "        exec(line)\n"
        "        after = _frameworks()\n"
        "        os.write(write, json.dumps([what for what in before if before[what] != after[what]]).encode())\n"
        "        os._exit(0)\n"
        "    found[line] = json.loads(os.read(read, 9999))\n"
        "print(json.dumps(found))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    command = [sys.executable, "-W", "ignore", "-c", script, json.dumps(list(lines))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout) == {"": []} | {line: [what] for line, what in lines.items()}


def test_what_the_users_environment_sets_for_jax_is_no_plugins(monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    assert "jax_enable_x64 of jax" not in trial._frameworks()


@pytest.mark.parametrize("text, message", HARMFUL.values(), ids=HARMFUL.keys())
def test_a_harmful_file_is_refused_before_it_is_imported(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(PluginError, match=message):
        plugins.load_plugins([tmp_path / "mine.py"])


def test_a_file_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "IMPORT_SECONDS", 1.0)
    (tmp_path / "mine.py").write_text("while True: pass\n")
    with pytest.raises(
        PluginError, match=r"did not finish within 1 s in <module> \(mine.py:1\) of importing and trying it"
    ):
        plugins.load_plugins([tmp_path / "mine.py"])


AGAIN = {
    "hangs": ("import time; time.sleep(600)", r"(?s)importing .*mine.py again, .* did not end within 1 s"),
    "changes": ("import os; os.umask(0o123)", r"(?s)one of .*mine.py: the second time, it changes the umask"),
    "leaves": ("raise SystemExit(0)", r"SystemExit: 0 \(mine.py:"),
}


@pytest.mark.parametrize("act, message", AGAIN.values(), ids=AGAIN.keys())
def test_a_file_that_does_otherwise_at_a_second_time_is_refused(tmp_path, monkeypatch, act, message):
    monkeypatch.setattr(plugins, "IMPORT_SECONDS", 1.0)
    monkeypatch.setattr(plugins, "_tried", lambda jobs: {})  # that it went well there
    (tmp_path / "mine.py").write_text(f"{act}\n{CELL}")
    before = os.umask(0o22)
    try:
        with pytest.raises(PluginError, match=message):
            plugins.load_plugins([tmp_path / "mine.py"])
    finally:
        os.umask(before)


LATE = """
import atexit, os, sys, threading, time
{}
sys.argv = ["rnnbench", "schema"]
from rnnbench import cli
cli.PATIENCE = 0.5
cli.main()
"""


@pytest.mark.parametrize(
    "act, code, said",
    [
        ("atexit.register(print, 'bye')", 0, "bye"),
        ("atexit.register(lambda: os.write(1, b'bye'))", 0, "bye"),
        ("atexit.register(lambda: os._exit(0))", 2, "code of a plugin ended the command: it called os._exit(0)"),
        ("threading.Thread(target=time.sleep, args=[600], name='mine').start()", 0, "did not end were left: mine"),
    ],
)
def test_what_runs_after_the_command_neither_holds_it_up_nor_adds_to_its_data(act, code, said):
    command = [sys.executable, "-c", LATE.format(act)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)
    assert said in done.stderr


def test_every_broken_file_is_told_at_once(tmp_path):
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for file in files:
        file.write_text("import os\nos._exit(0)\n")
    with pytest.raises(PluginError, match=r"(?s)plugin .*one.py: .*\nplugin .*two.py: "):
        plugins.load_plugins(files)


def test_a_good_file_is_loaded_and_what_it_prints_is_no_data(tmp_path):
    (tmp_path / "mine.py").write_text(f"print('hello')\n{CELL}")
    result = CliRunner().invoke(cli, ["list", "cells", "--json", "--plugin", str(tmp_path / "mine.py")])
    assert result.exit_code == 0
    assert "hello" not in result.stdout
    assert '"tried"' in result.stdout


def test_a_file_may_add_variables_of_its_own_and_lengthen_a_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/bin")
    (tmp_path / "mine.py").write_text(f"import os\nos.environ['MINE'] = '1'\nos.environ['PATH'] += ':/x'\n{CELL}")
    assert "tried" in plugins.load_plugins([tmp_path / "mine.py"]).cells


def test_run_refuses_before_it_makes_a_folder(tmp_path: Path):
    (tmp_path / "mine.py").write_text("import os\nos._exit(0)\n")
    suite = tmp_path / "s.yaml"
    suite.write_text("name: s\nplugins: [mine.py]\ngrid: {cell: gru, seq_len: 4}\nprobes: {throughput: {}}\n")
    with pytest.raises(PluginError, match=r"os\._exit"):
        CliRunner().invoke(cli, ["run", str(suite), "--results", str(tmp_path / "r")], catch_exceptions=False)
    assert not (tmp_path / "r").exists()
