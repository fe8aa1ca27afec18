"""What is installed, imports, runs and was verified, from jobs that end as a test says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from command_line import ask
from played_sessions import REGISTRY, Here
from rnnbench.adapter import Adapter, Library
from rnnbench.execution.installation import Installation, InstallationCheck, licence
from rnnbench.executor import Job, Outcome
from rnnbench.registry import Registry

LIBRARY = Library("numpy", "numpy.nowhere", "numpy:ndarray")


class There(Here):
    """Its distribution is one that every environment of the tests has."""

    def versions(self) -> dict[str, str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return {"numpy": "1.2.3", "other": "4"}


class Absent(Here):
    def missing(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return "nowhere to be found"


@dataclass
class Session:
    """Jobs return what `answers` has for the kind or the entry."""

    answers: Mapping[str, Any]
    jobs: list[str] = field(default_factory=list)

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        kind = job.get("kind") or job["entry"]
        self.jobs.append(kind)
        answer = self.answers.get(kind, {"problem": ""})
        return answer if isinstance(answer, Outcome) else Outcome("ok", answer)

    def close(self) -> None: ...


KIT = {"status": "ok", "reason": "", "verified": "oracle", "checks": [{}, {}], "outputs": [[[0.0]]]}
GOOD = {"kit": KIT, "study": {"plugins": {"a": ""}, "problems": {}}}


def registry(backend: Here, library: Library = LIBRARY, **changes: Any) -> Registry:
    implementation = replace(REGISTRY.implementations["here", "plain"], **changes)
    adapter = Adapter("classes", study="study", libraries=(library,))
    return replace(
        REGISTRY,
        backends={"here": backend},
        implementations={("here", "plain"): implementation},
        adapters={"classes": adapter},
    )


def found(answers: Mapping[str, Any], known: Registry | None = None) -> list[Installation]:
    return list(InstallationCheck(known or registry(There()), Session({**GOOD, **answers})).rows())


def answers_of(row: Installation) -> tuple[str, str, str, str]:
    return row.installed, row.imports, row.runs, row.verified


def test_what_runs_and_is_right_says_of_which_cell():
    plain, library = found({})
    assert answers_of(plain) == ("yes", "yes", "yes", "yes")
    assert (plain.name, plain.about, plain.version) == ("here/plain", "a in float32, 2 checks", "numpy 1.2.3")
    assert answers_of(library) == ("yes", "yes", "yes", "not tried")
    assert library.about == "`rnnbench verify numpy:ndarray`"
    assert "BSD" in library.licence


@pytest.mark.parametrize(
    ("answers", "expected", "about"),
    [
        (
            {"kit": {"status": "wrong", "reason": "outputs differ", "checks": []}},
            ("yes", "yes", "yes", "wrong"),
            "outputs differ",
        ),
        (
            {"kit": Outcome("timeout", {}, "took longer than 120 s")},
            ("yes", "yes", "no", "not tried"),
            "took longer than 120 s",
        ),
        (
            {"rnnbench.worker.importing:perform": {"problem": "ImportError: no"}},
            ("yes", "no", "no", "not tried"),
            "ImportError: no",
        ),
    ],
)
def test_an_implementation_that_is_not_right_says_why(answers, expected, about):
    row = found(answers)[0]
    assert (answers_of(row), row.about) == (expected, about)


@pytest.mark.parametrize(
    ("imported", "expected", "about"),
    [("", ("yes", "yes", "no", "not tried"), "numpy:ndarray: it is no cell"), ("gone", ("yes", "no", "no"), "gone")],
)
def test_a_library_whose_class_cannot_be_brought_says_whether_it_imports(imported, expected, about):
    study = {"plugins": {}, "problems": {"numpy:ndarray": "it is no cell"}}
    row = found({"study": study, "rnnbench.worker.importing:perform": {"problem": imported}})[1]
    assert answers_of(row)[: len(expected)] == expected
    assert row.about == about


def test_what_is_not_there_is_not_tried():
    session = Session(GOOD)
    known = registry(Absent(), Library("no-such-distribution", "nothing", "nothing:Nothing"))
    plain, library = InstallationCheck(known, session).rows()
    assert answers_of(plain) == answers_of(library) == ("no", "no", "no", "not tried")
    assert (plain.about, library.about) == ("nowhere to be found", "pip install no-such-distribution")
    assert not session.jobs


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"slow_to_build": True}, "it takes long to build: `rnnbench verify here/plain`"),
        ({"supports": lambda *_: "not this one"}, "none of the cells that are loaded is one for it: not this one"),
    ],
)
def test_what_is_not_tried_says_why(changes: dict[str, Any], about):
    session = Session(GOOD)
    row = next(InstallationCheck(registry(There(), **changes), session).rows())
    assert answers_of(row) == ("yes", "yes", "not tried", "not tried")
    assert row.about == about
    assert "kit" not in session.jobs


def test_licences_have_the_names_of_spdx():
    assert licence("pluggy") == "MIT"
    assert licence("no-such-distribution") == ""


def test_it_goes_with_implementations_alone(tmp_path):
    answer = ask("list", "cells", "--installed", cwd=tmp_path)
    assert answer.code == 2
    assert "write `rnnbench list implementations --installed`" in answer.err
