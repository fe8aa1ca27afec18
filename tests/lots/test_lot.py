"""What a lot asks of its worker, and what a worker refuses."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

import pytest

import rnnbench
from played_sessions import CASE
from rnnbench import Case, Lot, perform_lot
from rnnbench.case import digest
from rnnbench.lots import pinning
from rnnbench.lots.cutting import Cutter
from rnnbench.registry import Registry, load
from rnnbench.registry.contents import code, versions


@pytest.fixture(scope="module")
def installed() -> Registry:
    return load()


def ending(lot: Lot) -> tuple[str, str]:
    """How a worker ended it, and why."""
    last = json.loads(perform_lot(lot.to_json())["lines"][-1])
    return last["ends"], last["why"]


def test_a_worker_with_another_version_says_which_and_does_nothing(installed):
    here = versions(installed)
    name, version = next(iter(here.items()))
    plain = version.partition("+")[0]
    lot = Lot("a", [CASE.to_json()], version=rnnbench.__version__)
    for other, named in (
        (
            replace(lot, version="0.0.7"),
            f"this worker has rnnbench {rnnbench.__version__}, and the lot is of rnnbench 0.0.7",
        ),
        (replace(lot, code={**code(), "rnnbench": "0" * 16}), "other code of rnnbench"),
        (replace(lot, versions={name: "0.0.7"}), f"this worker has {name} {version}, and the sender has {name} 0.0.7"),
    ):
        ends, why = ending(other)
        assert (ends, named in why) == ("refused", True), why
        assert "Install the same on all nodes" in why
    same = {name: f"{plain}+another.build", "a framework that is not here": "1"}
    assert ending(replace(lot, cases=[], versions=same, code=code())) == ("done", "")


def test_a_lot_is_of_one_machine_and_says_which(installed):
    cases = [replace(CASE, machine=machine) for machine in ("a100", "h100", "a100")]
    lots = Cutter(installed, lambda _: 1.0, 60.0).lots(cases)
    assert sorted((lot.machine, len(lot.cases)) for lot in lots) == [("a100", 2), ("h100", 1)]
    assert [Case.from_json(one).machine for lot in lots for one in lot.cases] == [
        lot.machine for lot in lots for _ in lot.cases
    ]


def test_a_case_for_any_machine_is_the_case_that_it_always_was():
    assert "machine" not in CASE.to_json()
    there = replace(CASE, machine="a100")
    assert len({CASE.id, there.id, replace(CASE, machine="h100").id}) == 3
    assert there.program_id == CASE.program_id
    without = {key: value for key, value in vars(CASE).items() if key not in ("params", "machine")}
    assert CASE.id == digest(without)


def test_only_cases_for_a_gpu_ask_for_one(installed):
    cutter = Cutter(installed, lambda _: 1.0, 60.0, cpus=4, gpus=2)
    cases = [
        replace(CASE, probe=probe, backend="torch", device=device)
        for probe in ("throughput", "convergence")
        for device in ("cpu", "cuda", "cuda:1", "cuda:h100")
    ]
    asked = {(lot.quiet, lot.cases[0]["device"]): (lot.cpus, lot.gpus) for one in cases for lot in cutter.lots([one])}
    assert asked == {
        (quiet, device): (None if quiet else 4, 2 if device in ("cuda", "cuda:1") else 0)
        for quiet in (True, False)
        for device in ("cpu", "cuda", "cuda:1", "cuda:h100")
    }


def test_frameworks_are_told_to_the_workers_of_other_machines(installed):
    pytest.importorskip("torch")
    case = replace(CASE, backend="torch")
    [there] = Cutter(installed, lambda _: 1.0, 60.0, code=code()).lots([case])
    [here] = Cutter(installed, lambda _: 1.0, 60.0).lots([case])
    assert there.versions and there.versions["torch"] == versions(installed)["torch"]
    assert here.versions is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason=f"no affinity on {sys.platform}")
def test_a_worker_has_all_its_cpus_again_after_a_packed_lot():
    before = os.sched_getaffinity(0)
    with pinning.pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
    with pinning.pinned(None):
        assert os.sched_getaffinity(0) == before
