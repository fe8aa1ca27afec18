"""What a job runs on its node. JSON in, JSON out: nothing but this function's name is pickled."""

from __future__ import annotations

import json
import signal

from rnnbench import perform_lot


def perform(text: str) -> str:
    """Run a lot. text: `Lot.to_json` in JSON. Returns what `rnnbench.perform_lot` does, in JSON."""
    # submitit would requeue the job at this signal; `perform_lot` takes it while there is something to stop
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    return json.dumps(perform_lot(json.loads(text)))
