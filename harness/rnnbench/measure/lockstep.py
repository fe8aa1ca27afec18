"""Lockstep: of several processes that are timed together, one runs at a time, a sample each.

On a shared machine the same call takes a third longer for seconds at a time, whenever a neighbour works. Processes
timed one after the other see different seconds; those that take turns of some 10 ms see the same ones, and their
samples differ only by what the processes themselves do differently. A run times the programs that one table compares
like this, and the regression gate its pairs.

A process holds the turn from its start. It hands over ahead of every sample; everything between, like building the next
program, is done in its own turn. A measurement ends for all processes after as many turns, so that the i-th turns of
all stand next to each other: when whoever gives the turns says so, or, where a process is not paced, after its last
sample. As many samples as fit make a turn; of a process that is not paced, a sample is a turn, unless its number of
calls was given. The other end is `rnnbench.isolation.lockstep`.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextvars import ContextVar

LENGTH = 0.01
"""Seconds of samples in a turn at the least."""

MORE, DONE = b"m", b"d"
"""What a process says as it hands over: it wants to take another sample, or has taken the last of a measurement."""

GO, STOP, ALONE = b"g", b"s", b"a"
"""What it is told: that it is its turn; that the measurement is over; that nobody else is there, now or later."""


class Turns:
    """A process's side of it. descriptor: of a socket to whoever gives the turns, closed in the end; None for a process
    on its own. paced: who gives the turns says when a measurement is over, whatever the process thinks of it.

    taken: how many turns it was given. waited: seconds in which others had theirs.
    """

    def __init__(self, descriptor: int | None = None, paced: bool = False) -> None:
        self._socket = None if descriptor is None else socket.socket(fileno=descriptor)
        self._paced = paced
        self.taken = 0
        self.waited = 0.0
        if self._socket:
            forget(self._socket)

    @property
    def shared(self) -> bool:
        """Whether there may be another process."""
        return self._socket is not None

    @property
    def paced(self) -> bool:
        """Whether somebody else says when a measurement is over."""
        return self._paced and self.shared

    def wait(self) -> bool:
        """Hand over, and return when it is this process's turn again: True to take a sample, False to take no more."""
        command = self._hand_over(MORE)
        self.taken += command == GO
        return command != STOP

    def done(self) -> None:
        """Hand over after the last sample of a measurement, and return when it is this process's turn again."""
        self._hand_over(DONE)

    def _hand_over(self, message: bytes) -> bytes:
        if not self._socket:
            return ALONE
        command, began = b"", time.perf_counter()
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(message)
            command = self._socket.recv(1)
        self.waited += time.perf_counter() - began
        if command not in (GO, STOP):  # also when nobody is there any more
            self.leave()
            return ALONE
        return command

    def leave(self) -> None:
        """Be on its own from now on."""
        if self._socket:
            self._socket.close()
            self._socket = None


def forget(connection: socket.socket) -> None:
    """Drop what was meant for the last process that sat here."""
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        connection.recv(64)
    connection.setblocking(True)


_current: ContextVar[Turns | None] = ContextVar("turns", default=None)


def current() -> Turns:
    """The turns that whatever is timed now has to keep to."""
    return _current.get() or Turns()


@contextlib.contextmanager
def joined(descriptor: int | None = None, paced: bool = False) -> Iterator[Turns]:
    """Time everything in turns, where a descriptor is given."""
    turns = Turns(descriptor, paced)
    token = _current.set(turns)
    try:
        yield turns
    finally:
        _current.reset(token)
        turns.leave()
