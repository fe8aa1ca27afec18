"""What a class is, found by trying it, as the text of a plugin file: what was found can be read, kept and edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import packages_distributions, version
from pprint import pformat
from typing import Any

from rnnbench import Cell
from rnnbench_adapters import from_class, jax_libraries, jax_modules, keras_modules, torch_modules
from rnnbench_adapters.classes import Unusable, described, options_of
from rnnbench_adapters.loading import load_class, matching, name_of

TEMPLATE = '''"""{name}, of {source}, as it was found to be made and called."""

from rnnbench import hookimpl
from rnnbench_adapters import from_class


@hookimpl
def rnnbench_cells():
    return [
        from_class(
            {target!r},
            framework={framework!r},
            protocol={protocol},
            options={options},
            name={name!r},
            source={source!r},
            equal={equal},
        )
    ]
'''


def perform(job: Mapping[str, Any]) -> dict[str, Any]:
    """`{"target", "cells"}` -> `{"plugins": {cell: text of a plugin file}, "problems": {class: sentence}}`.

    target: `module:Class`. cells: the portable ones, among which each class's equal is looked for.

    Called in a process of its own: it imports whatever the target imports.
    """
    target = job["target"]
    plugins: dict[str, str] = {}
    problems: dict[str, str] = {}
    try:
        targets = matching(target)
        if not targets:
            problems[target] = "no class has a name like this"
    except BaseException as error:
        return {"plugins": {}, "problems": {target: _sentence(error)}}
    for one in targets:
        try:
            found = describe(load_class(one), one)
            found["equal"] = _equal(from_class(one, **found), job.get("cells", {}))
            values = {key: pformat(found[key]) for key in ("protocol", "options", "equal")}
            plugins[found["name"]] = TEMPLATE.format(target=one, **{**found, **values})
        except BaseException as error:
            problems[one] = _sentence(error)
    return {"plugins": plugins, "problems": problems}


def _equal(cell: Cell, cells: Mapping[str, Cell]) -> dict[str, Any] | None:
    """The portable cell that a class is, with the layout of its weights; None where none is known."""
    from rnnbench_adapters.layout import nearest

    try:
        found = nearest(cell, cells)
    except Exception:  # whatever the class does at sizes it was not tried at: it is then checked against itself
        return None
    return None if found is None else {"to": found[0], "layout": found[1].to_json()}


def describe(cls: type, target: str) -> dict[str, Any]:
    """The arguments of `from_class`: name, framework, protocol, options and source. Raises Unusable."""
    if keras_modules.claims(cls):
        framework, protocol = keras_modules.framework(), keras_modules.study(cls)
    elif torch_modules.claims(cls):
        framework, protocol = "torch", torch_modules.study(cls)
    elif jax_libraries.library_of(cls) is not None:
        framework, protocol = "jax", jax_modules.study(cls)
    else:
        raise Unusable(
            "it is a class of none of the libraries that are known: torch, keras, flax (linen, nnx), haiku, equinox, "
            "memax"
        )
    return {
        "name": name_of(target),
        "framework": framework,
        "protocol": {**asdict(protocol), "sizes": list(protocol.sizes)},
        "options": options_of(cls, protocol.sizes),
        "source": _source(cls, target),
    }


def _source(cls: type, target: str) -> str:
    """Distribution and version, or the file."""
    package = cls.__module__.partition(".")[0]
    for distribution in packages_distributions().get(package, ()):
        return f"{distribution} {version(distribution)}"
    return name_of(target.rpartition(":")[0])


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, Unusable) else described(error)
