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
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

from rnnbench.backend import Backend
from rnnbench.errors import PluginError, RnnbenchError
from rnnbench.implementation import Implementation
from rnnbench.probe import Probe
from rnnbench.registry import Registry, place
from rnnbench.registry.declared import a
from rnnbench.task import Task

T = TypeVar("T")

SECONDS = 60.0
"""How long an answer may take; one looks through installed packages, say."""
MOST = 16 << 20
"""Bytes that an answer may have."""
_HEAD = 8
"""Bytes before an answer that say how many it has: its end does not show while a child of the child is alive."""


@dataclass(frozen=True)
class _Form:
    """What an answer has to be. said: in words. fits: whether one is it."""

    said: str
    fits: Callable[[Any], bool]


def _maybe_text(answer: Any) -> bool:
    return answer is None or isinstance(answer, str)


def _all_texts(answer: Any) -> bool:
    return isinstance(answer, list | tuple) and all(isinstance(one, str) for one in answer)


def _by_name(answer: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(answer, Mapping) and _all_texts([*answer]) and all(map(fits, answer.values()))


_SENTENCE = _Form("None, or one sentence why not", _maybe_text)
_TEXT = _Form("a text", lambda answer: isinstance(answer, str))
_SIZE = _Form("a whole number above 0", lambda answer: type(answer) is int and answer > 0)
_ANY = _Form("anything", lambda _: True)  # whoever asks looks at it himself
_ASKED: Mapping[type, Mapping[str, _Form]] = {
    Implementation: {"supports": _ANY, "interpreter": _Form("None, or the name of an interpreter", _maybe_text)},
    Backend: {
        "missing": _SENTENCE,
        "devices": _Form("a mapping of each device to None or a sentence", lambda found: _by_name(found, _maybe_text)),
        "versions": _Form("a mapping of packages to versions", lambda found: _by_name(found, _TEXT.fits)),
        "preferred": _Form("a list of names", _all_texts),
        "verified_on": _TEXT,
    },
    Task: {"input_size": _SIZE, "output_size": _SIZE, "check": _SENTENCE, "describe": _TEXT},
    Probe: {"check": _SENTENCE},
}


class Guarded:
    """A function of a plugin, called in a child of this process, once for each different question."""

    def __init__(self, what: str, function: Callable[..., Any], form: _Form = _ANY) -> None:
        self.func = function  # as functools.partial names it: where it is written is still found
        self._what, self._form = what, form
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
            answer, error = _asked(lambda: self.func(*arguments, **options))
        except TimeoutError as error:
            self._late = str(error)
            return None, self._late
        if not error and not self._form.fits(answer):
            return None, f"returned {a(answer)} (`{answer!r:.40}`); return {self._form.said}"
        return answer, error


def answered(what: str, question: Callable[[], T]) -> T:
    """The answer to a question that runs functions of plugins, found by a child.

    Raises what it raises of rnnbench's errors; PluginError for all else, and where it ends its process or hangs.
    """
    if not hasattr(os, "fork"):
        return question()
    answer: Any
    try:
        answer, error = _asked(question)
    except TimeoutError as late:
        answer, error = None, str(late)
    if isinstance(error, RnnbenchError):
        raise error
    if error:
        raise PluginError(f"{what} {error}")
    return answer


def foreign(registry: Registry, kind: str, name: str) -> bool:
    """Whether others than rnnbench brought it; of what no plugin did, nobody else has."""
    plugin = registry.origins.get((kind, name))
    return plugin is not None and not plugin.origin.startswith("rnnbench ")


def guard(registry: Registry) -> None:
    """Have whatever others than rnnbench brought be asked in processes of its own."""
    if not hasattr(os, "fork"):
        return
    for kind, forms in _ASKED.items():
        word = kind.__name__.lower()
        values: dict[Any, Any] = getattr(registry, f"{word}s")
        for key, value in values.items():
            name = "/".join(key) if isinstance(key, tuple) else key
            if not foreign(registry, word, name):
                continue
            guards = {
                one: Guarded(f"{word} {name!r}: `{one}`", getattr(value, one), form)
                for one, form in forms.items()
                if callable(getattr(value, one))
            }
            values[key] = _with(value, guards)


def _with(value: Any, guards: Mapping[str, Guarded]) -> Any:
    """The same with the guards in place of its functions; what the plugin brought is left as it is."""
    if not isinstance(value, Backend):
        return replace(value, **guards)
    guarded = object.__new__(type(value))  # not copied: that would ask the plugin here
    vars(guarded).update(vars(value), **guards)
    return guarded


def _identity(value: Any) -> Any:
    """Equal for the same question."""
    return (type(value), value) if isinstance(value, str | int | float | None) else id(value)


@dataclass
class _Child:
    """A process that answers, in a group of its own with whatever it starts. status: how it ended, None until then."""

    pid: int
    status: int | None = None

    def over(self) -> bool:
        """Whether it has ended."""
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # ended by whoever looks after children
                pid, status = self.pid, 0
            self.status = status if pid else None
        return self.status is not None

    def end(self) -> None:
        """End it, and what it has left."""
        for kill in (os.killpg, os.kill) if self.status is None else (os.killpg,):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)
        if self.status is None:
            with contextlib.suppress(ChildProcessError):
                _, self.status = os.waitpid(self.pid, 0)


def _asked(question: Callable[[], Any]) -> tuple[Any, str | RnnbenchError]:
    """(the answer, "") or (None, what went wrong). Raises TimeoutError."""
    answers, told = os.pipe()
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, RuntimeWarning):  # threads of a display or of jax: the child does without
            warnings.simplefilter("ignore", kind)
        child = _Child(os.fork())
    if child.pid == 0:
        os.close(answers)
        _answer(question, told)
    os.close(told)
    try:
        received = _received(answers, child, time.monotonic() + SECONDS)
    finally:
        os.close(answers)
        child.end()
    if received is None:
        raise TimeoutError(f"did not answer within {SECONDS:g} s")
    try:
        answer, error = pickle.loads(received)
        return answer, error
    except Exception:  # nothing, a part, or something else
        return None, f"ended the process that asked it: {_end(child.status or 0)}"


def _answer(question: Callable[[], Any], told: int) -> NoReturn:
    """In the child: answer and leave. What is printed is for people, not for stdout."""
    try:
        with contextlib.suppress(OSError):
            os.setsid()
        os.dup2(2, 1)
        try:
            said = pickle.dumps((question(), ""))
        except RnnbenchError as error:
            said = pickle.dumps((None, error))
        except BaseException as error:
            said = pickle.dumps((None, f"raised {place.described(error)}"))
        said = len(said).to_bytes(_HEAD, "big") + said
        while said:
            said = said[os.write(told, said) :]
    finally:
        os._exit(0)


def _received(answers: int, child: _Child, deadline: float) -> bytes | None:
    """What the child says, empty where it says nothing that is whole; None where it is not done in time."""
    found = bytearray()
    while (left := deadline - time.monotonic()) > 0:
        over = child.over()  # asked first: all that it has said is in the pipe then
        if not select.select([answers], [], [], 0 if over else min(0.2, left))[0]:
            if over:
                return b""
            continue
        chunk = os.read(answers, 1 << 16)
        found += chunk
        size = int.from_bytes(found[:_HEAD], "big")
        if len(found) >= _HEAD and size <= len(found) - _HEAD:
            return bytes(found[_HEAD : _HEAD + size])
        if not chunk or len(found) > MOST:
            return b""
    return None


def _end(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"called os._exit({code}), or a library exit"
