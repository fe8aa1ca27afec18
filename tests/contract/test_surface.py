"""Everything a plugin needs is importable from `rnnbench`, and importing `rnnbench` costs little."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rnnbench

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "plugins").glob("rnnbench_*/**/*.py"))
HEAVY = ("numpy", "pandas", "matplotlib", "pydantic", "click", "rich", "torch", "jax")


def core_imports(text: str) -> Iterator[str]:
    """Every import of the core that `text` makes, at any depth: `rnnbench.Cell`, `rnnbench.cell.Cell`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == "rnnbench")


def foreign(text: str) -> list[str]:
    """The imports of the core that are not of a public name of `rnnbench` itself."""
    return [
        name for name in core_imports(text) if name.removeprefix("rnnbench.") not in (*rnnbench.__all__, "rnnbench")
    ]


def test_what_is_not_public_is_found():
    text = "import rnnbench\nfrom rnnbench import Cell\ndef f():\n    from rnnbench.cell import tree_map\n"
    assert foreign(text) == ["rnnbench.cell.tree_map"]
    assert foreign("from rnnbench import registry") == ["rnnbench.registry"]
    assert foreign("import rnnbench.cell") == ["rnnbench.cell"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_plugins_import_the_public_surface_only(path):
    assert not foreign(path.read_text())


@pytest.mark.parametrize("name", rnnbench.__all__)
def test_every_public_name_is_there(name):
    assert getattr(rnnbench, name) is not None
    assert name in dir(rnnbench)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"has no attribute 'Cel'\. Did you mean 'Cell'\?"):
        rnnbench.Cel  # type: ignore[attr-defined]  # noqa: B018


def test_importing_it_imports_nothing_heavy():
    code = f"import sys, rnnbench; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
