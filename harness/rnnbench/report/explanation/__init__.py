"""How one number came about, how far it can be trusted, and what to do about it: `rnnbench explain`.

choice = Choice("lstm", "native", {"seq_len": "64"}, "train.time_per_step")
print(text.render(explain(choose(records, choice), choice.quantity)))
"""

from rnnbench.report.explanation.choice import Choice, choose, headline
from rnnbench.report.explanation.facts import Explanation, explain
from rnnbench.report.explanation.process import ProcessFacts
from rnnbench.report.explanation.text import render

__all__ = ["Choice", "Explanation", "ProcessFacts", "choose", "explain", "headline", "render"]
