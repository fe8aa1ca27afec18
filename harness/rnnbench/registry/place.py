"""Where in a user's file something stands, so that a message can send its author there."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_OTHERS = (str(Path(__file__).parents[1]), sysconfig.get_path("stdlib"), "<")
"""Files that a plugin's author did not write begin like one of these, or are installed packages."""


def of_function(function: Callable[..., Any]) -> str:
    """` (file:line)` of a function's first line; nothing where it has no source in Python."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func  # type: ignore[attr-defined]
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else f" ({Path(code.co_filename).name}:{code.co_firstlineno})"


def of_error(error: BaseException) -> str:
    """` (file:line)` of the innermost frame that its author wrote, or else of the innermost one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_users(frame.filename)] or frames
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""


def described(error: BaseException) -> str:
    """`Type: message (file:line)` on one line."""
    message = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}{message and f': {message}'}{of_error(error)}"


def is_users(file: str) -> bool:
    """Whether it is a file that a user works on: neither rnnbench's, Python's nor one of an installed package."""
    return not file.startswith(_OTHERS) and not {"site-packages", "dist-packages"} & {*Path(file).parts}
