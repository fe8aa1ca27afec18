"""The paired regression test: two revisions, one machine, one run.

    request = Request(suite=Path("suites/smoke.yaml"), base="main")
    repository = repository_of(request.suite)
    with Workspace(repository) as workspace:
        prepared = prepare_sides(request, repository, workspace)
        planned = plan_sides(prepared, request, repository)

`worktrees` gets the files of a revision, `side` runs processes there, `subjects` finds what both plan, `sampling` buys
pairs, `decision` judges them, `rows` and `report` say it, `run.Gate` goes through all of it.
"""

from rnnbench.gate.pairs import Sampler
from rnnbench.gate.report import Report
from rnnbench.gate.rows import GateRow
from rnnbench.gate.run import Gate
from rnnbench.gate.setup import GateRequest, plan_sides, prepare_sides, repository_of
from rnnbench.gate.state import GateState
from rnnbench.gate.tolerances import Tolerances
from rnnbench.gate.worktrees import Workspace

__all__ = [
    "Gate",
    "GateRequest",
    "GateRow",
    "GateState",
    "Report",
    "Sampler",
    "Tolerances",
    "Workspace",
    "plan_sides",
    "prepare_sides",
    "repository_of",
]
