"""Reading a suite file: safe YAML into plain values, each with the line it stands on.

Scalars follow the YAML 1.2 core schema, as editors do: `on`, `off`, `yes`, `no` are text and `1e-3` is a number (PyYAML
alone follows YAML 1.1, where `on` is true and `1e-3` is text). Tags are refused before anything is constructed.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.reader import Reader, ReaderError

from rnnbench.errors import SuiteError, nearest
from rnnbench.registry.suites import SUFFIXES, located, shipped
from rnnbench.suite.problems import KeyPath, Location, Locations, Problems, shown
from rnnbench.suite.schema import validated

MAX_BYTES = 2**20
MAX_NODES = 10_000
MAX_DEPTH = 20

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Document:
    """A suite that is well formed; names in it are not looked up yet.

    path: as given. plugins: files to load before planning, resolved relative to the suite. data: plain YAML values.
    locations: the line of every key and item.
    """

    path: Path
    name: str
    plugins: list[Path]
    data: dict[str, Any]
    locations: Locations


def read(path: Path) -> Document:
    """Parse a suite, a file or the name of one (`rnnbench.registry.suites`), and check its structure. Raises
    SuiteError, and nothing else, for whatever is wrong.
    """
    path = _existing(Path(path))
    return _document(_text(path), path)


def read_mapping(data: Mapping[str, Any]) -> Document:
    """What a suite file would hold, given as a mapping. Plugins are relative to the current folder.

    Raises SuiteError for whatever is wrong; its lines count in the mapping written as JSON, one entry a line.
    """
    try:
        text = json.dumps(data, indent=1, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SuiteError(f"suite: a suite is made of text, numbers, lists and mappings: {error}.") from None
    return _document(text, Path("suite"))


def _document(text: str, path: Path) -> Document:
    data, locations = parse(text, str(path))
    if data is None:
        raise SuiteError(f"{path}:1: the suite is empty; write at least `name`, `grid` and `probes`.")
    if not isinstance(data, dict):
        raise SuiteError(f"{locations[()].text}: a suite is a mapping `key: value`, found {shown(data)}.")
    problems = Problems(locations)
    suite = validated(data, problems)
    plugins = [_plugin(path, name, ("plugins", index), problems) for index, name in enumerate(suite.plugins)]
    problems.stop()
    return Document(path, suite.name, plugins, data, locations)


def parse(text: str, source: str, *, lines: bool = True) -> tuple[Any, Locations]:
    """YAML text as plain values with their locations: `source:line`, or `source` alone where there are no lines."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        except (ValueError, OverflowError) as error:  # PyYAML passes on chr() and int() of absurd escapes
            raise ComposerError(None, None, f"unreadable text: {error}", loader.get_mark()) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SuiteError(f"{_at(source, line, lines).text}: a control character stands here; remove it.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        location = _at(source, line, lines)
        odd = _odd_space(text, line)
        raise SuiteError(f"{location.text}: this is not valid YAML: {_message(error)}.{odd}") from None
    builder = _Builder(source, lines)
    value = None if node is None else builder.build(node, (), ())
    builder.problems.stop()
    return value, builder.locations


def _at(source: str, line: int, lines: bool) -> Location:
    return Location(line, f"{source}:{line}") if lines else Location(0, source)


def _odd_space(text: str, line: int) -> str:
    """A hint at a space that is none in YAML, in a line that was not understood or the one before."""
    for number, content in enumerate(text.splitlines()[max(0, line - 2) : line], max(1, line - 1)):
        if found := _ODD.search(content):
            return f" Line {number} holds {_named(found[0])}, which is no space in YAML; replace it by one."
    return ""


def _named(character: str) -> str:
    return f"a {unicodedata.name(character, 'character').lower()} (U+{ord(character):04X})"


def _message(error: yaml.MarkedYAMLError) -> str:
    return " ".join(" ".join(filter(None, (error.context, error.problem))).split())


def _existing(path: Path) -> Path:
    try:
        return located(path)
    except (OSError, ValueError):  # too long, a NUL, a loop of links: reading it says so
        return path


def _text(path: Path) -> str:
    """The file's text, or a SuiteError that says why it has none."""
    try:
        if path.is_dir():
            raise SuiteError(f"{path}: this is a directory; give a suite file (*.yaml).")
        if not path.exists():
            raise SuiteError(f"{path}: there is no such file.{_near(path)}")
        if not path.is_file():
            raise SuiteError(f"{path}: this is not a regular file; give a suite file (*.yaml).")
        with path.open("rb") as file:
            whole = path.stat().st_size > 0  # a file of the kernel has no size, and may have no end
            raw = file.read(MAX_BYTES + 1) if whole else b""
    except (OSError, ValueError) as error:
        raise SuiteError(f"{str(path)!r}: the file cannot be read: {error}.") from None
    if len(raw) > MAX_BYTES:
        raise SuiteError(f"{path}: the file is larger than 1 MiB; a suite is a page of YAML.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SuiteError(
            f"{path}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8."
        ) from None


def _near(path: Path) -> str:
    """The near name among the suites that there are, or their names."""
    names = list(shipped())
    if path.parent.is_dir():
        names += sorted(file.name for suffix in SUFFIXES for file in path.parent.glob(f"*{suffix}"))
        missing = ""
    else:
        missing = f" There is no folder {path.parent} either."
    near = nearest(path.name, names) or nearest(path.stem, names)
    return missing + (near or f" Suites: {', '.join(names[:30])}.")


def _near_plugin(path: Path) -> str:
    """The near name among the files beside a plugin that is missing, or what there is."""
    if not path.parent.is_dir():
        return f" There is no folder {path.parent} either."
    names = sorted(file.name for file in path.parent.glob("*.py"))
    listed = f" Files there: {', '.join(names[:20])}." if names else ""
    return nearest(path.name, names) or listed


def _plugin(suite: Path, name: str, path: KeyPath, problems: Problems) -> Path:
    """A plugin file named in a suite; it must be there."""
    file = problems.ask(path, "looking for the file", (suite.parent / name).resolve) or suite.parent / name
    is_file = problems.ask(path, "looking for the file", file.is_file)
    if is_file is False:
        problems.add(path, f"found {shown(name)}, but there is no file {file}.{_near_plugin(file)}")
    return file


_ODD = re.compile("[\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff]")
"""Spaces that are letters to YAML: they come with text that is copied from a page."""
_MISPLACED = re.compile(rf"^{_ODD.pattern}|{_ODD.pattern}$|{_ODD.pattern}[:#]|[:,]{_ODD.pattern}")
"""Such a space where an ordinary one would have ended a key or a value."""
_MERGE = "<<"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, up to the node graph, with the scalars of YAML 1.2 and limits on size."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's own protocol

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node, refusing tags and whatever is too deep or too large before it is built."""
        event: Any = self.peek_event()
        if getattr(event, "tag", None) is not None:
            raise ComposerError(None, None, f"tags ({event.tag}) are not allowed; write plain values", event.start_mark)
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH:
            raise ComposerError(None, None, f"it is nested deeper than {MAX_DEPTH} levels", event.start_mark)
        if self._nodes > MAX_NODES:
            raise ComposerError(None, None, f"it has more than {MAX_NODES} values", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_SIGNED = list("-+0123456789")
_Loader.add_implicit_resolver(f"{_TAG}null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), _SIGNED)
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
    [*_SIGNED, "."],
)


def _merges(key: yaml.Node) -> bool:
    """Whether it is the merge key: `<<` without quotes."""
    return isinstance(key, yaml.ScalarNode) and key.style is None and key.value == _MERGE


class _Builder:
    """Nodes to plain values. Aliases are expanded under a limit, so that no bomb goes off."""

    def __init__(self, source: str, lines: bool) -> None:
        self.locations: Locations = {}
        self.problems = Problems(self.locations)
        self._source, self._lines = source, lines
        self._nodes = 0

    def build(self, node: yaml.Node, path: KeyPath, parents: tuple[int, ...]) -> Any:
        """The value of `node`, with the location of everything in it noted."""
        self.locations.setdefault(path, self._location(node))
        self._nodes += 1
        if id(node) in parents:
            self._refuse(path, "the alias contains itself; write the values out")
        if len(parents) > MAX_DEPTH:
            self._refuse(path, f"aliases nest it deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            self._refuse(path, f"aliases expand it to more than {MAX_NODES} values")
        parents = (*parents, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index), parents) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, parents)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, parents: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged = self._merged(node, path, parents)
        for key_node, value_node in node.value:
            if _merges(key_node):
                continue
            if key_node.tag != f"{_TAG}str":
                self.locations[(*path, "?")] = self._location(key_node)
                self._refuse(
                    (*path, "?"),
                    "a key must be text, not a list, a mapping, null, true, false or a number: put it in quotes",
                )
            here = (*path, key_node.value)
            self.locations.setdefault(here, self._location(key_node))
            key = self._scalar(key_node, here)
            if key in result:
                first = self.locations[here].text
                self.locations[here] = self._location(key_node)
                self.problems.add(here, f"the key stands twice in this mapping, first at {first}; keep one")
                continue
            self.locations[here] = self._location(key_node)
            result[key] = self.build(value_node, here, parents)
        return merged | result

    def _merged(self, node: yaml.MappingNode, path: KeyPath, parents: tuple[int, ...]) -> dict[str, Any]:
        """What the mapping takes over from others by `<<`; of several, the first one that has a key counts."""
        found: dict[str, Any] = {}
        keys = [(key, value) for key, value in node.value if _merges(key)]
        for key, value in keys:
            self.locations[(*path, _MERGE)] = self._location(key)
            if len(keys) > 1:
                self._refuse((*path, _MERGE), "the key stands twice in this mapping; give it a list of mappings")
            others = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for other in reversed(others):
                if not isinstance(other, yaml.MappingNode):
                    self._refuse((*path, _MERGE), "only mappings can be merged: `<<: *name`, or a list of such")
                found |= self.build(other, path, parents)
        return found

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text, kind = node.value, node.tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            if len(text) > 40:
                self._refuse(path, f"found a number of {len(text)} digits; no setting takes one")
            return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
        if kind == "float":
            value = float(re.sub(r"\.(?=[inIN])", "", text))
            if not math.isfinite(value):
                self._refuse(path, f"found {shown(text)}; a number must be finite")
            return value
        if getattr(node, "style", None) is None and (odd := _MISPLACED.search(text)) and (space := _ODD.search(odd[0])):
            self._refuse(path, f"found {shown(text)} with {_named(space[0])}, which is no space in YAML; replace it")
        if Reader.NON_PRINTABLE.search(text):
            self._refuse(path, "the text contains a control character or half a surrogate pair; remove it")
        return text

    def _location(self, node: yaml.Node) -> Location:
        return _at(self._source, node.start_mark.line + 1, self._lines)

    def _refuse(self, path: KeyPath, message: str) -> None:
        """A problem after which there is no going on."""
        self.problems.add(path, message)
        self.problems.stop()
