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
from typing import Any

from rnnbench.probe import Probe
from rnnbench.records import codec
from rnnbench.store.lines import Quantities


def to_json(probes: Iterable[Probe]) -> dict[str, Any]:
    """The field `probes` of `run.json`."""
    return {
        probe.name: {
            "version": probe.version,
            "quantities": {quantity.name: codec.declaration(quantity) for quantity in probe.quantities},
        }
        for probe in probes
    }


def from_json(declared: Mapping[str, Any]) -> Quantities:
    """The inverse of `to_json`; fields that a newer version has written are dropped.

    Raises Malformed where it is not what `to_json` makes.
    """
    return codec.declarations(declared)


def shipped() -> Quantities:
    """The declarations of the probes that rnnbench ships, for runs made before they were kept."""
    from rnnbench.probes import rnnbench_probes

    return {probe.name: {quantity.name: quantity for quantity in probe.quantities} for probe in rnnbench_probes()}
