"""The suites in suites/, the exported JSON Schema, and suites torn at random."""

import textwrap
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnbench import registry as plugins
from rnnbench import suite
from rnnbench.errors import SuiteError
from rnnbench.registry.availability import candidates
from suite_registry import registry, write

SUITES = sorted((Path(__file__).parents[2] / "suites").glob("*.yaml"))
LONG_SEQ = next(path for path in SUITES if path.stem == "long_seq")
TEXTS = [path.read_text() for path in SUITES]


def schema_errors(data) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(suite.json_schema()).iter_errors(data)]


@pytest.fixture(scope="module")
def installed():
    return plugins.load()


def test_these_suites_are_shipped():
    learning = ["digits", "gradients", "memory_span", "optimizers", "overfitting", "tbptt", "text"]
    published = ["lru_copy", "mqar", "predictability", "selective_copy", "was_it_worth_it"]
    cost = ["compare_cell", "heads", "long_seq", "parallelism", "smoke", "zoo"]
    assert [path.stem for path in SUITES] == sorted([*learning, *published, *cost])


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_shipped_suite_plans_with_the_shipped_plugins(path, installed):
    document = suite.read(path)
    plan = suite.plan(document, installed)
    assert plan.name == path.stem
    assert {case.backend for case in plan.cases} == {"torch", "jax"}
    for profile in document.data.get("profiles", {}):
        assert suite.plan(document, installed, overrides=[f"profile={profile}"]).hash != plan.hash


def test_the_format_in_the_documentation_is_one_that_plans(tmp_path, installed):
    text = textwrap.dedent(str(suite.__doc__).partition("The format:")[2].partition("In `exclude`")[0])
    (tmp_path / "my_cell.py").touch()
    document = suite.read(write(tmp_path, text))
    assert schema_errors(document.data) == []
    assert suite.plan(document, installed).cases
    assert {case.seq_len for case in suite.plan(document, installed, overrides=["profile=quick"]).cases} == {64, 4096}


def test_long_seq_is_the_main_job(installed):
    plan = suite.plan(suite.read(LONG_SEQ), installed)
    cells = {"rnn", "irnn", "lstm", "gru", "mingru", "minlstm", "lru"}
    for probe in ("throughput", "memory", "gradient", "convergence"):
        for backend in ("torch", "jax") if probe != "convergence" else ("jax",):
            here = [case for case in plan.cases if (case.probe, case.backend) == (probe, backend)]
            assert {case.cell for case in here if case.device == "cpu"} == cells
    assert {case.seq_len for case in plan.cases if case.probe == "throughput"} == {64, 256, 1024}
    assert {case.threads for case in plan.cases if case.probe == "throughput"} == {1}, (
        "calls of two threads scatter too much to be ranked"
    )
    learning = [case for case in plan.cases if case.probe == "convergence"]
    for cell in cells:
        own = [(case.seq_len, case.settings["replicate"]) for case in learning if case.cell == cell]
        assert sorted(own) == [(T, seed) for T in (32, 100) for seed in range(3)]


@pytest.mark.parametrize("name", ["digits", "memory_span", "optimizers", "overfitting", "text"])
def test_learning_suites_train_on_the_fastest_kernels_and_their_quick_profiles_on_fused_ones(name, installed):
    document = suite.read(next(path for path in SUITES if path.stem == name))
    learning = [case for case in suite.plan(document, installed).cases if case.probe == "convergence"]
    assert {case.implementation for case in learning} == {"best"}
    quick = suite.plan(document, installed, overrides=["profile=quick"]).cases
    taken = {(case.cell, case.implementation) for case in quick if case.probe == "convergence"}
    assert {cell for cell, implementation in taken if implementation != "fused"} <= {"lru"}
    assert all(candidates(case, installed)[0] for case in quick if case.implementation == "fused")


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_the_schema_accepts_a_shipped_suite(path):
    assert schema_errors(yaml.safe_load(path.read_text())) == []


def test_the_schema_is_itself_valid_and_describes_every_axis():
    exported = suite.json_schema()
    jsonschema.Draft202012Validator.check_schema(exported)
    axes = exported["$defs"]["Grid"]["properties"]
    assert all(axis.get("description") for axis in axes.values())
    assert exported["additionalProperties"] is False


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("nam",), "x"),
        (("name",), "../up"),
        (("grid", "cel"), "rnn"),
        (("grid", "seq_len"), 0),
        (("grid", "seq_len"), []),
        (("grid", "seq_len"), "64"),
        (("grid", "dtype"), ["float31"]),
        (("grid", "include"), [{"cel": "rnn"}]),
        (("probes",), {}),
        (("probes", "convergence", "seeds"), 0),
        (("probes", "convergence", "grid", "cel"), "rnn"),
        (("profiles",), {"quick": {"grd": {}}}),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(path, value, tmp_path):
    data = yaml.safe_load(LONG_SEQ.read_text())
    target = data
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    assert schema_errors(data)
    with pytest.raises(SuiteError):
        suite.read(write(tmp_path, yaml.safe_dump(data)))


PIECES = (
    "",
    "- ",
    ": ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "*a ",
    "&a ",
    "!!set ",
    "null",
    "true",
    "-1",
    "1e99",
    "~",
    "'",
)
PIECES += ('"', "#", "|", "---\n", "\t", "\0", "\ud7ff", "9" * 50, "lstm(", ",", "%", "?", "<<: ", "probes:", "0.5")


@st.composite
def torn(draw) -> str:
    """A shipped suite with up to four cuts, insertions and replaced words."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(st.sampled_from(PIECES)) + text[stop:]
    return text


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=torn())
def test_a_torn_suite_either_plans_or_is_a_suite_error(text, tmp_path, installed):
    path = write(tmp_path, text)
    for known in (installed, registry()):
        try:
            plan = suite.plan(suite.read(path), known)
        except SuiteError as error:
            assert str(error).startswith(str(path))
        else:
            assert plan.cases
