"""`--executor ray`: on real nodes of Ray, nothing lost and nothing twice whatever dies."""

from __future__ import annotations

import signal
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rnnbench
from command_line import ask
from learn_suite import LEARN, losses
from napping import SUITE, begun, kept, meta, notes, ran, resumed_after, run_folder, suite, until, whole
from rnnbench_ray.options import RayMachine, RayOptions

LOTS = ["--set", "executor.lot_minutes=0.05"]


@pytest.fixture(scope="module")
def server_port() -> int:
    """Of the head's server for clients."""
    return free_port()


@pytest.fixture(scope="module")
def nodes(server_port: int) -> Iterator[Any]:
    """Two nodes of a CPU each, the head among them, as processes on this machine."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'rnnbench[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

        head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": server_port}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it closes no file of the server for clients
            cluster = Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def finished(folder: Path, cluster: Any, *arguments: str) -> tuple[int, str]:
    """Exit code and words of `rnnbench run naps.yaml` on these nodes."""
    running = begun(folder, "--executor", "ray", "--set", f"executor.address={cluster.address}", *LOTS, *arguments)
    return running.wait(500), (folder / "said.txt").read_text()


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "`address` of a Ray cluster: it needs one"),
        (["executor.address=auto"], "found 'auto'; write `ray://head:10001`"),
        (["executor.adress=head:6379"], "Did you mean 'address'?"),
        (["executor.address=head:6379", "executor.gpus=-1"], "greater than or equal to 0"),
        (["executor.address=head:6379", "executor.machines={a: {resource: {a: 1}}}"], "Did you mean 'resources'?"),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path, arguments, said):
    suite(tmp_path)
    options = [word for argument in arguments for word in ("--set", argument)]
    answer = ask("run", "naps.yaml", "--executor", "ray", *options, cwd=tmp_path)
    assert (answer.code, said in answer.err) == (2, True), answer.err
    assert "Traceback" not in answer.err


def test_a_lot_for_a_machine_asks_for_its_resources_too():
    options = RayOptions(address="head:6379", resources={"disk": 1}, machines={"a": RayMachine({"a100": 1})})
    assert options.resources_of("a") == {"disk": 1, "a100": 1}
    assert options.resources_of("") == {"disk": 1}


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_that_nobody_answers_at_is_one_sentence(tmp_path, scheme):
    pytest.importorskip("ray")
    suite(tmp_path)
    address = f"{scheme}127.0.0.1:{free_port()}"
    answer = ask("run", "naps.yaml", "--executor", "ray", "--set", f"executor.address={address}", cwd=tmp_path)
    assert (answer.code, f"no Ray cluster answers at {address}" in answer.err) == (2, True), answer.err


@pytest.mark.long
def test_lots_are_packed_onto_the_nodes_and_what_no_node_has_is_refused(tmp_path, nodes):
    together = tmp_path / "together"
    together.mkdir()
    naps = f"3], seconds: 3, meet: {together}}}\n  watch: {{seconds: 0.3}}"
    suite(tmp_path, SUITE.replace("3]}", naps).replace("timeout: 60", "timeout: 240"))
    code, said = finished(tmp_path, nodes, "--set", "executor.cpus=2")
    assert (code, "has 2 CPU; its nodes have: 1 CPU, 0 GPU" in said) == (2, True), said
    code, said = finished(tmp_path, nodes, "--resume", "latest")
    assert code == 0, said
    records = rnnbench.load(run_folder(tmp_path)).records
    assert [(record.status, record.complete) for record in records] == [("ok", True)] * 10
    assert set(ran(tmp_path).values()) == {1}
    spans = [(began, ended) for id, began, ended, _ in notes(tmp_path) if id.startswith("nap")]
    assert any(one != other and one[0] < other[1] and other[0] < one[1] for one in spans for other in spans)
    assert {cpus for id, *_, cpus in notes(tmp_path) if id.startswith("nap")} == {1}


@pytest.mark.long
def test_a_cluster_is_reached_from_anywhere_by_its_server_for_clients(tmp_path, nodes, server_port):
    suite(tmp_path)
    address = f"executor.address=ray://127.0.0.1:{server_port}"
    running = begun(tmp_path, "--executor", "ray", "--set", address, *LOTS)
    assert running.wait(500) == 0, (tmp_path / "said.txt").read_text()
    whole(tmp_path)


@pytest.mark.long
def test_losses_are_those_of_this_machine_bit_for_bit(tmp_path, nodes):
    pytest.importorskip("torch")
    (tmp_path / "learn.yaml").write_text(LEARN.replace("BACKEND", "torch"))
    found = []
    for executor in (
        ["--executor", "forkserver"],
        ["--executor", "ray", "--set", f"executor.address={nodes.address}", *LOTS],
    ):
        answer = ask("run", "learn.yaml", *executor, cwd=tmp_path)
        assert answer.code == 0, answer.err
        found.append(rnnbench.load(str(max((tmp_path / "results/runs/learn").iterdir()))).records)
    alone, away = found
    assert len(losses(alone)) >= 4 * 8
    assert losses(away) == losses(alone)
    assert all(record.details["packed"] for record in away)


@pytest.mark.long
def test_a_node_that_is_killed_loses_its_lot_alone_and_that_is_tried_again(tmp_path, nodes):
    suite(tmp_path, SUITE.replace("3]}", "3], seconds: 4}"))
    second = nodes.add_node(num_cpus=1)
    running = begun(tmp_path, "--executor", "ray", "--set", f"executor.address={nodes.address}", *LOTS)
    until(lambda: kept(tmp_path) >= 2)
    nodes.remove_node(second, allow_graceful=False)
    assert running.wait(300) == 0, (tmp_path / "said.txt").read_text()
    records = rnnbench.load(run_folder(tmp_path)).records
    assert [(record.status, record.complete, len(record.parts)) for record in records] == [("ok", True, 1)] * 8
    assert {entry["state"] for entry in meta(tmp_path)["lots"].values()} == {"done", "lost"}
    assert sum(ran(tmp_path).values()) <= 8 + 1


@pytest.mark.long
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_a_command_that_ends_takes_its_lots_with_it_and_resume_does_the_rest(tmp_path, nodes, way):
    resumed_after(way, tmp_path, "--executor", "ray", "--set", f"executor.address={nodes.address}", *LOTS)
    whole(tmp_path)
