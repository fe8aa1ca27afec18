"""`rnnbench schema`."""

from __future__ import annotations

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of suites; point your editor's YAML plugin at it."""
    from rnnbench.suite import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
