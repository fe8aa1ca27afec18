"""Sequences of the user's own in a CSV file."""

from __future__ import annotations

import csv as csv_module
import io
import re
from collections.abc import Sequence
from functools import lru_cache

from rnnbench import UsageError, nearest
from rnnbench_tasks.answers import Answers, Source, answers
from rnnbench_tasks.corpus import read_text
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.sequences import Arrays
from rnnbench_tasks.user_data import UserData, user_task, validated

SEQUENCE, TARGET = "sequence", "target"
_FIELD = r' *(?:"(?:[^"]|"")*" *|[^",]*)'
_LINE = re.compile(rf"{_FIELD}(?:,{_FIELD})*[\r\n]*")
"""A row whose quotes open and close around whole fields."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


@lru_cache(maxsize=2)
def read(file: str, kind: str = "auto", at: str = "auto") -> UserData:
    """The data of a .csv file. Raises UsageError with the line of what is wrong with it."""
    source = Source(file, kind, at)
    header, rows, lines = _rows(file)
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    features = [name for name in header if name not in (SEQUENCE, TARGET)]
    values = np.stack([_numbers(file, name, columns[name], lines) for name in features], axis=-1)
    names, sequence = np.unique(columns[SEQUENCE], return_inverse=True)
    steps = _steps(sequence)
    known = _answers(source, columns[TARGET], lines)
    T, N = int(steps.max()) + 1, len(names)
    xs, mask = np.zeros((T, N, len(features))), np.zeros((T, N))
    xs[steps, sequence], mask[steps, sequence] = values, 1
    targets = np.zeros((T, N), known.values.dtype)
    targets[steps, sequence] = known.values
    own = {"xs": xs, "targets": _placed(source, targets, mask)}
    return validated(source, own if mask.all() else own | {"mask": mask}, known.labels)


def _rows(file: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows of as many fields, and the line of each row."""
    # lines end at CR and LF alone; other separators of Unicode may stand in a field
    text = list(io.StringIO(read_text(file, "csv", newline=""), newline=""))
    for number, line in enumerate(text, 1):
        if '"' in line and not _LINE.fullmatch(line):
            raise UsageError(
                f"{file}:{number}: a quote is not closed on its line, or stands inside a field. Put quotes around "
                f"whole fields, and write one that belongs to a field twice."
            )
    reader = csv_module.reader(text, skipinitialspace=True, strict=True)
    try:
        (_, first), *found = [(reader.line_num, row) for row in reader]
    except csv_module.Error as error:  # a field of more than 131072 characters
        raise UsageError(f"{file}:{reader.line_num}: {error}.") from None
    header = [name.strip() for name in first]
    for name in (SEQUENCE, TARGET):
        if name not in header:
            raise UsageError(
                f"{file}:1: no column {name!r} among {', '.join(header)}.{_separator(header) or nearest(name, header)}"
            )
    if len(set(header)) != len(header) or len(header) < 3:
        raise UsageError(f"{file}:1: needs {SEQUENCE}, {TARGET} and features, each once; found {', '.join(header)}.")
    rows, lines = [], []
    for number, row in found:
        if len(row) not in (0, len(header)):
            raise UsageError(f"{file}:{number}: {len(row)} fields under {len(header)} columns.")
        if row:
            rows.append([field.strip() for field in row])
            lines.append(number)
    if not rows:
        raise UsageError(f"{file} has a header and no rows. Give one row per time step.")
    return header, rows, lines


def _separator(header: Sequence[str]) -> str:
    """A hint at a header that is separated by something else."""
    other = next((mark for mark in (";", "\t", "|") if len(header) == 1 and mark in header[0]), None)
    return f" Separate fields by commas; found {other!r}." if other else ""


def _numbers(file: str, name: str, cells: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    """A column as floats; the error names the first cell that is no finite number."""
    numbers = np.array([_number(cell) for cell in cells])
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UsageError(f"{file}:{lines[bad[0]]}: column {name!r} has {cells[bad[0]]!r}, which is no finite number.")
    return numbers


def _number(cell: str) -> float:
    """NaN where it is none: Python also reads 1_000 and other alphabets' digits, which no other program would."""
    try:
        return float(cell) if cell.isascii() and "_" not in cell else float("nan")
    except ValueError:
        return float("nan")


def _answers(source: Source, cells: Sequence[str], lines: Sequence[int]) -> Answers:
    """The target column: words or whole numbers for classes, else floats. Raises UsageError for empty cells, and for
    numbers among words that are not said to be classes.
    """
    file = source.file
    if "" in cells:
        raise UsageError(f"{file}:{lines[cells.index('')]}: column {TARGET!r} is empty.")
    every = np.ones(len(cells), bool)
    if all(map(_WHOLE.fullmatch, cells)):
        return answers(source, np.array(list(map(int, cells))), every)
    if source.kind == "classes":
        return answers(source, np.array(cells), every)
    words = [_is_word(cell) for cell in cells]
    if all(words):
        return answers(source, np.array(cells), every)
    if any(words) and source.kind == "auto":
        word = words.index(True)
        raise UsageError(
            f"{file}:{lines[word]}: column {TARGET!r} has numbers and {cells[word]!r}. Mend it, or say `kind=classes`."
        )
    return answers(source, _numbers(file, TARGET, cells, lines), every)


def _is_word(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return True
    return False


def _steps(sequence: np.ndarray) -> np.ndarray:
    """The time step of each row: how many rows of its sequence stand above it."""
    order = np.argsort(sequence, kind="stable")
    counts = np.bincount(sequence)
    steps = np.empty(len(sequence), np.int64)
    steps[order] = np.arange(len(sequence)) - np.repeat(counts.cumsum() - counts, counts)
    return steps


def _placed(source: Source, targets: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One answer per sequence where it is the same in all its rows, else one per step; numbers get their last axis."""
    at = source.at
    if at == "auto":
        at = "last" if ((targets == targets[0]) | (mask == 0)).all() else "step"
    last = mask.sum(axis=0).astype(int) - 1
    placed = targets if at == "step" else targets[last, np.arange(targets.shape[1])]
    return placed if placed.dtype == np.int64 else placed[..., None]


@lru_cache(maxsize=2)
def _splits(file: str, kind: str, at: str) -> dict[str, Arrays]:
    return read(file, kind, at).splits()


csv = user_task("csv", read, _splits)
"""Sequences in a CSV file: `csv(file=data.csv)`, one row per time step, UTF-8, with a header. Column `sequence` says
which sequence a row belongs to, in the order of time; `target` is its answer; all other columns are features, numbers.
A field may stand in quotes; a quote that is not closed on its line is an error.

Targets that are words or whole numbers are classes, others numbers; more than 20 different whole numbers that do not
count from 0 or 1 may be either, and `kind=regression` or `kind=classes` says which. A target that is the same in all
rows of every sequence is asked at its last step, otherwise at every step, unless `at=last` or `at=step` says it.
Sequences of different length are padded and masked.
Splits, scaling, score: `rnnbench_tasks.user_data`. Chance: the best constant on the train split, entropy of the classes
in nats or variance of the numbers. Solved at `target_loss`, by default half of chance.
"""
