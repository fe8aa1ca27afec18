"""Runs in a notebook or a script: measure, load, and go on in pandas and matplotlib.

    import rnnbench

    run = rnnbench.load("long_seq")
    run.frame()                                # a tidy DataFrame
    run.wide("train.time_per_step")            # programs by sequence length
    run.plot("train.time_per_step")            # a matplotlib Figure

Nothing is printed, and no state of pyplot is touched.
"""

from rnnbench.notebook.comparison import RunComparison, compare
from rnnbench.notebook.running import run
from rnnbench.notebook.stored_run import Run, load

__all__ = ["Run", "RunComparison", "compare", "load", "run"]
