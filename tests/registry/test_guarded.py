"""What a plugin is asked in the process of the command cannot end it, and the rest is measured."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import sys
import time

import pytest

from command_line import ask
from rnnbench.case import Case
from rnnbench.cell import Cell
from rnnbench.errors import PluginError, UsageError
from rnnbench.registry import Registry, guarded, load
from rnnbench.registry.availability import Broken, candidates, support_problem
from rnnbench.registry.guarded import Guarded, guard

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="guards need fork")

ENDS = {
    "exit": (lambda: os._exit(0), r"ended the process that asked it: called os\._exit\(0\)"),
    "sys.exit": (lambda: sys.exit(0), r"raised SystemExit: 0 \(test_guarded\.py"),
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended the process that asked it: killed by SIGKILL"),
    "segfault": (lambda: ctypes.string_at(0), "ended the process that asked it: killed by SIGSEGV"),
    "raises": (lambda: 1 / 0, "raised ZeroDivisionError: division by zero"),
}
QUESTIONS = """
import os
from rnnbench import Implementation, hookimpl

def supports(cell, device, dtype):
    {}

@hookimpl
def rnnbench_implementations():
    return [Implementation("hostile", "jax", supports, supports)]
"""


@pytest.mark.parametrize("end, said", ENDS.values(), ids=ENDS.keys())
def test_a_function_that_ends_the_process_at_a_later_call_is_told_and_others_are_answered(end, said):
    asked = Guarded("implementation 'x': `supports`", lambda name: end() if name == "lstm" else f"no {name}")
    assert asked("gru") == "no gru"
    for _ in range(2):
        with pytest.raises(PluginError, match=rf"implementation 'x': `supports` \(test_guarded.py:\d+\) {said}"):
            asked("lstm")
    assert asked("rnn") == "no rnn"


LEFT = {
    "a child that lives on": (lambda: None if os.fork() else time.sleep(600), None),
    "a child alone": (lambda: os._exit(0) if os.fork() else time.sleep(600), r"ended the process that asked it"),
    "two answers": (lambda: (os.fork(), None)[1], None),
    "words in the pipe of the answer": (lambda: _filled(), "ended the process that asked it"),
    "an alarm": (lambda: (signal.alarm(1), time.sleep(600)), "killed by SIGALRM"),
}


KNOWN: set[int] = set()
"""Pipes that were open before the question was asked."""


def _filled() -> None:
    """Writes to the pipe of the answer."""
    [fd] = {one for one in range(3, 999) if _is_pipe(one)} - KNOWN
    os.write(fd, b"x" * 9999)


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


@pytest.mark.parametrize("question, said", LEFT.values(), ids=LEFT.keys())
def test_nobody_waits_for_what_an_asked_function_leaves_behind(question, said):
    KNOWN.clear()
    KNOWN.update(one for one in range(3, 999) if _is_pipe(one))
    began, asked = time.monotonic(), Guarded("task", question)
    if said is None:
        assert asked() is None
    else:
        with pytest.raises(PluginError, match=said):
            asked()
    assert time.monotonic() - began < 10


FORMS = {
    "missing": "return 3",
    "devices": "return ['cpu']",
    "versions": "return {'x': 1}",
    "preferred": "return None",
    "verified_on": "return None",
}


@pytest.mark.parametrize("name, body", FORMS.items())
def test_a_backend_that_answers_with_something_else_is_told_where(tmp_path, name, body):
    text = f"class Odd(Backend):\n    name = 'odd'\n    def {name}(self, *_):\n        {body}\n"
    (tmp_path / "mine.py").write_text(
        f"from rnnbench import Backend, hookimpl\n{text}    def __getattr__(self, _): raise AttributeError\n"
        + "Odd.__abstractmethods__ = frozenset()\n@hookimpl\ndef rnnbench_backends():\n    return [Odd()]\n"
    )
    registry = load([tmp_path / "mine.py"])
    brought = registry.backends["odd"]
    guard(registry)
    assert not vars(brought), "what a plugin brought is replaced, not changed"
    arguments = ["cpu"] if name in ("preferred", "verified_on") else []
    with pytest.raises(PluginError, match=rf"backend 'odd': `{name}` \(mine.py:4\) returned an? \w+ .*; return"):
        getattr(registry.backends["odd"], name)(*arguments)


def test_one_question_is_asked_once_and_its_answer_may_be_anything(tmp_path):
    log = tmp_path / "log"

    def answer(cell, **options):
        with log.open("a") as file:
            file.write(".")
        return {"cell": cell.name, **options}

    asked, gru = Guarded("task", answer), Cell("gru", init=lambda rng, D, H: ({}, None))
    assert [asked(gru, length=3) for _ in range(3)] == [{"cell": "gru", "length": 3}] * 3
    assert asked(gru, length=4) == {"cell": "gru", "length": 4}
    assert log.read_text() == ".."


def test_an_error_meant_for_the_user_stays_what_it_is():
    def refuse():
        raise UsageError("no such file")

    with pytest.raises(UsageError, match=r"^no such file$"):
        Guarded("task", refuse)()


def test_a_function_that_hangs_is_waited_for_once(monkeypatch):
    monkeypatch.setattr(guarded, "SECONDS", 0.2)
    asked, began = Guarded("backend 'x': `missing`", lambda n: time.sleep(600)), time.monotonic()
    for number in range(20):
        with pytest.raises(PluginError, match=r"`missing` .* did not answer within 0\.2 s"):
            asked(number)
    assert time.monotonic() - began < 3


def registry_with(tmp_path, line) -> Registry:
    (tmp_path / "mine.py").write_text(QUESTIONS.format(line))
    registry = load([tmp_path / "mine.py"])
    guard(registry)
    return registry


def test_a_case_fails_where_its_plugin_gives_no_answer_and_is_skipped_where_it_says_no(tmp_path):
    registry = registry_with(tmp_path, "os._exit(0) if cell.name == 'lstm' else None; return f'not {cell.name}'")
    case = {name: Case("memory", name, "jax", "hostile", "cpu", "float32", 4, 2, 4, 3) for name in ("gru", "lstm")}
    registry.device_problems["jax", "cpu"] = None
    names, reason = candidates(case["gru"], registry)
    assert (names, reason, isinstance(reason, Broken)) == ([], "hostile: not gru", False)
    names, reason = candidates(case["lstm"], registry)
    assert names == [] and isinstance(reason, Broken) and "ended the process that asked it" in reason


@pytest.mark.parametrize("answer", ["True", "['no']", "3"])
def test_an_answer_of_another_form_is_no_answer(tmp_path, answer):
    registry = registry_with(tmp_path, f"return {answer}")
    reason = support_problem(registry.implementations["jax", "hostile"], registry.cells["gru"], "cpu", "float32")
    assert isinstance(reason, Broken) and "return None for a cell it can run" in reason


def test_what_comes_with_rnnbench_is_asked_directly(tmp_path):
    registry = registry_with(tmp_path, "return None")
    assert isinstance(registry.implementations["jax", "hostile"].supports, Guarded)
    own = [one for key, one in registry.implementations.items() if key != ("jax", "hostile")]
    assert own and not any(isinstance(one.supports, Guarded) for one in own)


def test_a_plugin_that_exits_in_the_command_itself_is_no_success(tmp_path, monkeypatch):
    """Its hook may tell the second import, in the command, from the first, in a process that tries it."""
    text = "import sys\nif 'command_line' in sys.modules: raise SystemExit(0)\n" + QUESTIONS.format("return None")
    (tmp_path / "mine.py").write_text(text)
    answer = ask("list", "implementations", "--plugin", "mine.py", cwd=tmp_path)
    assert answer.code == 2 and "SystemExit" in answer.err and "Traceback" not in answer.err
