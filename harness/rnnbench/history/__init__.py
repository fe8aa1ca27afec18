"""When numbers changed, over the stored runs of one machine.

The values of each case and quantity are put in the order of the commits they were measured on, the drift of the machine
(the reference kernel) is divided out of those that are times or rates, and the places are looked for where their level
changed. A change names the commits it lies between.
"""

from rnnbench.history.change_points import Shift, shifts, steps
from rnnbench.history.commits import Commit, commits
from rnnbench.history.finding import Break, History, LevelChange, by_cause, history
from rnnbench.history.page import render
from rnnbench.history.runs import Machine, StoredRun, stored_runs
from rnnbench.history.series import Point, QuantityHistory, all_series
from rnnbench.history.text import to_json, to_text

__all__ = [
    "Break",
    "Commit",
    "History",
    "LevelChange",
    "Machine",
    "Point",
    "QuantityHistory",
    "Shift",
    "StoredRun",
    "all_series",
    "by_cause",
    "commits",
    "history",
    "render",
    "shifts",
    "steps",
    "stored_runs",
    "to_json",
    "to_text",
]
