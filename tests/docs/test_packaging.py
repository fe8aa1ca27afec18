"""The wheel: everything is in it, and it works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


COMMANDS = """
import contextlib, io, json, sys
import rnnbench, rnnbench_cells
from rnnbench.cli import exit_code
found, commands = [rnnbench.__file__], sys.argv[1:]
for command in commands:
    sys.argv = ["rnnbench", *command.split()]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert exit_code() == 0, command
    found.append(printed.getvalue())
print(json.dumps(found))
"""
"""Commands one after the other in one process, for a start compiles every file of the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of what git tracks, so that nothing lying about in the checkout gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    names = ["pyproject.toml", "README.md", "LICENSE", "harness", "plugins", "suites"]
    tracked = subprocess.run(["git", "ls-files", *names], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if (ROOT / name).is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).symlink_to((ROOT / name).readlink())
        elif (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(build, capture_output=True, check=True)
    [path] = out.glob("*.whl")
    return path


def test_the_wheel_holds_core_plugins_types_and_templates(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "rnnbench/py.typed",
        "rnnbench/templates/cell.py.txt",
        "rnnbench_cells/lstm.py",
        "rnnbench_fused/runtime.c",
        "rnnbench_fused/xla.c",
        "rnnbench_jax/scan.py",
        "rnnbench/suite/shipped/long_seq.yaml",
    ):
        assert name in names
    assert {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")} == {
        "rnnbench",
        "rnnbench_adapters",
        "rnnbench_cells",
        "rnnbench_dask",
        "rnnbench_fused",
        "rnnbench_jax",
        "rnnbench_newton",
        "rnnbench_ray",
        "rnnbench_slurm",
        "rnnbench_start.py",
        "rnnbench_tasks",
        "rnnbench_torch",
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_works_outside_the_checkout_with_its_plugins(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert result.returncode == 0, result.stderr
        return result.stdout

    (tmp_path / "suite.yaml").write_text(
        "name: s\ngrid: {cell: mine, seq_len: 4}\nplugins: [mine.py]\nprobes: {memory: }\n"
    )
    commands = (
        "list --json", "new cell mine", "run suite.yaml --dry-run", "run smoke --dry-run", "list suites", "schema",
    )  # fmt: skip
    origin, listed, _, own, smoke, suites, schema = json.loads(python("-c", COMMANDS, *commands))
    assert origin.startswith(str(site))
    assert {"lstm", "gru", "lru"} <= {row["name"] for row in json.loads(listed)["cells"]}
    assert own.strip().endswith("2 cases")
    assert smoke.strip().endswith("40 cases")
    assert "long_seq" in suites
    assert json.loads(schema)["properties"]
    assert python("-m", "rnnbench", "--version").startswith("rnnbench ")
