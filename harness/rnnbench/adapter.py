"""Bringing classes of other libraries: `torchrecurrent:MGUCell`, `my_model.py:MyCell` where a cell is named."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Library:
    """A library whose classes an adapter brings.

    distribution: as pip names it. module: as Python imports it. example: one of its classes, by which it is tried.

    Example:
        >>> from rnnbench import Library
        >>> Library("dm-haiku", module="haiku", example="GRU").distribution
        'dm-haiku'
    """

    distribution: str
    module: str
    example: str


@dataclass(frozen=True)
class Adapter:
    """Makes cells of classes that nobody wrote a plugin for.

    study: `module:function`, called in a process of its own, which may import anything, with `{"target": text, "cells":
    the portable cells by name}`. The text is `module:Class`, `file.py:Class` or has a pattern like `*Cell` for the
    class. It returns `{"plugins": {name of the cell: text of a plugin file that brings it}, "problems": {target: one
    sentence}}`.
    layout: `module:function`, called with a target and a portable cell in a process of its own. It searches how the
    class's weights are laid out and returns `{"equal": bool, "sentence": text}`; empty where it cannot.
    libraries: what it knows, for `rnnbench list implementations --installed`.
    doc: one sentence for `rnnbench list`.

    Example:
        >>> from rnnbench import Adapter
        >>> Adapter("theirs", "my_package.study:study", doc="classes of my library").name
        'theirs'
    """

    name: str
    study: str
    layout: str = ""
    libraries: tuple[Library, ...] = ()
    doc: str = ""
