"""`rnnbench new`."""

from __future__ import annotations

import keyword
from importlib.resources import files
from pathlib import Path

import click

from rnnbench.errors import UsageError


@click.group("new")
def command() -> None:
    """Write a ready-to-edit plugin file."""


@command.command("cell")
@click.argument("name")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def cell(name: str, force: bool) -> None:
    """Write NAME.py, a cell that already passes `rnnbench verify --plugin NAME.py`."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{name!r} is not a name for a cell; use letters, digits and _, not beginning with a digit")
    path = Path(f"{name}.py")
    if path.exists() and not force:
        raise UsageError(f"{path} is already there; choose another name, or --force to overwrite it")
    template = (files("rnnbench") / "templates" / "cell.py.txt").read_text(encoding="utf-8")
    try:
        path.write_text(template.replace("NAME", name), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; change to a folder you may write to") from error
    click.echo(f"wrote {path}; next: rnnbench verify --plugin {path}", err=True)
