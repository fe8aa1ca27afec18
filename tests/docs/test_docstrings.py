"""The examples in the docstrings of the public surface run, and every contract module has one."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module

import pytest

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


def examples(module) -> list[doctest.DocTest]:
    return [found for found in doctest.DocTestFinder().find(module) if found.examples]


@pytest.mark.parametrize("name", CONTRACT)
def test_the_examples_of_a_contract_module_run(name):
    module = import_module(f"rnnbench.{name}")
    assert examples(module), "a contract module without an example"
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
