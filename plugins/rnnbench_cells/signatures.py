"""Functions around those of another cell, which take the options that it has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def signed(function: Callable[..., Any], arguments: tuple[str, ...], options: tuple[str, ...]) -> Callable[..., Any]:
    """The function with a signature that names the options it passes on, so that they are handed to it."""

    def named(*values: Any, **given: Any) -> Any:
        return function(*values, **given)

    kinds = ((arguments, inspect.Parameter.POSITIONAL_OR_KEYWORD), (options, inspect.Parameter.KEYWORD_ONLY))
    parameters = [inspect.Parameter(name, kind) for names, kind in kinds for name in names]
    named.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return named
