"""Every variant of Newton in time as implementations of one backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rnnbench import Cell, Implementation, Measurement, Unroll
from rnnbench_newton import account
from rnnbench_newton.method import VARIANTS, Variant


def implementations(
    backend: str, build: Callable[[Variant, Cell, str, str], Unroll], accounted: Callable[[], Measurement]
) -> tuple[Implementation, ...]:
    """One per variant. build: as of `Implementation`, after the variant; accounted: of the solves of this process."""
    return tuple(
        Implementation(
            variant.name,
            backend,
            variant.supports,
            partial(build, variant),
            quantities=account.QUANTITIES,
            account=accounted,
            parallel=True,
            slow_to_build=True,
            doc=variant.doc,
        )
        for variant in VARIANTS
    )
