"""Plugins: what is loaded, what is refused, and that one broken plugin harms no other."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rnnbench.case import Case
from rnnbench.cell import Cell, is_plain, keywords
from rnnbench.errors import PluginError
from rnnbench.registry import load
from rnnbench.registry.availability import candidates
from rnnbench.registry.declared import takes

CELL = """
import numpy as np
from rnnbench import Cell, hookimpl

def init(rng, D, H):
    return {"W": rng.normal(size=(H, D))}, np.zeros(H)

def step(ops, p, h, z):
    return h, h

"""


def plugin(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(CELL + text)
    return path


def test_a_plugin_file_brings_its_cell(tmp_path):
    file = plugin(tmp_path, "@hookimpl\ndef rnnbench_cells():\n    return [Cell('mine', init, step)]\n")
    registry = load([file])
    assert registry.cells["mine"].portable
    assert registry.origins["cell", "mine"].origin == str(file)


def test_each_device_is_asked_for_once_however_many_cases_a_suite_has(monkeypatch):
    registry, asked = load(), []
    jax = registry.backends["jax"]
    monkeypatch.setattr(jax, "missing", lambda: None)
    monkeypatch.setattr(jax, "devices", lambda: asked.append(1) or {"cpu": None, "cuda": "no CUDA here"})
    for device, reason in (("cpu", ""), ("cuda", "no CUDA here")):
        case = Case("throughput", "gru", "jax", "auto", device, "float32", 4, 2, 3, 3)
        assert [candidates(replace(case, seed=seed), registry)[1] for seed in range(9)] == [reason] * 9
    assert len(asked) == 2


def test_the_shipped_plugins_come_in_by_entry_points():
    registry = load()
    assert {"rnn", "irnn", "lstm", "gru", "mingru", "minlstm", "lru"} <= set(registry.cells)
    assert {"throughput", "memory", "gradient", "convergence"} <= set(registry.probes)
    assert {"torch", "jax"} <= set(registry.backends)
    assert registry.broken == []


BROKEN = {
    "misspelled hook": (
        "@hookimpl\ndef rnnbench_cell():\n    return []\n",
        "hook 'rnnbench_cell' is not known.*Did you mean 'rnnbench_cells'",
    ),
    "wrong argument": ("@hookimpl\ndef rnnbench_cells(config):\n    return []\n", "config.*Hooks take no arguments"),
    "not a list": (
        "@hookimpl\ndef rnnbench_cells():\n    return Cell('a', init, step)\n",
        "returned a Cell; return a list",
    ),
    "wrong type": ("@hookimpl\ndef rnnbench_cells():\n    return ['lstm']\n", "returned a str in its list"),
    "wrong plug point": (
        "@hookimpl\ndef rnnbench_tasks():\n    return [Cell('a', init, step)]\n",
        "must be a rnnbench.Task",
    ),
    "no decorator": ("def rnnbench_cells():\n    return []\n", "lacks its decorator"),
    "nothing": ("", "brings nothing"),
    "module raises": ("1 / 0", r"ZeroDivisionError: division by zero \(mine.py:11\)"),
    "module exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "hook raises": ("@hookimpl\ndef rnnbench_cells():\n    raise KeyError('x')\n", "KeyError"),
    "syntax": ("def", "SyntaxError"),
    "not a name": ("@hookimpl\ndef rnnbench_cells():\n    return [Cell('a b', init, step)]\n", "'a b' is not a name"),
    "wrong step": (
        "@hookimpl\ndef rnnbench_cells():\n    return [Cell('a', init, lambda p, h: h)]\n",
        r"`step` must take 4 arguments: step\(ops, params, state, z\)",
    ),
    "step and linear": (
        "@hookimpl\ndef rnnbench_cells():\n    return [Cell('a', init, step, linear=lambda o, p, z: (z, z))]\n",
        "has both `step` and `linear`",
    ),
    "duplicate": (
        "@hookimpl\ndef rnnbench_cells():\n    return [Cell('lstm', init, step)]\n",
        r"cell 'lstm' is already brought by plugin 'cells' \(rnnbench 0.1.0\); rename one",
    ),
}


@pytest.mark.parametrize("text, message", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_with_its_remedy(tmp_path, text, message):
    with pytest.raises(PluginError, match=message):
        load([plugin(tmp_path, text)])


def test_a_missing_file_names_the_nearest(tmp_path):
    plugin(tmp_path, "", "my_cell.py")
    with pytest.raises(PluginError, match=r"no such file\. Did you mean 'my_cell.py'"):
        load([tmp_path / "mycell.py"])


def test_a_duplicate_takes_nothing_of_its_plugin_in(tmp_path):
    file = plugin(
        tmp_path, "@hookimpl\ndef rnnbench_cells():\n    return [Cell('new', init, step), Cell('gru', init, step)]\n"
    )
    with pytest.raises(PluginError, match="cell 'gru'"):
        load([file])


def test_a_broken_installed_plugin_is_listed_and_the_others_work(tmp_path):
    """A distribution with a raising entry point, on the path of a fresh interpreter."""
    (tmp_path / "bad_plugin.py").write_text("raise RuntimeError('no luck')\n")
    info = tmp_path / "bad-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rnnbench]\nbad = bad_plugin\n")
    code = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "from rnnbench.registry import load\n"
        "registry = load()\n"
        "assert 'lstm' in registry.cells\n"
        "[bad] = registry.broken\n"
        "print(bad.name, '|', bad.origin, '|', bad.problem)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "bad | bad 1.0 | RuntimeError: no luck (bad_plugin.py:1)"


def test_listing_imports_no_framework():
    code = (
        "import sys\n"
        "sys.argv = ['rnnbench', 'list']\n"
        "from rnnbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
        "heavy = {'torch', 'jax', 'pandas', 'matplotlib', 'pydantic', 'yaml', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


TWINS = "@hookimpl\ndef rnnbench_cells():\n    return [Cell('twin', init, step), Cell('twin', init, step)]\n"
IMPLEMENTATION = (
    "from rnnbench import Implementation\n\n"
    "@hookimpl\ndef rnnbench_implementations():\n"
    "    return [Implementation('x', 'torch', {supports}, lambda cell, device, dtype: None)]\n"
)


def test_one_plugin_may_not_bring_a_name_twice(tmp_path):
    message = r"it brings two cells named 'twin', the first \(mine.py:5\) and the second \(mine.py:5\); rename one"
    with pytest.raises(PluginError, match=message):
        load([plugin(tmp_path, TWINS)])


def test_supports_of_the_wrong_form_is_told_with_its_line(tmp_path):
    text = IMPLEMENTATION.format(supports="lambda cell: None")
    message = r"'x': `supports` must take 3 arguments: supports\(cell, device, dtype\) \(mine.py:15\)"
    with pytest.raises(PluginError, match=message):
        load([plugin(tmp_path, text)])


@pytest.mark.parametrize("count", range(4))
def test_what_a_function_takes_is_read_from_its_code_as_its_signature_says(count):
    """The signature is the right answer, and slow."""

    @functools.wraps(lambda a, b: None)
    def wrapped(*args):
        del args

    plain = [
        lambda: None,
        lambda a: None,
        lambda a, b=1: None,
        lambda a=1, /, b=2: None,
        lambda a, *rest: None,
        lambda a, b, *, k: None,
        lambda a, *rest, k, l=2, **others: None,
        lambda **others: None,
    ]
    for function in [*plain, wrapped, functools.partial(plain[5], 1), str.upper, Case.from_json, Cell]:
        signature = inspect.signature(function)
        asked = tuple(one.name for one in signature.parameters.values() if one.kind is one.KEYWORD_ONLY)
        assert keywords(function) == asked
        try:
            signature.bind(*range(count), **dict.fromkeys(asked))
            fits = True
        except TypeError:
            fits = False
        assert takes(function, count) == fits, function
    assert [is_plain(function) for function in plain] == [True] * len(plain)
    assert not is_plain(wrapped)


def test_a_plugin_may_import_its_neighbours_also_later(tmp_path):
    (tmp_path / "gates_beside_it.py").write_text("def mix(u, h, c):\n    return u * h + (1 - u) * c\n")
    (tmp_path / "more_beside_it").mkdir()
    (tmp_path / "more_beside_it/__init__.py").write_text("")
    (tmp_path / "more_beside_it/inner.py").write_text("two = 2\n")
    text = (
        "from gates_beside_it import mix\n\n"
        "def later(ops, p, h, z):\n    from more_beside_it.inner import two\n    return mix(two, h, h), h\n\n"
        "@hookimpl\ndef rnnbench_cells():\n    return [Cell('sib', init, later)]\n"
    )
    cell = load([plugin(tmp_path, text)]).cells["sib"]
    assert cell.advance(None, {}, 3.0, None) == (3.0, 3.0)


def test_neighbours_of_two_plugins_are_not_mixed_up(tmp_path):
    for folder, value in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text(f"value = {value}\n")
    text = (
        "import same_name\n\n@hookimpl\ndef rnnbench_cells():\n    return [Cell(f'c{same_name.value}', init, step)]\n"
    )
    files = [plugin(tmp_path / folder, text, f"{folder}.py") for folder in ("one", "two")]
    assert "c1" in load(files[:1]).cells
    with pytest.raises(PluginError, match=r"two.py: its neighbour .*two/same_name has the name of .*one/same_name"):
        load(files)


def test_an_exception_that_is_no_exception_breaks_only_its_plugin(tmp_path):
    with pytest.raises(PluginError, match=r"Stop: now \(mine.py:12\)"):
        load([plugin(tmp_path, "class Stop(BaseException): pass\nraise Stop('now')\n")])


def test_one_without_gradients_has_forward_passes_to_do_and_no_more():
    registry = load()
    key = "torch", "eager"
    registry.implementations[key] = replace(registry.implementations[key], differentiable=False)
    case = Case("throughput", "gru", "torch", "eager", "cpu", "float32", 4, 2, 3, 3)

    def found(**changes):
        return candidates(replace(case, **changes), registry)

    assert found(settings={"modes": ["forward"]})[0] == ["eager"]
    assert found(settings={"modes": ["forward", "train"]})[0] == ["eager"]
    assert found(probe="decode")[0] == ["eager"]
    refused = "eager: it runs forward passes alone, and the case asks for train, which takes gradients"
    assert found(settings={"modes": ["train"]}) == ([], refused)
    assert found(probe="convergence") == ([], refused)
    assert "eager" in found(implementation="best", settings={"modes": ["forward"]})[0]
    assert "eager" not in found(implementation="best", settings={"modes": ["forward", "train"]})[0]
