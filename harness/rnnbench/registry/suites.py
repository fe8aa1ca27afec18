"""The suites that come with rnnbench, and what file a user means who names one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

SUFFIXES = (".yaml", ".yml")


def shipped() -> Mapping[str, Path]:
    """Name -> file, in alphabetical order. In a checkout they are those of the folder `suites` at its top."""
    folder = Path(str(files("rnnbench"))) / "suite" / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def located(suite: Path) -> Path:
    """The file that is meant: the path itself where there is something; for a bare name `NAME.yaml` or
    `suites/NAME.yaml` here, or else the shipped suite of that name. A path that is nothing comes back as it is.
    """
    name = str(suite)
    if suite.exists() or suite.name != name or suite.suffix in SUFFIXES:
        return suite
    own = [folder / f"{name}{suffix}" for folder in (Path(), Path("suites")) for suffix in SUFFIXES]
    found = next((path for path in own if path.is_file()), None)
    return found or shipped().get(name, suite)
