"""Sequences of the user's own in a CSV file."""

from __future__ import annotations

import csv as csv_module
from collections.abc import Sequence
from functools import lru_cache

from rnnbench import UsageError, nearest
from rnnbench_tasks.corpus import read_text
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.sequences import Arrays
from rnnbench_tasks.user_data import UserData, user_task, validated

SEQUENCE, TARGET = "sequence", "target"


@lru_cache(maxsize=2)
def read(file: str) -> UserData:
    """The data of a .csv file. Raises UsageError with the line of what is wrong with it."""
    header, rows, lines = _rows(file)
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    features = [name for name in header if name not in (SEQUENCE, TARGET)]
    values = np.stack([_numbers(file, name, columns[name], lines) for name in features], axis=-1)
    names, sequence = np.unique(columns[SEQUENCE], return_inverse=True)
    steps = _steps(sequence)
    answers = _answers(file, columns[TARGET], lines)
    T, N = int(steps.max()) + 1, len(names)
    xs, mask = np.zeros((T, N, len(features))), np.zeros((T, N))
    xs[steps, sequence], mask[steps, sequence] = values, 1
    targets = np.zeros((T, N), answers.dtype)
    targets[steps, sequence] = answers
    own = {"xs": xs, "targets": _per_sequence(targets, mask)}
    return validated(file, own if mask.all() else own | {"mask": mask})


def _rows(file: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows of as many fields, and the line of each row."""
    reader = csv_module.reader(read_text(file, "csv").splitlines(keepends=True))
    header = [name.strip() for name in next(reader, [])]
    for name in (SEQUENCE, TARGET):
        if name not in header:
            raise UsageError(f"{file}:1: no column {name!r} among {', '.join(header)}.{nearest(name, header)}")
    if len(set(header)) != len(header) or len(header) < 3:
        raise UsageError(f"{file}:1: needs {SEQUENCE}, {TARGET} and features, each once; found {', '.join(header)}.")
    rows, lines = [], []
    for row in reader:
        if len(row) not in (0, len(header)):
            raise UsageError(f"{file}:{reader.line_num}: {len(row)} fields under {len(header)} columns.")
        if row:
            rows.append(row)
            lines.append(reader.line_num)
    if not rows:
        raise UsageError(f"{file} has a header and no rows. Give one row per time step.")
    return header, rows, lines


def _numbers(file: str, name: str, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    """A column as floats; the error names the first cell that is no finite number."""
    try:
        numbers = np.array(cells, dtype=np.float64)
    except ValueError:
        numbers = np.array([_number(cell) for cell in cells])
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UsageError(f"{file}:{lines[bad[0]]}: column {name!r} has {cells[bad[0]]!r}, which is no finite number.")
    return numbers


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _answers(file: str, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    """Class ids where the cells are words or whole numbers (in sorted order), else floats."""
    try:
        numbers = np.array(cells, dtype=np.float64)
    except ValueError:
        return np.unique(cells, return_inverse=True)[1].astype(np.int64)
    if all(cell.strip().lstrip("+-").isdigit() for cell in cells):
        return np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    return _numbers(file, TARGET, cells, lines)


def _steps(sequence: np.ndarray) -> np.ndarray:
    """The time step of each row: how many rows of its sequence stand above it."""
    order = np.argsort(sequence, kind="stable")
    counts = np.bincount(sequence)
    steps = np.empty(len(sequence), np.int64)
    steps[order] = np.arange(len(sequence)) - np.repeat(counts.cumsum() - counts, counts)
    return steps


def _per_sequence(targets: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One answer per sequence where it is the same in all its rows, else one per step; numbers get their last axis."""
    constant = ((targets == targets[0]) | (mask == 0)).all()
    answers = targets[0] if constant else targets
    return answers if answers.dtype == np.int64 else answers[..., None]


@lru_cache(maxsize=2)
def _splits(file: str) -> dict[str, Arrays]:
    return read(file).splits()


csv = user_task("csv", read, _splits)
"""Sequences in a CSV file: `csv(file=data.csv)`, one row per time step, UTF-8, with a header. Column `sequence` says
which sequence a row belongs to, in the order of time; `target` is its answer; all other columns are features, numbers.

Targets that are words or whole numbers are classes, others numbers; a target that is the same in all rows of every
sequence is asked at its last step, otherwise at every step. Sequences of different length are padded and masked.
Splits, scaling, score: `rnnbench_tasks.user_data`. Chance: the best constant on the train split, entropy of the classes
in nats or variance of the numbers. Solved at `target_loss`, by default half of chance.
"""
