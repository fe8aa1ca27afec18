"""The `forkserver` executor where several of its processes can be alive at once, and take turns.

Each process has a launcher of its own, forked from one that has the framework imported, which costs some 10 ms: what
the process leaves behind can then be told from what others do. Linux only: elsewhere what a process has left behind is
found by a mark that all launchers of one generation share.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Iterator, Sequence

from rnnbench.executor import Outcome, Pace, Request
from rnnbench.isolation.forkserver import ForkServer, Key, key_of
from rnnbench.isolation.launched import Connection, LauncherLost, Running
from rnnbench.isolation.lockstep import Channel, Lockstep, Member


class LockstepForkServer(ForkServer):
    """A session of fresh processes, one at a time, or several in lockstep."""

    def lockstep(self, requests: Sequence[Request], pace: Pace, generation: int, seed: int) -> list[Outcome | None]:
        """Run jobs in lockstep, see `rnnbench.executor.LockstepSession`. Each gets a launcher that is forked from the
        generation's own.
        """
        with contextlib.ExitStack() as stack:
            members = [stack.enter_context(self._member(request, generation)) for request in requests]
            return Lockstep(members, pace, random.Random(seed)).run()

    @contextlib.contextmanager
    def _member(self, request: Request, generation: int) -> Iterator[Member]:
        channel = Channel()
        with contextlib.closing(channel), contextlib.ExitStack() as stack:

            def start() -> Running:
                began = time.perf_counter()
                try:
                    forked, descriptor = self._fork(key_of(request.job, request.preload, generation), channel)
                    stack.callback(forked.stop)
                    job = {**request.job, "turns": {"descriptor": descriptor, "paced": True}}
                    began = time.perf_counter()
                    if not forked.begin(self.request(job, math.inf)):
                        raise LauncherLost("the process that starts this case was lost before it could")
                except LauncherLost as lost:
                    return Running(None, began, math.inf, str(lost), lambda: None)
                return Running(forked, began, math.inf, "", forked.stop)

            yield Member(channel, start, request.timeout, request.companion)

    def _fork(self, key: Key, channel: Channel) -> tuple[Connection, int]:
        """A launcher forked from the one of this key, whose jobs inherit the other end of the channel."""
        launcher = self.launcher(key)
        try:
            forked, [descriptor] = launcher.fork(channel.theirs)
        except LauncherLost:
            self.discard(key)
            raise
        channel.theirs.close()  # so that nobody is there any more once the process has ended
        return forked, descriptor
