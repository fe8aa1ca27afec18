"""`rnnbench new`."""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from textwrap import dedent, indent
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click

from rnnbench.errors import UsageError


@click.group("new")
def command() -> None:
    """Write a ready-to-edit cell, a suite, or a workflow for CI."""


@command.command("cell")
@click.argument("name")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def cell(name: str, force: bool) -> None:
    """Write NAME.py, a cell that already passes `rnnbench verify --plugin NAME.py`."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{name!r} is not a name for a cell; use letters, digits and _, not beginning with a digit")
    _refuse_taken(name)
    path = Path(f"{name}.py")
    _write(path, _template("cell.py.txt").replace("NAME", name), force)
    click.echo(f"wrote {path}; next: rnnbench verify --plugin {path}", err=True)


def _refuse_taken(name: str) -> None:
    """A cell of a name that exists cannot be loaded beside it, and a file named as a package hides the package."""
    from importlib.machinery import PathFinder

    from rnnbench.cli.plugins import load_plugins

    registry = load_plugins(())
    if name in registry.cells:
        origin = registry.origins["cell", name]
        raise UsageError(f"there is a cell {name!r} already, of plugin {origin.name}; take another name")
    elsewhere = [folder for folder in sys.path if folder and Path(folder).resolve() != Path.cwd()]
    if name in sys.stdlib_module_names or PathFinder.find_spec(name, elsewhere) is not None:
        raise UsageError(f"there is a Python module {name!r}, which {name}.py would hide; take another name")


@command.command("suite")
@click.argument("name")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def suite(name: str, force: bool) -> None:
    """Write NAME.yaml, a suite with every key explained, which `rnnbench run NAME` measures in a minute."""
    from rnnbench.registry.suites import shipped

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise UsageError(f"{name!r} is not a name for a suite; use letters, digits, _ and -")
    if name in shipped():
        raise UsageError(f"there is a suite {name!r} already, which comes with rnnbench; take another name")
    path = Path(f"{name}.yaml")
    _write(path, _template("suite.yaml.txt").replace("NAME", name), force)
    click.echo(f"wrote {path}; next: rnnbench run {name}", err=True)


@command.command("workflow")
@click.argument("suite", default="suites/smoke.yaml", type=click.Path(path_type=Path))
@click.option("--shell", is_flag=True, help="Write scripts/rnnbench-gate.sh instead, for a git hook or any other CI.")
@click.option("--install", metavar="COMMAND", help="How the workflow installs rnnbench and what the suite needs.")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def workflow(suite: Path, shell: bool, install: str | None, force: bool) -> None:
    """Write .github/workflows/rnnbench.yml, which runs the gate on pull requests with SUITE and keeps a history.

    To be called at the root of the repository. SUITE is by default suites/smoke.yaml.
    """
    if shell and install:
        raise UsageError("--install: the script installs nothing, whoever calls it has; leave it out with --shell")
    name = suite.as_posix()
    if not re.fullmatch(r"[\w.][\w./-]*", name) or ".." in suite.parts:
        raise UsageError(
            f"{name!r}: name the suite by its path from the root of the repository, without spaces or `..`"
        )
    if Path.cwd() != (_root() or Path.cwd()):
        raise UsageError(f"this is not the root of the repository, where GitHub looks: cd {_root()}")
    if not suite.is_file():
        raise UsageError(
            f"there is no {name} in this repository; `rnnbench new suite NAME` writes a suite to begin with"
        )
    if shell:
        path = Path("scripts/rnnbench-gate.sh")
        _write(path, _template("gate.sh.txt").replace("@SUITE@", name), force)
        path.chmod(0o755)
        click.echo(f"wrote {path}; as a hook: ln -s ../../{path} .git/hooks/pre-push", err=True)
    else:
        path = Path(".github/workflows/rnnbench.yml")
        _refuse_existing(path, force)
        text = _template("workflow.yml.txt").replace("@SUITE@", name)
        _write(path, _with_install(text, install or ""), force)
        click.echo(f"wrote {path}; next: look at its Install steps, and commit it", err=True)


def _with_install(text: str, install: str) -> str:
    """The text with the command, every line of it as deep as its placeholder."""
    lines = dedent(install).strip() or _install()
    return re.sub(r"^( *)@INSTALL@$", lambda place: indent(lines, place[1]), text, flags=re.MULTILINE)


EXTRAS = "[torch,jax,data,asv,history]"


def _install() -> str:
    """pip, with the project itself where there is one to install."""
    from rnnbench.gate import pyproject

    if not Path("pyproject.toml").exists():
        return f"pip install {_requirement()}"
    if pyproject.read(Path()).project.name == "rnnbench":
        return f"pip install -c constraints.txt -e '.{EXTRAS}'"
    return f"pip install {_requirement()} -e ."


def _requirement() -> str:
    """rnnbench as pip can install it elsewhere: from the same place as the one that is running."""
    from importlib.metadata import distribution

    installed = distribution("rnnbench")
    return requirement(json.loads(installed.read_text("direct_url.json") or "null"), installed.version)


def requirement(direct_url: Mapping[str, Any] | None, version: str) -> str:
    """A release where it came from an index, a commit where it came from git.

    direct_url: what pip noted of an installation that came from no index (PEP 610). Raises UsageError where it came
    from a folder that has no public origin, so that no workflow is written that could not install anything.
    """
    if direct_url is None:
        return f"'rnnbench{EXTRAS}=={version}'"
    url, commit = str(direct_url["url"]), direct_url.get("vcs_info", {}).get("commit_id", "")
    if url.startswith("file://"):
        folder = url2pathname(urlsplit(url).path)
        url, commit = _git(folder, "remote", "get-url", "origin"), _git(folder, "rev-parse", "HEAD")
    if not url.startswith("https://") or not commit:
        raise UsageError(
            "rnnbench was installed from a folder without a public origin, and CI has to get it from somewhere: "
            f"say how with --install \"pip install 'rnnbench{EXTRAS} @ git+https://...'\""
        )
    parts = urlsplit(url)
    public = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # a token in it is nobody else's business
    return f"'rnnbench{EXTRAS} @ git+{public}@{commit}'"


def _git(folder: str, *arguments: str) -> str:
    """What git answers, empty where it has no answer."""
    command = ["git", "-C", folder, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip() if done.returncode == 0 else ""


def _root() -> Path | None:
    """The root of the repository around the current folder."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)


def _template(name: str) -> str:
    return (files("rnnbench") / "templates" / name).read_text(encoding="utf-8")


def _refuse_existing(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise UsageError(f"{path} is already there; --force overwrites it")


def _write(path: Path, text: str, force: bool) -> None:
    try:
        _refuse_existing(path, force)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; take a shorter name, or a folder you may write to"
        ) from error
