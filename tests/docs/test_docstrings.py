"""The examples in the docstrings of the public surface run, and every contract module has one."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module

import pytest

import rnnbench

CONTRACT = (
    "adapter",
    "backend",
    "case",
    "cell",
    "cluster",
    "context",
    "errors",
    "executor",
    "hooks",
    "implementation",
    "ops",
    "probe",
)
CONTRACT += ("measurement", "quantity", "record", "task", "timings")

PUBLIC = {name: getattr(rnnbench, name) for name in rnnbench.__all__}
OWN = {one.__module__ for one in PUBLIC.values() if inspect.isclass(one) or inspect.isfunction(one)}
MODULES = sorted({f"rnnbench.{name}" for name in CONTRACT} | {name for name in OWN if name.startswith("rnnbench.")})
WITHOUT = {
    "perform": "needs a framework: the executors of plugins/README.md call it",
    "RunComparison": "needs two runs: `compare` has one",
}
"""Public names whose docstrings have no example."""


def examples(module) -> list[doctest.DocTest]:
    return [found for found in doctest.DocTestFinder().find(module) if found.examples]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_with_public_names_run(name):
    module = import_module(name)
    assert examples(module) or name == "rnnbench.worker", "a module without an example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for found in examples(module):
        assert runner.run(found).failed == 0, found.name


@pytest.mark.parametrize("name", CONTRACT)
def test_every_public_function_of_a_contract_module_tells_its_arguments(name):
    """Whoever takes two or more has `Args:` or an example; one argument fits into a sentence."""
    module = import_module(f"rnnbench.{name}")
    for what, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ != module.__name__ or what.startswith("_"):
            continue
        doc = inspect.getdoc(function) or ""
        assert len(inspect.signature(function).parameters) < 2 or "Args:" in doc or "Example:" in doc, what


def test_every_public_function_tells_arguments_result_and_an_example():
    functions = {name: one for name, one in PUBLIC.items() if inspect.isfunction(one)}
    for name, function in functions.items():
        doc = inspect.getdoc(function) or ""
        assert not inspect.signature(function).parameters or "Args:" in doc, name
        assert "Returns:" in doc, name
        assert ("Example:" in doc) != (name in WITHOUT), name


def test_every_public_class_that_can_be_made_as_it_is_has_an_example():
    """Protocols, abstract classes and errors are shown at work by the examples of plugins/README.md."""
    classes = {name: one for name, one in PUBLIC.items() if inspect.isclass(one) and one.__module__ in MODULES}
    for name, one in classes.items():
        if not (inspect.isabstract(one) or issubclass(one, Exception) or getattr(one, "_is_protocol", False)):
            assert ("Example:" in (inspect.getdoc(one) or "")) != (name in WITHOUT), name
