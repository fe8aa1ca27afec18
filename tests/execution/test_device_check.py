"""What is known of an implementation on a device: what was tried, and that all else is said to be unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from command_line import ask
from played_sessions import REGISTRY, Here
from rnnbench.case import Case
from rnnbench.execution.device_check import DeviceCheck, Evidence
from rnnbench.executor import Job, Outcome
from rnnbench.probes import rnnbench_probes
from rnnbench.registry import Registry

MEMORY = {probe.name: probe for probe in rnnbench_probes()}
ABSENT = "no NVIDIA driver is loaded"


class There(Here):
    """A backend with a GPU that may be absent, and one that is never here."""

    def __init__(self, gpu: str | None) -> None:
        self.gpu = gpu

    def devices(self) -> Mapping[str, str | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return {"cpu": None, "cuda": self.gpu, "cuda:h100": None, "tpu:v5e": "needs its compiler"}

    def verified_on(self, device: str) -> str:
        return "cpu" if ":" in device else device


@dataclass
class Session:
    """Jobs end as `statuses` says of (kind, device), else well."""

    statuses: Mapping[tuple[str, str], str] = field(default_factory=dict)
    jobs: list[tuple[str, Case]] = field(default_factory=list)

    def run(self, job: Job, preload: tuple[str, ...], timeout: float) -> Outcome:
        case = Case.from_json(job["case"])
        self.jobs.append((job["kind"], case))
        status = self.statuses.get((job["kind"], case.device), "ok")
        if status == "crashed":
            return Outcome("crashed", {}, "killed by signal 11")
        reason = "" if status == "ok" else f"it is {status}"
        kit: dict[str, Any] = {"verified": "oracle", "checks": [{}, {}, {}], "outputs": [[[0.0]]]}
        part: dict[str, Any] = {"values": {}, "details": {"compiled": {"forward": {}, "train": {}}}}
        return Outcome("ok", {"status": status, "reason": reason, **(kit if job["kind"] == "kit" else part)})

    def close(self) -> None: ...


def registry(gpu: str | None, **changes: Any) -> Registry:
    implementation = replace(REGISTRY.implementations["here", "plain"], **changes)
    return replace(
        REGISTRY,
        backends={"here": There(gpu)},
        implementations={("here", "plain"): implementation},
        probes=dict(MEMORY),
    )


def interpreter(device: str) -> str | None:
    return "an interpreter" if device == "cpu" else None


def evidence(session: Session, gpu: str | None = ABSENT, **changes: Any) -> Evidence:
    [one] = DeviceCheck(registry(gpu, **changes), session, "cuda").evidence()
    return one


def test_without_the_device_a_kernel_is_interpreted_and_compiled_and_its_speed_is_unknown() -> None:
    session = Session()
    one = evidence(session, interpreter=interpreter, block=64)
    assert [(kind, case.device) for kind, case in session.jobs] == [("kit", "cpu"), ("measure", "cuda:h100")]
    assert session.jobs[1][1].seq_len > 64, "compiled for more steps than a block has"
    assert one.interpreted and one.interpreted.about == "an interpreter, 3 checks over 97 steps"
    assert [(look.device, look.status) for look in one.compiled] == [("cuda:h100", "ok")]
    assert (one.run.status, one.run.about) == ("skipped", ABSENT)
    assert "how fast it is" in one.unknown and any(text.startswith("races") for text in one.unknown)
    assert not one.bad


def test_with_the_device_it_runs_there_and_only_other_devices_are_unknown() -> None:
    one = evidence(Session(), gpu=None)
    assert one.interpreted is None and one.run.ok
    assert one.unknown == ("other devices than this one",)


@pytest.mark.parametrize(
    ("statuses", "unknown"),
    [
        ({("measure", "cuda:h100"): "failed"}, "whether it compiles for the device"),
        ({("measure", "cuda:h100"): "crashed"}, "whether it compiles for the device"),
        ({("kit", "cpu"): "wrong"}, "whether its kernels are right at all"),
    ],
)
def test_what_does_not_go_well_is_told_and_leaves_more_unknown(statuses, unknown) -> None:
    one = evidence(Session(statuses), interpreter=interpreter)
    assert one.bad and unknown in one.unknown
    assert unknown not in evidence(Session(), interpreter=interpreter).unknown


def test_one_that_runs_no_cell_there_says_why_and_nothing_is_tried() -> None:
    session = Session()
    one = evidence(session, supports=lambda cell, device, dtype: f"not for {device}")
    assert (one.cell, one.run.about, session.jobs) == ("", "not for cuda", [])
    assert REGISTRY.implementations["here", "plain"].interpreter("cpu") is None, "nothing is interpreted by default"


@pytest.mark.long
def test_the_command_tells_the_same_as_json(tmp_path) -> None:
    pytest.importorskip("jax")
    done = ask("check", "gpu", "jax/pallas", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    [one] = json.loads(done.out)
    assert (one["implementation"], one["interpreted"]["status"]) == ("jax/pallas", "ok")
    assert {look["device"] for look in one["compiled"]} == {"cuda:a100", "cuda:h100"}


def test_a_name_that_is_not_there_names_the_near_one(tmp_path) -> None:
    wrong = ask("check", "gpu", "jax/palas", cwd=tmp_path)
    assert wrong.code == 2 and "Did you mean 'jax/pallas'?" in wrong.err
    assert "Traceback" not in wrong.err
