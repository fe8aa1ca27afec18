"""What other people's plugins are asked in the process of the command, answered by a child that they may bring down.

`supports` of an implementation, sizes of a task, devices of a backend: the command asks before anything is measured.
A function that ends its process would end the command, with exit code 0 if it likes.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rnnbench.backend import Backend
from rnnbench.errors import PluginError, RnnbenchError
from rnnbench.implementation import Implementation
from rnnbench.probe import Probe
from rnnbench.registry import Registry, place
from rnnbench.task import Task

SECONDS = 60.0
"""How long an answer may take; one looks through installed packages, say."""
_ASKED: Mapping[type, tuple[str, ...]] = {
    Implementation: ("supports", "interpreter"),
    Backend: ("missing", "devices", "versions", "preferred", "verified_on"),
    Task: ("input_size", "output_size", "check", "describe"),
    Probe: ("check",),
}


class Guarded:
    """A function of a plugin, called in a child of this process, once for each different question."""

    def __init__(self, what: str, function: Callable[..., Any]) -> None:
        self.func = function  # as functools.partial names it: where it is written is still found
        self._what = what
        self._answers: dict[Any, Any] = {}  # with the arguments, so that no other gets the identity of one
        self._late = ""  # a function that hangs once is not waited for again

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """What it returns. Raises what it raises of rnnbench's errors; PluginError for all else, and where it ends."""
        key = tuple(map(_identity, arguments)), tuple(sorted((name, repr(value)) for name, value in options.items()))
        if key not in self._answers and not self._late:
            self._answers[key] = arguments, self._asked(arguments, options)
        _, (answer, error) = self._answers.get(key, ((), (None, self._late)))
        if isinstance(error, RnnbenchError):
            raise error
        if error:
            raise PluginError(f"{self._what}{place.of_function(self.func)} {error}")
        return answer

    def _asked(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[Any, str | RnnbenchError]:
        try:
            return _asked(lambda: self.func(*arguments, **options))
        except TimeoutError as error:
            self._late = str(error)
            return None, self._late


def guard(registry: Registry) -> None:
    """Have whatever others than rnnbench brought be asked in processes of its own."""
    if not hasattr(os, "fork"):
        return
    for kind, names in _ASKED.items():
        word = kind.__name__.lower()
        values: dict[Any, Any] = getattr(registry, f"{word}s")
        for key, value in values.items():
            name = "/".join(key) if isinstance(key, tuple) else key
            if registry.origins[word, name].origin.startswith("rnnbench "):
                continue
            functions = {one: getattr(value, one) for one in names if callable(getattr(value, one))}
            guards = {one: Guarded(f"{word} {name!r}: `{one}`", function) for one, function in functions.items()}
            if isinstance(value, Backend):
                vars(value).update(guards)
            else:
                values[key] = replace(value, **guards)


def _identity(value: Any) -> Any:
    """Equal for the same question."""
    return (type(value), value) if isinstance(value, str | int | float | None) else id(value)


def _asked(question: Callable[[], Any]) -> tuple[Any, str | RnnbenchError]:
    """(the answer, "") or (None, what went wrong). Raises TimeoutError."""
    answers, told = os.pipe()
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, RuntimeWarning):  # threads of a display or of jax: the child does without
            warnings.simplefilter("ignore", kind)
        child = os.fork()
    if child == 0:
        _answer(question, told)
    os.close(told)
    status = 0
    try:
        received = _received(answers, time.monotonic() + SECONDS)
    finally:
        os.close(answers)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # ended by whoever looks after children
            _, status = os.waitpid(child, 0)
    if received is None:
        raise TimeoutError(f"did not answer within {SECONDS:g} s")
    try:
        return pickle.loads(received)
    except Exception:  # nothing, a part, or something else
        return None, f"ended the process that asked it: {_end(status)}"


def _answer(question: Callable[[], Any], told: int) -> None:
    """In the child: answer and leave. What is printed is for people, not for stdout."""
    try:
        os.dup2(2, 1)
        try:
            said = pickle.dumps((question(), ""))
        except RnnbenchError as error:
            said = pickle.dumps((None, error))
        except BaseException as error:
            said = pickle.dumps((None, f"raised {place.described(error)}"))
        while said:
            said = said[os.write(told, said) :]
    finally:
        os._exit(0)


def _received(answers: int, deadline: float) -> bytes | None:
    """All that the child says; None where it is not done in time."""
    found = bytearray()
    while select.select([answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(answers, 1 << 16)
        if not chunk:
            return bytes(found)
        found += chunk
    return None


def _end(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"called os._exit({code}), or a library exit"
