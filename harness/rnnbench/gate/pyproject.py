"""What the gate reads of a revision's pyproject.toml, which is as good as the revision: checked where it enters."""

from __future__ import annotations

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


def read(project: Path) -> PyProject:
    """The project's pyproject.toml, empty where there is none.

    Raises UsageError, which names file and key, for what is not TOML or not what the key holds.
    """
    path = project / "pyproject.toml"
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return PyProject()
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    try:
        return PyProject.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"] if part not in ("_Packages", "list[constrained-str]"))
        raise UsageError(f"{path}: {key}: found {str(first['input'])!r:.60}; {first['msg'].lower()}") from None
