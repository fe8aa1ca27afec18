"""Where records are kept: `results/runs/<suite>/<time>-<id>/`, one folder per run, appended to and never rewritten."""

from rnnbench.store.files import write_atomically
from rnnbench.store.folder import FORMAT, RunFolder
from rnnbench.store.lines import InvalidRecord
from rnnbench.store.names import find_run, list_runs

__all__ = ["FORMAT", "InvalidRecord", "RunFolder", "find_run", "list_runs", "write_atomically"]
