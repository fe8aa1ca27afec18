"""`rnnbench schema`."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("what", type=click.Choice(["suites", "records"]), default="suites")
def command(what: str) -> None:
    """Print a JSON Schema: of suites, for your editor's YAML plugin, or of the lines of records.jsonl."""
    from rnnbench.records.wire import line_schema
    from rnnbench.store.meta import FORMAT
    from rnnbench.suite import json_schema

    click.echo(json.dumps(json_schema() if what == "suites" else line_schema(FORMAT), indent=2))
