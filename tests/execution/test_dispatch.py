"""A dry run says which lots there would be and what they would ask for, and starts nothing."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import ask
from rnnbench.cli.lots_listing import lots_listing
from rnnbench.errors import SuiteError
from rnnbench.execution import Forecast
from rnnbench.execution.dispatch import Dispatch
from rnnbench.registry import Registry, load
from rnnbench.registry.suites import shipped
from rnnbench.suite import plan, read

ELSEWHERE = ["executor=dask", "executor.address=tcp://nobody.invalid:8786", "executor.cpus=2"]
QUICK = ("digits", "long_seq", "smoke")
"""Suites of the default run; the others are tried with the long tests."""


@pytest.fixture(scope="module")
def installed() -> Registry:
    return load()


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in shipped()]
)
def test_every_shipped_suite_is_cut_into_lots_of_all_its_cases(tmp_path, installed, name):
    planned = plan(read(Path(name)), installed, (), ELSEWHERE)
    lots = Dispatch(planned, installed, (), planned.cases, Forecast(installed, tmp_path, anywhere=True)).lots()
    asked = Counter(case["probe"] for lot in lots for case in lot.cases)
    assert asked == Counter(case.probe for case in planned.cases)
    for lot in lots:
        assert {installed.probes[case["probe"]].quiet for case in lot.cases} == {lot.quiet}
        assert lot.cpus == (None if lot.quiet else 2)
    lines = lots_listing(lots).splitlines()
    assert len(lines) == len(lots) + 1
    assert all(re.fullmatch(r"lot \d+: \d+ cases?, (a whole node|2 cores), \d.*", line) for line in lines[:-1])
    hours = re.fullmatch(
        r".*about ([\d.]+) node hours of whole nodes and ([\d.]+) core hours of packed lots", lines[-1]
    )
    assert hours
    assert float(hours[1]) == pytest.approx(sum(lot.seconds for lot in lots if lot.quiet) / 3600, abs=0.006)
    assert float(hours[2]) == pytest.approx(sum(2 * lot.seconds for lot in lots if not lot.quiet) / 3600, abs=0.006)


def test_where_so_many_are_at_work_at_once_each_has_some_of_it(tmp_path, installed):
    def sizes(*more):
        planned = plan(read(Path("digits")), installed, (), [*ELSEWHERE, *more])
        lots = Dispatch(planned, installed, (), planned.cases, Forecast(installed, tmp_path, anywhere=True)).lots()
        return [lot.seconds for lot in lots]

    few, many = sizes(), sizes("executor.at_most=8")
    assert len(few) < 8 <= len(many)
    assert sum(many) == pytest.approx(sum(few))
    assert max(many) < 2 * sum(many) / 8
    assert sizes("executor.at_most=1000") == pytest.approx(sizes("executor.at_most=1000", "executor.lot_minutes=2"))


KINDS = "executor.machines={a100: {resources: {a100: 1}}, h100: {resources: {h100: 1}}}"


def test_each_timed_case_is_planned_for_each_machine_under_the_same_hash(tmp_path, installed):
    suite = read(Path("smoke"))
    before, there = (plan(suite, installed, (), [*ELSEWHERE, *more]) for more in ([], [KINDS]))
    quiet = [case for case in before.cases if installed.probes[case.probe].quiet]
    loud = [case for case in before.cases if case not in quiet]
    assert quiet and loud
    for machine in ("a100", "h100"):
        assert [replace(case, machine="") for case in there.cases if case.machine == machine] == quiet
    assert [case for case in there.cases if not case.machine] == loud
    assert len({case.id for case in there.cases}) == 2 * len(quiet) + len(loud)
    assert there.hash == before.hash
    only = plan(suite, installed, ["machine=h100"], [*ELSEWHERE, KINDS])
    assert {case.machine for case in only.cases} == {"h100"}
    lots = Dispatch(there, installed, (), there.cases, Forecast(installed, tmp_path, anywhere=True)).lots()
    assert ", machine h100, " in lots_listing(lots)


@pytest.mark.parametrize(
    "machines, said",
    [
        ("[a100]", "it should be a mapping `key: value`"),
        ("{a100: null}", "a100: found null; it should be a mapping `key: value`"),
        ("{a100: {resources: {a100: one}}}", 'a100.resources.a100: found "one"; it should be a number'),
        ("{a100: {resorces: {a100: 1}}}", "Did you mean 'resources'?"),
        ("{a100: {}}", "machine 'a100' asks for nothing, so that it may be any; it can ask for: resources"),
        ("{'': {resources: {a100: 1}}}", "a machine needs a name"),
    ],
)
def test_a_machine_that_is_none_is_one_sentence(installed, machines, said):
    with pytest.raises(SuiteError, match=re.escape(said)):
        plan(read(Path("smoke")), installed, (), [*ELSEWHERE, f"executor.machines={machines}"])


def test_a_dry_run_lists_them_and_asks_nobody(tmp_path):
    options = ["--executor", "dask", *(word for entry in ELSEWHERE[1:] for word in ("--set", entry))]
    answer = ask("run", "smoke", "--dry-run", *options, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert re.search(r"^lot 1: \d+ cases, a whole node, \d+ s$", answer.err, re.MULTILINE)
    assert not any(Path(tmp_path).iterdir())


NOBODY = """
import rnnbench


def nobody(options, folder):
    raise rnnbench.UsageError("nobody answers at that address")


@rnnbench.hookimpl
def rnnbench_executors():
    return [rnnbench.Executor("away", cluster=nobody)]
"""


def test_a_run_whose_cluster_is_not_there_leaves_no_run_that_could_be_resumed(tmp_path):
    (tmp_path / "away.py").write_text(NOBODY)
    answer = ask("run", "smoke", "--plugin", "away.py", "--executor", "away", cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "nobody answers at that address" in answer.err
    assert not list(tmp_path.glob("results/runs/smoke/*"))
