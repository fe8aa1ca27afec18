"""Files that travel with a lot: plugins with what they import from beside them, and the data files of tasks."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rnnbench.case import Case
from rnnbench.cluster import Lot, ShippedFile
from rnnbench.errors import UsageError
from rnnbench.registry import Registry, spelling

MOST = 32 << 20
"""Bytes of files that travel with each lot; what is larger belongs on a disk that all nodes share."""


@dataclass(frozen=True)
class Luggage:
    """files: to be unpacked together. plugins: those of them that are plugins. folder: where the suite's lies then."""

    files: tuple[ShippedFile, ...]
    plugins: tuple[str, ...]
    folder: str


def packed(plugins: Iterable[str], cases: Sequence[Case], registry: Registry, folder: Path) -> Luggage:
    """What these cases need beside the installed packages. folder: of the suite.

    Raises UsageError where it is too much to travel.
    """
    files: dict[str, ShippedFile] = {}
    names = []
    for number, plugin in enumerate(map(Path, plugins)):
        place = f"plugins/{number}"
        names.append(f"{place}/{plugin.name}")
        for file in with_neighbours(plugin):
            path = f"{place}/{file.relative_to(plugin.parent).as_posix()}"
            files[path] = ShippedFile.of(path, file.read_bytes())
    data = {os.path.relpath(file, folder): file for file in _data(cases, registry, folder)}
    suite = PurePosixPath("suite", *["above"] * max((Path(path).parts.count("..") for path in data), default=0))
    for relative, file in data.items():
        path = os.path.normpath(suite / relative)
        files[path] = ShippedFile.of(path, file.read_bytes())
    if (size := sum(len(file.content) for file in files.values())) > MOST:
        raise UsageError(
            f"the plugins and data files of this suite are {size >> 20} MiB; at most {MOST >> 20} MiB travel with a "
            f"lot. Put the data on a disk that all nodes share, and name it by its absolute path."
        )
    return Luggage(tuple(files.values()), tuple(names), str(suite))


def unpacked(lot: Lot, folder: Path) -> tuple[str, ...]:
    """Write a lot's files below `folder`; the absolute paths of its plugins. Raises ValueError for a damaged one."""
    (folder / lot.folder).mkdir(parents=True, exist_ok=True)
    for file in lot.files:
        place = (folder / file.path).resolve()
        if not place.is_relative_to(folder.resolve()):
            raise ValueError(f"{file.path} would lie outside of the lot's folder")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.contents)
    return tuple(str(folder / plugin) for plugin in lot.plugins)


def with_neighbours(plugin: Path) -> list[Path]:
    """A plugin file, and what it imports from beside it, and they in turn; of a package, all its Python files."""
    found: dict[Path, None] = {}
    left = [plugin]
    while left:
        file = left.pop()
        if file in found:
            continue
        found[file] = None
        for name in _imported(file):
            package = plugin.parent / name
            if (package / "__init__.py").is_file():
                left += sorted(package.rglob("*.py"))
            elif package.with_suffix(".py").is_file():
                left.append(package.with_suffix(".py"))
    return list(found)


def _imported(file: Path) -> Iterator[str]:
    """First parts of the names of the modules that a file imports, wherever in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:  # whoever imports it is told
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _data(cases: Sequence[Case], registry: Registry, folder: Path) -> list[Path]:
    """Data files of the tasks, as far as they are named relative to the suite's folder; others must be shared."""
    found: dict[Path, None] = {}
    for spelled in dict.fromkeys(case.settings.get("task") for case in cases):
        if not isinstance(spelled, str):
            continue
        task = registry.tasks[spelling.parse(spelled)[0]]
        given = {**task.options, **spelling.checked(spelled, "task", task.options)}
        for name in task.files:
            written, path = Path(str(given.get(name) or "")), Path(str(task.located(given, folder).get(name) or ""))
            if given.get(name) and not written.is_absolute() and path.is_file():
                found[path] = None
    return list(found)
