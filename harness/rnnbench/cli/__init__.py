"""The command line: the only place that prints or exits.

stdout carries the data that was asked for, stderr speaks to people. Exit codes: 0 all ok or skipped, 1 a case failed,
was wrong or regressed, 2 usage, suite or plugin error, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from rnnbench.cli.streams import end_data, tolerate_lost_readers
from rnnbench.errors import RnnbenchError, UsageError, nearest
from rnnbench.isolation import kernel
from rnnbench.registry import place

COMMANDS = {
    "run": "Measure a suite.",
    "list": "What is there, and why something is not.",
    "describe": "Explain a probe with its settings, a task, a cell, a suite.",
    "verify": "Check cells and implementations against the mathematics.",
    "check": "Say what is known of implementations on a GPU or TPU, here or not.",
    "map": "Find how the weights of a class lie beside those of a cell.",
    "new": "Write a ready-to-edit cell, a suite, or a workflow for CI.",
    "report": "Show runs again, in any format.",
    "explain": "Say how a number came about, and how far to trust it.",
    "compare": "Show the difference of two runs.",
    "gate": "Find out whether a revision made something worse.",
    "history": "Find when numbers changed over stored runs.",
    "export": "Hand a run to another tool.",
    "schema": "Print the JSON Schema of suites, for editors, or of records.",
    "help": "Show the help of a command.",
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the near name where there is none."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            hint = nearest(name, COMMANDS) or f" Commands: {', '.join(COMMANDS)}."
            raise click.UsageError(f"there is no command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help page, without importing any command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


EPILOG = """
\b
Examples:
  rnnbench run smoke                                        a minute, to see that all works
  rnnbench run long_seq --only cell=lstm|gru --set device=cpu
  rnnbench report latest --format html --output report.html
  rnnbench new cell my_cell && rnnbench verify --plugin my_cell.py

`rnnbench list suites` shows what can be run, `rnnbench describe convergence` what can be set. How a number is made, and
how to bring a cell, a task or a backend of your own, is told in the README and in plugins/README.md.
"""


@click.group(
    cls=_Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="rnnbench", message="rnnbench %(version)s")
def cli() -> None:
    """Benchmark recurrent cells across frameworks and hardware.

    Do they learn, do their gradients survive, what memory do they take, how fast are they, and how does each of the
    four change as the sequence grows.
    """


def main() -> None:
    """Run the command line and exit. Whatever a case leaves behind becomes a child of this process, and is ended."""
    tolerate_lost_readers()
    end = _refuse_silent_ends()
    kernel.adopt_orphans()
    code = exit_code()
    end_data()
    _end_in_time(lambda: end(code))
    sys.exit(code)


def exit_code() -> int:
    """Run the command that `sys.argv` holds; what it exits with."""
    try:
        _require_working_folder()
        return cli.main(standalone_mode=False) or 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(_readable(shown.getvalue()), err=True, nl=False)
    except SystemExit as error:  # no command of ours raises it
        click.echo(f"error: code of a plugin ended the command: {place.described(error)}", err=True)
    except RnnbenchError as error:
        click.echo(f"error: {_readable(str(error))}", err=True)
    except Exception:
        if _working_folder_is_gone():
            click.echo(f"error: {GONE}", err=True)
        else:
            traceback.print_exc()  # a bug; Python's own exit code, 1, would say that a case failed
    return 2


LONGEST = 1000
"""Letters of a line of a message: what it found may be a word of a megabyte."""


def _readable(message: str) -> str:
    """A message without the middle of lines that nobody reads."""
    lines = message.split("\n")
    return "\n".join(f"{line[:700]} … {line[-200:]}" if len(line) > LONGEST else line for line in lines)


def _refuse_silent_ends() -> Callable[[int], NoReturn]:
    """No code of a plugin that runs in this process can have the command end as if all went well.

    Returns what ends this process all the same.
    """
    end, own = os._exit, os.getpid()

    def told(code: int) -> NoReturn:
        if os.getpid() == own:
            with contextlib.suppress(OSError):
                os.write(2, f"error: code of a plugin ended the command: it called os._exit({code})\n".encode())
            code = 2
        end(code)

    os._exit = told
    return end


PATIENCE = 10.0
"""Seconds that threads of plugins have to end once the command is done; Python would wait for them for ever."""


def _end_in_time(end: Callable[[], NoReturn]) -> None:
    own = threading.main_thread()
    left = [thread.name for thread in threading.enumerate() if thread is not own and not thread.daemon]
    if not left:
        return

    def watch() -> None:
        time.sleep(PATIENCE)
        with contextlib.suppress(OSError):
            os.write(2, f"warning: threads that did not end were left: {', '.join(left)}\n".encode())
        end()

    threading.Thread(target=watch, daemon=True).start()


GONE = "the folder this was started in has been deleted; change to one that is there"


def _require_working_folder() -> None:
    if _working_folder_is_gone():
        raise UsageError(GONE)


def _working_folder_is_gone() -> bool:
    try:
        return not Path.cwd().is_dir()
    except OSError:
        return True
