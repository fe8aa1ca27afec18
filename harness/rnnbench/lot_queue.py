"""What a `Cluster` keeps whose engine has no queue that can be relied on: lots that wait, are at work, and are over."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from rnnbench.cluster import Lot, LotState, Standing

Task = TypeVar("Task")


class LotQueue(ABC, Generic[Task]):
    """A `Cluster` of which a child says how a lot is begun, how it is seen to end, and how it is ended.

    Lots begin in the order they were submitted, unless `choose` says otherwise, each as soon as there is room for it.

    Args:
        at_most: Lots at work at once; None: as many as `begin` takes.

    Attributes:
        tasks: What `begin` returned, by the id of its lot, of those that are at work.

    Example:
        >>> from rnnbench import Lot, LotQueue
        >>> class AtOnce(LotQueue):
        ...     def begin(self, lot):
        ...         return "an answer"
        ...     def look(self, seconds):
        ...         for id, answer in list(self.tasks.items()):
        ...             self.end(id, "done", answer={"lines": [answer]})
        ...     def stop(self, tasks): ...
        ...     def attach(self, ids): ...
        ...     def close(self): ...
        >>> cluster = AtOnce(at_most=1)
        >>> cluster.submit([Lot("a", []), Lot("b", [])])
        ['a', 'b']
        >>> [(one.id, one.state) for one in cluster.poll(0.0)], cluster.result("a")
        ([('a', 'done'), ('b', 'running')], {'lines': ['an answer']})
    """

    def __init__(self, at_most: int | None = None) -> None:
        self.tasks: dict[str, Task] = {}
        self._most = at_most
        self._waiting: list[Lot] = []
        self._over: list[Standing] = []
        self._answers: dict[str, Mapping[str, Any]] = {}

    @abstractmethod
    def begin(self, lot: Lot) -> Task | None:
        """Hand a lot over; None where there is no room for it now."""

    @abstractmethod
    def look(self, seconds: float) -> None:
        """Wait until a task ends, `seconds` at the most, and call `end` for each that did. There is one at least."""

    @abstractmethod
    def stop(self, tasks: Mapping[str, Task]) -> None:
        """End these, by the id of their lot; they are in `tasks` no more."""

    @abstractmethod
    def attach(self, ids: Sequence[str]) -> None:
        """As in `Cluster`: put those that go on into `tasks`, and call `end` for the others."""

    @abstractmethod
    def close(self) -> None:
        """As in `Cluster`."""

    def end(self, id: str, state: LotState, why: str = "", answer: Mapping[str, Any] | None = None) -> None:
        """A lot is over. answer: what its worker returned, of one that is `done`; none where its journal says it."""
        self.tasks.pop(id, None)
        self._over.append(Standing(id, state, why))
        if state == "done":
            self._answers[id] = answer or {}

    def submit(self, lots: Sequence[Lot]) -> Sequence[str]:
        """Put them in the queue; their ids are the engine's."""
        self._waiting += lots
        self._feed()
        return [lot.id for lot in lots]

    def poll(self, seconds: float) -> Iterable[Standing]:
        """Those that are over, at work, and waiting."""
        if self.tasks:
            self.look(seconds)
        elif not self._over:
            time.sleep(seconds)  # until there is room
        self._feed()
        over, self._over = self._over, []
        running = [Standing(id, "running") for id in self.tasks]
        return [*over, *running, *(Standing(lot.id, "pending") for lot in self._waiting)]

    def result(self, id: str) -> Mapping[str, Any]:
        """What the lot's worker returned."""
        return self._answers.pop(id)

    def cancel(self, ids: Sequence[str]) -> None:
        """Forget those that wait, and stop the others."""
        self._waiting = [lot for lot in self._waiting if lot.id not in ids]
        self.stop({id: self.tasks.pop(id) for id in ids if id in self.tasks})

    def choose(self, lots: Sequence[Lot]) -> int:  # noqa: ARG002
        """Which of those that wait is to begin next, by its place: the first, unless a child knows better."""
        return 0

    def _feed(self) -> None:
        """Hand over what there is room for."""
        left = []
        while self._waiting and (self._most is None or len(self.tasks) < self._most):
            lot = self._waiting.pop(self.choose(self._waiting))
            task = self.begin(lot)
            if task is None:
                left.append(lot)
            else:
                self.tasks[lot.id] = task
        self._waiting = left + self._waiting
