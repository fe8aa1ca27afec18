"""`rnnbench check`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from rnnbench.cli.plugins import load_plugins, plugin_option
from rnnbench.errors import UsageError, nearest
from rnnbench.execution.device_check import DeviceCheck, DeviceResult, Evidence, Platform
from rnnbench.registry import Registry

PLATFORMS: dict[str, Platform] = {"gpu": "cuda", "cuda": "cuda", "tpu": "tpu"}
WIDTH, INDENT = 100, 14


@click.command("check")
@click.argument("kind", metavar="gpu|tpu", type=click.Choice(tuple(PLATFORMS)))
@click.argument("names", nargs=-1, metavar="[IMPLEMENTATION]...")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str, names: Sequence[str], plugins: Sequence[Path], as_json: bool) -> None:
    r"""Say what is known of every implementation on a kind of device, and what is not.

    Kernels that need an interpreter here are verified in it; what can be compiled for a device that is not here is
    compiled; what can run on one is verified there. `unknown` is what none of that tells: with a device, run
    `rnnbench check` there. Exit code 1 if anything is wrong.

    \b
    Examples:
      rnnbench check gpu
      rnnbench check gpu jax/pallas --json
      rnnbench check tpu --plugin my_kernel.py
    """
    registry = load_plugins(plugins)
    _refuse_unknown(names, registry)
    session = registry.executors["forkserver"].open()
    found: list[Evidence] = []
    try:
        for one in DeviceCheck(registry, session, PLATFORMS[kind]).evidence(names):
            found.append(one)
            if not as_json:
                click.echo("\n".join(_lines(one)))
    finally:
        session.close()
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=2, ensure_ascii=False))
    click.get_current_context().exit(int(any(one.bad for one in found)))


def _refuse_unknown(names: Sequence[str], registry: Registry) -> None:
    known = sorted({name for key in registry.implementations for name in ("/".join(key), key[1])})
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no implementation {name!r}; there are {', '.join(known)}.{nearest(name, known)}"
            )


def _lines(one: Evidence) -> Iterator[str]:
    """A paragraph."""
    yield f"{one.implementation}{f', with cell {one.cell}' if one.cell else ''}"
    if not one.cell:
        yield from _wrapped("run", f"not there: {one.run.about}")
        return
    needless = "not needed: it has no kernel that is interpreted here"
    yield from _wrapped("interpreted", needless if one.interpreted is None else _sentence(one.interpreted))
    for look in one.compiled:
        yield from _wrapped("compiled", _sentence(look))
    if not one.compiled:
        yield from _wrapped("compiled", "nothing: its backend compiles for no such device that is not here")
    yield from _wrapped("run", _sentence(one.run))
    yield from _wrapped("unknown", "; ".join(one.unknown))


def _sentence(look: DeviceResult) -> str:
    return f"{look.device}: {'not tried' if look.status == 'skipped' else look.status}: {look.about}"


def _wrapped(head: str, text: str) -> Iterator[str]:
    """`  run           cuda: ...`, in lines of at most WIDTH characters."""
    lines = textwrap.wrap(text, WIDTH - INDENT, break_long_words=False, break_on_hyphens=False)
    yield f"  {head}".ljust(INDENT) + " " + lines[0]
    yield from (" " * (INDENT + 1) + line for line in lines[1:])
