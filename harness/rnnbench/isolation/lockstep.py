"""Gives the two processes of a pair their turns, see `rnnbench.measure.lockstep`.

The second process is started when the first hands over for the first time: by then that is warm, and shows what memory
it holds. One that never hands over, because it measures no time or its revision does not know of turns, is followed by
the other as if there were no turns.
"""

from __future__ import annotations

import math
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import psutil

from rnnbench.executor import Outcome
from rnnbench.isolation.forkserver import Running
from rnnbench.machine.environment import available_memory
from rnnbench.measure.lockstep import ALONE, DONE, GO, MORE, STOP, forget

SPARE = 1.25
"""Memory that must be free for the second process, in times of what the first holds."""

Start = Callable[[], Running]


class Seat:
    """Where the processes of one side sit, one after the other. descriptor: for them to inherit."""

    def __init__(self) -> None:
        self.own, self._theirs = socket.socketpair()
        self.descriptor = self._theirs.fileno()

    def close(self) -> None:
        """Give both ends back."""
        self.own.close()
        self._theirs.close()


@dataclass
class _Player:
    """One process. waits: as what it handed over. taken: turns of the measurement it is in; lengths: of those it has
    finished. worked: seconds of its own turns.
    """

    seat: Seat
    start: Start
    running: Running | None = None
    outcome: Outcome | None = None
    waits: bytes = b""
    taken: int = 0
    lengths: list[int] = field(default_factory=list)
    worked: float = 0.0

    def begin(self) -> None:
        """Start it; its first turn begins."""
        forget(self.seat.own)
        self.running = self.start()
        if self.running.fileno() is None:
            self.end()

    def end(self) -> None:
        """It has ended, or has to."""
        assert self.running
        self.outcome = self.running.outcome()

    def result(self) -> Outcome:
        """What came of it, and how long it worked itself."""
        assert self.outcome
        return replace(self.outcome, seconds=self.worked)

    @property
    def works(self) -> Running | None:
        """The process, while there is one."""
        return None if self.outcome else self.running

    def hears(self, message: bytes) -> None:
        """It has handed over."""
        self.waits = message
        if message == DONE:
            self._finish()

    def goes_on(self, other: _Player) -> None:
        """It is its turn; it takes no more samples where the other has stopped after as many."""
        partner = other.lengths[len(self.lengths) :]
        if self.waits == MORE and partner and self.taken >= partner[0]:
            self._finish()
            self.seat.own.sendall(STOP)
        elif other.outcome and not partner:
            self.goes_alone()
        else:
            self.taken += self.waits == MORE
            self.seat.own.sendall(GO)

    def goes_alone(self) -> None:
        """There is nobody else any more, or no room for anybody."""
        self.seat.own.sendall(ALONE)

    def _finish(self) -> None:
        self.lengths.append(self.taken)
        self.taken = 0


def in_turns(first: tuple[Seat, Start], second: tuple[Seat, Start]) -> tuple[Outcome, Outcome]:
    """Run two jobs, of which one works at a time; what came of them, in this order. Their seconds are those that each
    worked itself.
    """
    active, other = pair = _Player(*first), _Player(*second)
    try:
        active.begin()
        while active.outcome is None or other.outcome is None:
            began = time.perf_counter()
            message = _listen(active, other)
            active.worked += time.perf_counter() - began
            if message:
                active.hears(message)
            if message and other.outcome:
                active.goes_on(other)
            elif message and active.works and not (other.running or _room(active.works)):
                active.goes_alone()
            elif other.works or not other.running:
                other.goes_on(active) if other.works else other.begin()
                active, other = other, active
    except BaseException:  # also Ctrl-C: what was begun must not go on
        for player in pair:
            if player.works:
                player.works.abandon()
        raise
    return pair[0].result(), pair[1].result()


def _listen(active: _Player, other: _Player) -> bytes:
    """What the active process says as it hands over; empty when it has ended. The other may end by its timeout, and
    either when its launcher has not reported in time.
    """
    while running := active.works:
        with selectors.DefaultSelector() as selector:
            selector.register(active.seat.own, selectors.EVENT_READ)
            for player in (active, other):
                if player.works and (fd := player.works.fileno()) is not None:
                    selector.register(fd, selectors.EVENT_READ, player)
            left = running.deadline - time.perf_counter()
            ready = [key.data for key, _ in selector.select(None if left == math.inf else max(0.0, left))]
        for player in filter(None, ready or [active]):
            player.end()
        if active.works and None in ready:
            return active.seat.own.recv(1)
    return b""


def _room(running: Running) -> bool:
    """Whether another process like this one, a child of its launcher, fits into the memory beside it."""
    try:
        children = psutil.Process(running.pid).children(recursive=True)
        held = sum(process.memory_info().rss for process in children)
    except psutil.Error:  # it is just ending
        return False
    return available_memory() > SPARE * held
