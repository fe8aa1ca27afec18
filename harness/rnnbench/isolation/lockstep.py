"""Processes in lockstep: all are alive together, and one works at a time, a turn each per cycle, in random order.

The other end of `rnnbench.measure.lockstep`. Members are started one after the other; each builds and warms up in its
own time, until it first hands over. A measurement then goes through cycles until it is over for all, so that the i-th
samples of all members stand next to each other. When it is over is said by a `Pace`; without one, the first member that
has enough ends it, after as many turns for each. A member that ends, by whatever death, leaves the others to go on.

A member that measures no time, or whose code knows of no lockstep, never hands over: the others begin after it.
"""

from __future__ import annotations

import math
import random
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import psutil

from rnnbench.executor import Outcome, Pace
from rnnbench.isolation.launched import Running
from rnnbench.machine.environment import available_memory
from rnnbench.measure.lockstep import ALONE, GO, MORE, STOP, forget

SPARE = 1.25
"""Memory that must be free for one more process, in times of what the largest so far holds."""


class Channel:
    """Over which a process is given its turns. descriptor: of the process's end, for it to inherit."""

    def __init__(self) -> None:
        self.own, self.theirs = socket.socketpair()
        self.descriptor = self.theirs.fileno()

    def close(self) -> None:
        """Give both ends back."""
        self.own.close()
        self.theirs.close()


@dataclass
class Member:
    """A process in lockstep.

    channel: its turns come over this. start: begins it. timeout: seconds that it may work itself. companion: it takes
    turns for as long as others do, and ends with them. waits: as what it handed over. worked: seconds of its own turns.
    turns: of each measurement, seconds of each turn by this process's clock.
    """

    channel: Channel
    start: Callable[[], Running]
    timeout: float = math.inf
    companion: bool = False
    running: Running | None = None
    outcome: Outcome | None = None
    waits: bytes = b""
    worked: float = 0.0
    turns: list[list[float]] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self.running is not None and self.outcome is None

    def begin(self) -> None:
        """Start it: its first turn begins."""
        forget(self.channel.own)
        self.running = self.start()
        if self.running.fileno() is None:
            self.end()

    def end(self) -> None:
        """It has ended, or has to."""
        assert self.running
        self.outcome = self.running.outcome()

    def answer(self, message: bytes) -> None:
        """Tell it what it has handed over for: from now on it works."""
        self.waits = b""
        self.channel.own.sendall(message)

    def result(self) -> Outcome | None:
        """What came of it, and how long it worked itself; None where it was not started."""
        return None if self.outcome is None else replace(self.outcome, seconds=self.worked)


@dataclass
class Lockstep:
    """One group of processes that take turns.

    pace: how long each measurement lasts; None where the first member that has enough ends it for all, and where the
    last one that is left goes on by itself. order: draws the order of each cycle.
    """

    members: Sequence[Member]
    pace: Pace | None = None
    order: random.Random = field(default_factory=lambda: random.Random(0))

    def run(self) -> list[Outcome | None]:
        """Run all of them to their end: what came of each, with the seconds that it worked itself.

        None for those that were not started, for want of memory beside the others.
        """
        try:
            self._begin()
            while any(not member.companion for member in self._alive()):
                if not self.pace and len(self._alive()) == 1:
                    break
                self._measurement()
                self._go_on()
            for member in self._alive():
                self._let_work(member, ALONE)
        except BaseException:  # also Ctrl-C: what was begun must not go on
            for member in self._alive():
                assert member.running
                member.running.abandon()
            raise
        return [member.result() for member in self.members]

    def _alive(self) -> list[Member]:
        return [member for member in self.members if member.alive]

    def _shuffled(self) -> Iterator[Member]:
        members = self._alive()
        self.order.shuffle(members)
        return (member for member in members if member.alive)  # asked when its turn comes

    def _begin(self) -> None:
        held = 0
        for member in self.members:
            if self._alive() and available_memory() < SPARE * held:
                return
            member.begin()
            self._listen(member, time.perf_counter())
            if member.alive:
                held = max(held, _held(member))

    def _measurement(self) -> None:
        """Cycle after cycle, until it is over."""
        cycles, over = 0, False
        before = {id(member): member.worked for member in self.members}
        for member in self.members:
            member.turns.append([])
        while not over and self._alive():
            for member in self._shuffled():
                if member.waits == MORE:
                    worked = member.worked
                    self._let_work(member, GO)
                    member.turns[-1].append(member.worked - worked)
            cycles += 1
            over = any(member.waits != MORE for member in self._alive())
            if self.pace:
                worked = [member.worked - before[id(member)] for member in self._alive()]
                over = over or self.pace.over(cycles, sum(worked) / max(1, len(worked)))
            elif len(self._alive()) < 2:
                return

    def _go_on(self) -> None:
        """The measurement is over: let each do what comes before the next one, or end."""
        if not self.pace and len(self._alive()) < 2:
            return
        for member in self._shuffled():
            self._let_work(member, STOP if member.waits == MORE else GO)

    def _let_work(self, member: Member, message: bytes) -> None:
        """Answer a member, and wait until it hands over again or ends."""
        began = time.perf_counter()  # it may work before this process is back from telling it
        member.answer(message)
        self._listen(member, began)

    def _listen(self, active: Member, began: float) -> None:
        """Until the active member, which has worked since `began`, hands over or ends. Others may end meanwhile."""
        deadline = began + active.timeout - active.worked
        while active.alive and not active.waits:
            assert active.running
            ready = self._ready(active, min(deadline, active.running.deadline) - time.perf_counter())
            for member in ready:
                if member is not None:
                    member.end()
            if active.alive and None in ready:
                active.waits = active.channel.own.recv(1)
            elif active.alive and time.perf_counter() >= active.running.deadline:
                active.end()
            elif active.alive and time.perf_counter() >= deadline:
                active.running.expire(active.timeout)
                deadline = math.inf
        active.worked += time.perf_counter() - began

    def _ready(self, active: Member, seconds: float) -> list[Member | None]:
        """The members that have ended, and None where the active one says something; empty when the time is over."""
        with selectors.DefaultSelector() as selector:
            selector.register(active.channel.own, selectors.EVENT_READ)
            for member in self._alive():
                assert member.running
                fd = member.running.fileno()
                assert fd is not None
                selector.register(fd, selectors.EVENT_READ, member)
            return [key.data for key, _ in selector.select(None if seconds == math.inf else max(0.0, seconds))]


def _held(member: Member) -> int:
    """Bytes that the member, a child of its launcher, holds itself: without what it shares with that."""
    assert member.running
    try:
        children = psutil.Process(member.running.pid).children(recursive=True)
        return sum(process.memory_info().rss for process in children)
    except psutil.Error:  # it is just ending
        return 0
