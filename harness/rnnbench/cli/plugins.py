"""Loading plugins for a command, with a word about those that broke."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from rnnbench.registry import Registry, load

plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A plugin file to load beside the installed ones; may be given several times.",
)


def load_plugins(files: Iterable[Path]) -> Registry:
    """The registry; a broken installed plugin is a warning, a broken file that was asked for an error."""
    registry = load(files)
    for plugin in registry.broken:
        click.echo(f"warning: plugin {plugin.name} ({plugin.origin}) is left out: {plugin.problem}", err=True)
    return registry
