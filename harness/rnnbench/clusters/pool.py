"""A worker process of the `local` executor: `python -m rnnbench.clusters.pool CPU,CPU...`.

It reads a `Lot` as JSON from each line of its input, performs it, and answers with the lot's id on a line of its
output; the records are in the lot's journal. It ends when its input does, in the middle of a lot too: then the command
that started it is gone, by whatever death.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from queue import SimpleQueue

from rnnbench.lots.worker import Worker


def main() -> None:
    """Serve until the input ends."""
    if hasattr(os, "sched_setaffinity") and sys.argv[1]:
        os.sched_setaffinity(0, [int(cpu) for cpu in sys.argv[1].split(",")])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what plugins print is no answer
    lots: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(lots,), daemon=True).start()
    worker = Worker()
    while True:
        lot = json.loads(lots.get())
        worker.perform(lot)
        answers.write(lot["id"] + "\n")


def _listen(lots: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lots.put(line)
    os.kill(os.getpid(), signal.SIGKILL)  # launchers notice, and end what they started


if __name__ == "__main__":
    main()
