"""The tasks rnnbench ships: synthetic ones whose chance level is known in closed form, small real data, and files
of the user's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench import Task, hookimpl
from rnnbench_tasks.adding import adding
from rnnbench_tasks.arrays import arrays
from rnnbench_tasks.associative import induction, mqar
from rnnbench_tasks.automata import modular, parity
from rnnbench_tasks.copying import copy
from rnnbench_tasks.delayed_recall import delayed_recall
from rnnbench_tasks.japanese_vowels import japanese_vowels
from rnnbench_tasks.logistic_map import logistic_map
from rnnbench_tasks.mackey_glass import mackey_glass
from rnnbench_tasks.mnist1d import mnist1d
from rnnbench_tasks.selective import denoise, selective_copy
from rnnbench_tasks.seq_digits import seq_digits
from rnnbench_tasks.table import csv
from rnnbench_tasks.text import english_text, text
from rnnbench_tasks.word_problem import word_problem

TASKS = (
    adding,
    copy,
    selective_copy,
    denoise,
    delayed_recall,
    induction,
    mqar,
    parity,
    modular,
    word_problem,
    logistic_map,
    mackey_glass,
    seq_digits,
    mnist1d,
    japanese_vowels,
    english_text,
    text,
    arrays,
    csv,
)


@hookimpl
def rnnbench_tasks() -> Sequence[Task]:
    """Every task of this package."""
    return TASKS
