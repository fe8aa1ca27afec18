"""How the weights of a class of another library lie beside those of a portable cell, found in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from rnnbench.registry import load, place


def perform(job: Mapping[str, Any]) -> dict[str, Any]:
    """`{"target", "cell", "layout"}` -> `{"equal", "sentence"}`, or `{"problem": one sentence}`."""
    try:
        module, _, name = job["layout"].partition(":")
        return getattr(import_module(module), name)(job["target"], load().cells[job["cell"]])
    except Exception as error:  # the class may raise anything
        message = str(error) if type(error).__name__ == "Unusable" else place.described(error)
        return {"problem": message}
