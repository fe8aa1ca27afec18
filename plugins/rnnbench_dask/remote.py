"""What a task runs on its worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rnnbench import perform_lot

TRIM = "MALLOC_TRIM_THRESHOLD_"


def perform(lot: Mapping[str, Any]) -> Mapping[str, Any]:
    """Perform a lot as on any other machine.

    Dask's nanny has its workers give memory back at once, by a variable that every process of a lot would inherit as
    the user's own wish, and every timed call would fault its memory in again.
    """
    from dask import config

    if os.environ.get(TRIM) == str(config.get("distributed.nanny.pre-spawn-environ", {}).get(TRIM)):
        del os.environ[TRIM]
    return perform_lot(lot)
