"""What numbers depend on: digests of the code, and versions of the frameworks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from rnnbench.registry import Registry, installed


def code() -> dict[str, str]:
    """Package -> digest of its sources, of the packages that bring plugins."""
    entries = (point.value.partition(":")[0] for point in installed().values())
    packages = sorted({"rnnbench", *(module.partition(".")[0] for module in entries)})
    return {name: digest_of(files) for name in packages if (files := list(_sources(name)))}


def versions(registry: Registry) -> dict[str, str]:
    """Package -> version, of all backends that are there."""
    return {name: version for backend in registry.backends.values() for name, version in backend.versions().items()}


def digest_of(files: Iterable[Path]) -> str:
    """Of names and contents, in order."""
    total = hashlib.blake2b(digest_size=8)
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def _sources(package: str) -> Iterable[Path]:
    """The Python files of an installed package."""
    spec = find_spec(package)
    if spec is None:
        return []
    places = spec.submodule_search_locations or []
    return sorted(file for place in places for file in Path(place).rglob("*.py")) or [Path(spec.origin or "")]
