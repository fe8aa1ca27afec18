"""Where each value of a suite came from, and all that is wrong with it, collected so that one run shows everything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rnnbench.errors import PluginError, SuiteError, nearest

T = TypeVar("T")
KeyPath = tuple[str | int, ...]
SHOWN = 20
"""Problems listed in one message; the rest are counted."""


@dataclass(frozen=True, order=True)
class Location:
    """A line of the suite, or the override that took its place (line 0, so that overrides are reported first)."""

    line: int
    text: str


Locations = dict[KeyPath, Location]


class Problems:
    """Collects errors; `stop()` raises them all as one SuiteError, in the order of lines."""

    def __init__(self, locations: Locations) -> None:
        self._locations = locations
        self._found: dict[tuple[Location, str], None] = {}

    def add(self, path: KeyPath, message: str) -> None:
        """Note one problem of the value at `path`, or of the nearest enclosing one that has a line of its own."""
        known = path
        while known not in self._locations:
            known = known[:-1]
        inside = path[len(known) :]  # a missing key is named, an item of what is no list is not
        name = spelled(path if len(inside) == 1 and isinstance(inside[0], str) else known)
        location = self._locations[known]
        entry = (location, f"{location.text}: {name}: {message}" if name else f"{location.text}: {message}")
        self._found[entry] = None

    def __len__(self) -> int:
        return len(self._found)

    def stop(self) -> None:
        """Raise if anything was found."""
        if not self._found:
            return
        lines = [text for _, text in sorted(self._found, key=lambda entry: entry[0])]
        if len(lines) > SHOWN:
            lines = [*lines[:SHOWN], f"... and {len(lines) - SHOWN} more"]
        raise SuiteError("\n".join(lines))

    def ask(self, path: KeyPath, what: str, question: Callable[[], T]) -> T | None:
        """The answer of a plugin's function; whatever it raises is a problem of the value at `path`."""
        try:
            return question()
        except PluginError as error:
            self.add(path, str(error))
            return None
        except (Exception, SystemExit) as error:
            self.add(path, f"{what} raised {type(error).__name__}: {error}")
            return None


def spelled(path: KeyPath) -> str:
    """`("grid", "include", 0, "cell")` -> `grid.include[0].cell`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """A value as one would write it in the suite, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def unknown(kind: str, name: Any, allowed: Iterable[str]) -> str:
    """`unknown cell "lstn"; there are: ... Did you mean 'lstm'?`."""
    names = list(allowed)
    listed = ", ".join(names) or "none"
    return f"unknown {kind} {shown(name)}; allowed: {listed}.{several(name) or nearest(str(name)[:200], names)}"


def several(text: object) -> str:
    """A hint for text that looks like several values, `lstm,gru`, and is no list; else the empty string."""
    if not isinstance(text, str) or "," not in text or text.count("(") or len(text) > 200:
        return ""
    return f" Several values are a list: [{', '.join(part.strip() for part in text.split(','))}]."
