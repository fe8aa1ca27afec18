"""What a class of another library is, found by trying it in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from rnnbench.registry import load


def perform(job: Mapping[str, Any]) -> dict[str, Any]:
    """`{"target", "study"}` -> what the adapter's `study` returns for `{"target", "cells": the portable ones}`."""
    module, _, name = job["study"].partition(":")
    cells = {key: cell for key, cell in load().cells.items() if cell.portable}
    return getattr(import_module(module), name)({"target": job["target"], "cells": cells})
