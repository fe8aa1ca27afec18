"""Where rnnbench keeps what it can make again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Where rnnbench keeps what belongs to this machine and user: $RNNBENCH_CACHE, else `rnnbench` in $XDG_CACHE_HOME
    or the system's folder for caches.
    """
    if given := os.environ.get("RNNBENCH_CACHE"):
        return Path(given)
    home = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or home) / "rnnbench"
