"""What this machine shows between two equal revisions: no tolerance may be below that.

`floor.json` in the cache folder holds, by environment id (machine and software) and quantity, the largest difference
that an A/A gate has estimated for any case: {floor, pairs, cases, suite, time, method}. A later A/A gate replaces its
own quantities and no others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.cache import cache_folder
from rnnbench.errors import UsageError
from rnnbench.gate.rows import GateRow
from rnnbench.store import write_atomically
from rnnbench.store.files import explained

METHOD = "in turns"
"""How pairs are measured. A floor measured otherwise, one process after the other, says nothing of this."""


MOST = 0.3
"""The largest floor that is believed: on a machine where equal programs differ by more, no gate says anything."""


def path() -> Path:
    """The file."""
    return cache_folder() / "floor.json"


def read(environment: str) -> dict[str, float]:
    """The floor of each quantity in an environment; empty where none was measured. Raises UsageError for one that is
    past belief.
    """
    everything = _everything()
    try:
        found = everything.get(environment, {}).items()
        floors = {name: float(entry["floor"]) for name, entry in found if entry.get("method") == METHOD}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UsageError(f"{path()} holds no floors. Remove it, and measure the floor again.") from None
    for name, value in floors.items():
        if not 0 <= value <= MOST:
            raise UsageError(
                f"{path()}: a floor of {value:.0%} for {name} is not one that this machine can have shown: nothing "
                f"would ever be told. Remove the file, and measure the floor again by `rnnbench gate SUITE --aa`."
            )
    return floors


def of(rows: Sequence[GateRow]) -> dict[str, dict[str, Any]]:
    """The floors that an A/A gate found, all views of a number alike."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.judgement is None or row.judgement.pairs == 0:
            continue
        for name in (row.quantity, *row.also):
            entry = found.setdefault(name, {"floor": 0.0, "pairs": row.judgement.pairs, "cases": 0})
            entry["floor"] = max(entry["floor"], abs(row.judgement.estimate))
            entry["pairs"] = min(entry["pairs"], row.judgement.pairs)
            entry["cases"] += 1
    return found


def keep(environment: str, floors: Mapping[str, Mapping[str, Any]], suite: str) -> None:
    """Store floors, beside those of other quantities and environments."""
    everything = _everything()
    facts = {"suite": suite, "time": time.time(), "method": METHOD}
    now = {name: {**entry, **facts} for name, entry in floors.items()}
    everything[environment] = everything.get(environment, {}) | now
    with explained("keep the floor in", path()):
        path().parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path(), json.dumps(everything, indent=1, sort_keys=True) + "\n")


def _everything() -> dict[str, dict[str, dict[str, Any]]]:
    try:
        return json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path()} cannot be read: {error}. Remove it, and measure the floor again.") from None
