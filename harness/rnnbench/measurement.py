"""What a probe hands back for one case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnbench.quantity import Curve, Value
from rnnbench.timings import Timing, View


@dataclass(frozen=True)
class Measurement:
    """What a probe hands back for one case.

    Attributes:
        values: Numbers by the names of the probe's `quantities`; a name that they do not declare is an error. Each is a
            `Value`, or a `View` of one of the timings.
        curves: By name.
        notes: Sentences that a reader of the numbers must know.
        details: JSON values for whoever looks closer.
        timings: By name, each once, however many numbers follow from it.

    Example:
        >>> from rnnbench import Measurement, Value
        >>> Measurement({"forward.time": Value(0.012, low=0.011, high=0.013)}, notes=["one sample"]).values.keys()
        dict_keys(['forward.time'])
    """

    values: Mapping[str, Value | View] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, Timing] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """A number, worked out where it is a view of a timing. Raises KeyError where there is no such number."""
        found = self.values[name]
        return found.of(self.timings) if isinstance(found, View) else found
