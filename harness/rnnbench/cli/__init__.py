"""The command line: the only place that prints or exits.

stdout carries the data that was asked for, stderr speaks to people. Exit codes: 0 all ok or skipped, 1 a case failed,
was wrong or regressed, 2 usage, suite or plugin error, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from rnnbench.errors import RnnbenchError

COMMANDS = {
    "run": "Measure a suite.",
    "list": "What is there, and why something is not.",
    "verify": "Check cells and implementations against the mathematics.",
    "new": "Write a ready-to-edit plugin file, or a workflow for CI.",
    "report": "Show runs again, in any format.",
    "compare": "Show the difference of two runs.",
    "gate": "Find out whether a revision made something worse.",
    "history": "Find when numbers changed over stored runs.",
    "export": "Hand a run to another tool.",
    "schema": "Print the JSON Schema of suites, for editors.",
}


class _Lazy(click.Group):
    """Imports a command's module only when it is used, so that every command starts at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order a new user meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module `rnnbench.cli.<name>_command`."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"rnnbench.cli.{cmd_name}_command").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help page, without importing any command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rnnbench", message="rnnbench %(version)s")
def cli() -> None:
    """Benchmark recurrent cells across frameworks and hardware.

    Do they learn, do their gradients survive, what memory do they take, how fast are they, and how does each of the
    four change as the sequence grows.
    """


def main() -> None:
    """Run the command line and exit."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except RnnbenchError as error:
        click.echo(f"error: {error}", err=True)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader, `head` say, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code or 0)
