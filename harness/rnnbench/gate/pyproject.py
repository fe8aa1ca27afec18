"""What the gate reads of a revision's pyproject.toml, which is as good as the revision: checked where it enters."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rnnbench.errors import UsageError

Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f]*$")]
Name = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]


class _Table(BaseModel):
    """Keys that are not read may be anything."""

    model_config = ConfigDict(strict=True, frozen=True, populate_by_name=True)


class Metadata(_Table):
    """`[project]`. name: None where there is none, so that nothing is known of what it installs."""

    name: Name | None = None
    version: Text | None = None
    dynamic: list[Text] = []
    entry_points: Mapping[Text, Mapping[Text, Text]] = Field(default={}, validation_alias="entry-points")


class _Find(_Table):
    where: list[Text] = []


class _Packages(_Table):
    find: _Find = _Find()


class Setuptools(_Table):
    """`[tool.setuptools]`. packages: names, or where to find them."""

    packages: _Packages | list[Text] = []
    package_dir: Mapping[Text, Text] = Field(default={}, validation_alias="package-dir")

    @property
    def folders(self) -> list[str]:
        """Where packages are said to lie; empty where nothing is said."""
        where = self.packages.find.where if isinstance(self.packages, _Packages) else []
        return where or [folder for name, folder in self.package_dir.items() if name == ""]


class _Tool(_Table):
    setuptools: Setuptools = Setuptools()


class PyProject(_Table):
    """The tables that the gate reads."""

    project: Metadata = Metadata()
    tool: _Tool = _Tool()


_BYTES = 1_000_000
_LINE = 10_000
"""Letters of a line; the time that tomllib takes grows with the square of the parts of a name."""

_WANTED = {
    "dict_type": "give a table",
    "mapping_type": "give a table",
    "model_type": "give a table",
    "list_type": "give an array",
    "string_type": "give text in quotes",
    "string_too_long": "give at most {max_length} letters",
}


def read(project: Path) -> PyProject:
    """The project's pyproject.toml, empty where there is none.

    Raises UsageError, which names file and key, for what is not TOML or not what the key holds.
    """
    path = project / "pyproject.toml"
    try:
        data = parsed(path)
    except FileNotFoundError:
        return PyProject()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    try:
        return PyProject.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"{path}: {_key(first['loc'])}: found {first['input']!r:.60}; {_wanted(first)}.") from None


def parsed(path: Path) -> dict[str, Any]:
    """A TOML file. Raises OSError or ValueError for what is none, and what `text` raises."""
    try:
        return tomllib.loads(text(path))
    except RecursionError:
        raise ValueError("its arrays or tables are nested too deep") from None


def text(path: Path) -> str:
    """A file of a project's metadata, which is small. Raises OSError, or ValueError for what is no such file."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        data = file.read(_BYTES + 1)
    if len(data) > _BYTES:
        raise ValueError(f"it has more than {_BYTES:,} bytes")
    found = data.decode()
    for number, line in enumerate(found.splitlines(), 1):
        if len(line) > _LINE:
            raise ValueError(f"line {number} has {len(line):,} letters; break it, {_LINE:,} are allowed")
    return found


def _key(location: tuple[int | str, ...]) -> str:
    """Where it stands, in short; what pydantic adds of its own types is left out."""
    own = ("_Packages", "list[constrained-str]", "[key]")
    key = ".".join(json.dumps(part)[1:-1] for part in map(str, location) if part not in own)
    return key if len(key) <= 100 else f"{key[:99]}…"


def _wanted(error: Mapping[str, Any]) -> str:
    """What to give instead."""
    if error["type"] == "string_pattern_mismatch":
        named = error["ctx"]["pattern"].startswith("^[A-Z")
        return "give letters, digits, and . _ - between them" if named else "give text without control characters"
    return _WANTED[error["type"]].format(**error.get("ctx", {}))
