"""What the probes of a run declared, kept in its `run.json` so that a report needs none of the plugins.

    "probes": {
      "throughput": {"version": 1, "quantities": {
        "forward.time": {"unit": "s", "better": "lower", "doc": "Median time of ...", "headline": 1, "group": "speed"}
      }}
    }

Fields of a quantity that have their default are left out. A run has one version of each probe: another version makes
other cases, and `--resume` refuses those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from rnnbench.probe import Probe
from rnnbench.quantity import Quantity

Quantities = Mapping[str, Mapping[str, Quantity]]
"""By the name of the probe, then of the quantity."""

_DEFAULTS = {field.name: field.default for field in fields(Quantity)}


def to_json(probes: Iterable[Probe]) -> dict[str, Any]:
    """The field `probes` of `run.json`."""
    return {
        probe.name: {
            "version": probe.version,
            "quantities": {quantity.name: _told(quantity) for quantity in probe.quantities},
        }
        for probe in probes
    }


def from_json(declared: Mapping[str, Any]) -> Quantities:
    """The inverse of `to_json`; fields that a newer version has written are dropped.

    Raises TypeError, AttributeError or KeyError where it is not what `to_json` makes.
    """
    return {
        probe: {name: _quantity(name, entry) for name, entry in entry["quantities"].items()}
        for probe, entry in declared.items()
    }


def shipped() -> Quantities:
    """The declarations of the probes that rnnbench ships, for runs made before they were kept."""
    from rnnbench.probes import rnnbench_probes

    return {probe.name: {quantity.name: quantity for quantity in probe.quantities} for probe in rnnbench_probes()}


def _told(quantity: Quantity) -> dict[str, Any]:
    return {key: value for key, value in asdict(quantity).items() if key != "name" and value != _DEFAULTS[key]}


def _quantity(name: str, entry: Mapping[str, Any]) -> Quantity:
    return Quantity(**{**{key: value for key, value in entry.items() if key in _DEFAULTS}, "name": name})
