"""Lots that wait: in which order they begin, and which of this machine's workers gets which."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from played_sessions import CASE
from rnnbench import Lot, LotQueue
from rnnbench.clusters import local
from rnnbench.clusters.local import Pool


class Played(LotQueue[str]):
    """Takes lots whose id has no `!`; those that `ready` names end at the next look."""

    def __init__(self, at_most=None):
        super().__init__(at_most)
        self.ready, self.stopped = [], []

    def begin(self, lot):
        return None if lot.id.endswith("!") else f"task of {lot.id}"

    def look(self, seconds):
        for id, state in self.ready:
            self.end(id, state, "why" * (state == "lost"), {"lines": [id]})
        self.ready = []

    def stop(self, tasks):
        self.stopped += tasks.values()

    def attach(self, ids):
        for id in ids:
            self.end(id, "lost")

    def close(self): ...


def states(cluster):
    return {one.id: one.state for one in cluster.poll(0.0)}


def lots(*ids):
    return [Lot(id, []) for id in ids]


def test_at_most_so_many_are_at_work_and_each_is_told_to_be_over_once():
    cluster = Played(at_most=2)
    assert cluster.submit(lots("a", "b", "c")) == ["a", "b", "c"]
    assert states(cluster) == {"a": "running", "b": "running", "c": "pending"}
    cluster.ready = [("b", "done"), ("a", "lost")]
    assert states(cluster) == {"b": "done", "a": "lost", "c": "running"}
    assert states(cluster) == {"c": "running"}
    assert cluster.result("b") == {"lines": ["b"]}
    with pytest.raises(KeyError):
        cluster.result("a")


def test_what_there_is_no_room_for_waits_in_its_place_and_holds_nobody_up():
    cluster = Played(at_most=2)
    cluster.submit(lots("x!", "a", "y!", "b", "c"))
    assert states(cluster) == {"a": "running", "b": "running", "x!": "pending", "y!": "pending", "c": "pending"}
    cluster.ready = [("a", "done")]
    assert list(states(cluster)) == ["a", "b", "c", "x!", "y!"]


def test_what_is_cancelled_waits_no_more_and_is_stopped():
    cluster = Played(at_most=1)
    cluster.submit(lots("a", "b", "c"))
    cluster.cancel(["a", "b"])
    assert cluster.stopped == ["task of a"]
    cluster.poll(0.0)
    assert states(cluster) == {"c": "running"}


@pytest.fixture
def workers(monkeypatch):
    """Stands for worker processes: the ends by which they answer, in the order they were started."""
    ends = []

    def started(cpus):
        reading, writing = os.pipe()
        ends.append(os.fdopen(writing, "wb", buffering=0))
        return SimpleNamespace(
            stdin=io.BytesIO(), stdout=os.fdopen(reading, "rb"), kill=lambda: None, wait=lambda: 0, cpus=cpus
        )

    monkeypatch.setattr(local, "_started", started)
    yield ends
    for end in ends:
        end.close()


def test_a_worker_gets_what_it_has_verified_and_no_two_begin_with_the_same(workers):
    cells = {"one": "lstm", "two": "lstm", "three": "gru", "four": "gru", "five": "rnn"}
    pool = Pool(2)
    pool.submit([Lot(id, [replace(CASE, cell=cell).to_json()]) for id, cell in cells.items()])
    assert list(pool.tasks) == ["one", "three"]
    workers[1].write(b"three\n")
    pool.poll(0.0)
    assert list(pool.tasks) == ["one", "four"]
    workers[1].write(b"four\n")
    pool.poll(0.0)
    assert list(pool.tasks) == ["one", "five"], "a program that nobody has, before one that is another's"
    workers[1].write(b"five\n")
    pool.poll(0.0)
    assert list(pool.tasks) == ["one", "two"], "rather than be idle"
    pool.close()
