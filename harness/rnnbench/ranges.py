"""What numbers in a probe's settings may be, checked where a suite is read."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt

Count = Annotated[int, Ge(1)]
"""1, 2, 3, ..."""
Index = Annotated[int, Ge(0)]
"""0, 1, 2, ..."""
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Lt(1)]
"""From 0 to just below 1."""
