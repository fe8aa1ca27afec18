"""Whether a module can be imported, tried in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from rnnbench.registry import place


def perform(job: Mapping[str, str]) -> dict[str, str]:
    """`{"module"}` -> `{"problem": one sentence, or nothing}`."""
    try:
        import_module(job["module"])
    except BaseException as error:  # a module may raise anything, SystemExit too
        return {"problem": place.described(error)}
    return {"problem": ""}
