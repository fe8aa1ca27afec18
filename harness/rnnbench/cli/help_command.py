"""`rnnbench help`."""

from __future__ import annotations

from collections.abc import Sequence

import click


@click.command("help")
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(context: click.Context, names: Sequence[str]) -> None:
    """Show the help of COMMAND, as `rnnbench COMMAND --help` does."""
    parent = context.parent or context
    found: click.Command = parent.command
    for name in names:
        if not isinstance(found, click.Group):
            raise click.UsageError(f"`{parent.command_path}` has no commands of its own.")
        _, deeper, _ = found.resolve_command(parent, [name])
        assert deeper is not None  # resolve_command raises where there is none
        parent, found = click.Context(deeper, info_name=name, parent=parent, max_content_width=100), deeper
    click.echo(found.get_help(parent))
