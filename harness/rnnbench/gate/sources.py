"""Where the packages of a revision lie, and the proof that a side imported them from there.

A project's packages may lie anywhere (`src/`, `python/`, `packages/mine/src/`, mapped to another folder), and an
environment that has the project installed finds its own copy of them, editable or not. Both sides would then run the
same code and agree. Every process therefore says which modules of the project it did not import from the files of its
side (`rnnbench.gate.remote.foreign`); their packages are looked for in the revision and put on the path, or else the
gate ends.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from rnnbench.errors import UsageError
from rnnbench.gate import pyproject

_MADE = ("build", "dist", ".eggs")
"""Top folders of build tools, whose copies of packages are nobody's sources."""
_VENDORED = {"vendor", "vendored", "third_party", "thirdparty", "external", "extern", "node_modules", "submodules"}
_NAME_IN_SETUP = re.compile(r"""\bname\s*=\s*["']([\w.-]+)["']""")


@dataclass(frozen=True)
class Project:
    """What a revision brings. folder: its files. elsewhere: folders with other states of the same project: the user's
    checkout. fixed: the user named its source roots, so none is added.
    """

    folder: Path
    elsewhere: tuple[Path, ...] = ()
    fixed: bool = False

    @cached_property
    def files(self) -> tuple[PurePosixPath, ...]:
        """Its Python files, relative; those of build tools only where there are no others."""
        found = sorted(PurePosixPath(path.relative_to(self.folder)) for path in self.folder.rglob("*.py"))
        own = [path for path in found if path.parts[0] not in _MADE and ".git" not in path.parts]
        return tuple(own or found)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names under which its modules may be imported: of its modules outside of packages, of its outermost packages,
        and of the folders these lie in, which may be namespaces.
        """
        packages = {path.parent for path in self.files if path.name == "__init__.py"}
        names: set[str] = set()
        for path in self.files:
            outer = path
            while outer.parent in packages:
                outer = outer.parent
            names |= {outer.stem if outer == path else outer.name, *outer.parent.parts}
        return tuple(sorted(names))

    @cached_property
    def distributions(self) -> tuple[str, ...]:
        """Normalised names of what it installs, as its pyproject.toml, setup.cfg and setup.py files say."""
        found: set[str] = set()
        for name in ("pyproject.toml", "setup.cfg", "setup.py"):
            for path in self.folder.rglob(name):
                if not _VENDORED & set(path.relative_to(self.folder).parts):
                    found |= _declared(path)
        return tuple(sorted(re.sub(r"[-_.]+", "-", name).lower() for name in found))

    def to_json(self) -> dict[str, Any]:
        """What `rnnbench.gate.remote.foreign` is asked."""
        elsewhere = [os.path.realpath(path) for path in self.elsewhere]
        return {
            "folder": os.path.realpath(self.folder),
            "elsewhere": elsewhere,
            "names": list(self.names),
            "distributions": list(self.distributions),
        }

    def place(self, foreign: Mapping[str, Any]) -> PathEntry | None:
        """Where this revision has a package that was imported from elsewhere; None where that is not plain."""
        top, file = foreign["module"].partition(".")[0], Path(foreign["file"])
        for other in map(os.path.realpath, self.elsewhere):
            if file.is_relative_to(other) and (found := self._same(top, foreign, file.relative_to(other))):
                return found
        suffix = PurePosixPath(*foreign["module"].split("."))
        wanted = suffix / "__init__.py" if file.name == "__init__.py" else suffix.with_suffix(".py")
        depth = len(wanted.parts)
        roots = {PurePosixPath(*path.parts[:-depth]) for path in self.files if path.parts[-depth:] == wanted.parts}
        return PathEntry(self.folder / roots.pop()) if len(roots) == 1 else None

    def _same(self, top: str, foreign: Mapping[str, Any], relative: Path) -> PathEntry | None:
        """The place that a file has in both states; a package in a folder of another name gets a link."""
        if not (self.folder / relative).exists():
            return None
        inner = len(foreign["module"].split(".")) - (relative.name != "__init__.py")
        package = relative if inner == 0 else relative.parents[inner - 1]
        if package.stem == top:
            return PathEntry(self.folder / package.parent)
        return PathEntry(self.folder / package, link=top + package.suffix)


@dataclass(frozen=True)
class PathEntry:
    """A folder to put on the path; with `link`, a package or module to be found under that name."""

    path: Path
    link: str = ""

    def on_path(self, links: Path) -> Path:
        """The folder to put on the path; links: where links are made."""
        if not self.link:
            return self.path.resolve()
        links.mkdir(exist_ok=True)
        if not (links / self.link).is_symlink():
            (links / self.link).symlink_to(self.path, target_is_directory=self.path.is_dir())
        return links


def roots(project: Project, foreign: Sequence[Mapping[str, Any]], links: Path, side: str) -> list[Path]:
    """What has to be put on the path of a side for it to import its own files. Raises UsageError where that cannot be
    told.
    """
    found = []
    for one in foreign:
        place = None if project.fixed else project.place(one)
        if place is None:
            raise UsageError(refusal(one, side))
        found.append(place.on_path(links))
    return list(dict.fromkeys(found))


def refusal(foreign: Mapping[str, Any], side: str) -> str:
    """Why a comparison would say nothing."""
    return (
        f"{side} imported {foreign['module']} from {foreign['file']}, which is not its revision's own file: both sides "
        f"may have run the same code. Name the folder of the project's packages, relative to the repository, by "
        f"`--source-root DIR`, or say how they are built by `--build COMMAND`, or uninstall the project."
    )


def _declared(path: Path) -> set[str]:
    """The names of distributions that a file declares; nothing where it cannot be read."""
    import configparser

    try:
        if path.name == "pyproject.toml":
            data = pyproject.parsed(path)
            named = [data.get("project", {}), data.get("tool", {}).get("poetry", {})]
            return {table["name"] for table in named if isinstance(table.get("name"), str)}
        if path.name == "setup.cfg":
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(pyproject.text(path))
            return {parser.get("metadata", "name")} if parser.has_option("metadata", "name") else set()
        return set(_NAME_IN_SETUP.findall(pyproject.text(path)))
    except (OSError, ValueError, AttributeError, configparser.Error):
        return set()
