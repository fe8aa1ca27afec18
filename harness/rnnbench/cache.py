"""Where rnnbench keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where rnnbench keeps what belongs to this machine and user: $RNNBENCH_CACHE, else `rnnbench` in $XDG_CACHE_HOME
    or the system's folder for caches.

    Returns:
        Its path; nothing is created.

    Example:
        >>> from unittest.mock import patch
        >>> from rnnbench import cache_folder
        >>> with patch.dict("os.environ", RNNBENCH_CACHE="/kept/here"):
        ...     print(cache_folder().as_posix())
        /kept/here
    """
    import platformdirs

    if given := os.environ.get("RNNBENCH_CACHE"):
        return Path(given)
    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home) / "rnnbench"
    return platformdirs.user_cache_path("rnnbench", appauthor=False)
