"""Importing the file of a plugin, with the files that lie beside it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from rnnbench.errors import PluginError, nearest

_FOLDERS: list[Path] = []
"""Folders of the plugin files imported so far, which stand at the end of `sys.path`."""


def placed(file: Path) -> Path:
    """A plugin file with its links followed. Raises PluginError for one that cannot be looked at or is no regular file.

    One that is not there is told where it is imported.
    """
    try:
        found = Path(file).resolve()
        irregular = found.exists() and not found.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise PluginError(f"plugin {file}: the file cannot be looked at: {error}.") from None
    if irregular:
        raise PluginError(f"plugin {file}: this is no regular file; give a Python file.")
    return found


def import_file(file: Path, kind: str = "plugin") -> ModuleType:
    """Import a file under a name of its own. It may import its neighbours, also later, inside its functions.

    Args:
        file: a Python file. Its folder comes last on `sys.path`, so that no neighbour hides an installed package.
        kind: what it is, in the name that the module gets: `rnnbench_plugin_mine` of `mine.py`.

    Returns:
        The module, made anew.

    Raises:
        PluginError: there is no such file, or two of them have neighbours of one name.

    Example:
        >>> import pathlib, tempfile
        >>> from rnnbench import import_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "mine.py")
        ...     _ = file.write_text("WIDTH = 128")
        ...     print(import_file(file).WIDTH)
        128
    """
    if not file.is_file():
        near = nearest(file.name, [p.name for p in file.parent.glob("*.py")]) if file.parent.is_dir() else ""
        raise PluginError(f"there is no such file.{near}")
    name = f"rnnbench_{kind}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PluginError("it is not a Python file; a plugin is one file that ends in .py")
    make_neighbours_importable(file.resolve().parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def make_neighbours_importable(folder: Path) -> None:
    """Put `folder` last on `sys.path`. Raises PluginError where that would give a plugin the neighbour of another."""
    if folder in _FOLDERS:
        return
    for module, other in _neighbours_imported():
        if (folder / f"{module}.py").is_file() or (folder / module / "__init__.py").is_file():
            raise PluginError(
                f"its neighbour {folder / module} has the name of {other / module}, which another plugin has imported; "
                "rename one"
            )
    _FOLDERS.append(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _neighbours_imported() -> Iterator[tuple[str, Path]]:
    """(top-level name, folder) of the modules that came from beside a plugin."""
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if origin is None or "." in name:
            continue
        file = Path(origin)
        folder = file.parent.parent if file.name == "__init__.py" else file.parent
        if folder in _FOLDERS and name in (file.stem, file.parent.name):
            yield name, folder
