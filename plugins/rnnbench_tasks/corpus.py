"""A text as characters: vocabulary, split by position, and what simple models of it score."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rnnbench import UsageError, nearest
from rnnbench_tasks.lazy_numpy import np

MOST_CHARACTERS = 2**13
"""More than a Chinese text has; an input is one-hot, four bytes for each of them."""
BOUNDS = {"train": (0.0, 0.9), "validation": (0.9, 0.95), "test": (0.95, 1.0)}
"""Where each split begins and ends, as shares of the text."""


CHUNK = 2**18
"""Characters worked on at a time: what has to be held beside a text is a few bytes for each of these alone."""
DENSE = 2**22
"""Most different n-grams that are counted in a table with a place for each; of more, those that occur are sorted."""


@dataclass(frozen=True)
class Corpus:
    """vocabulary: every character once, the place of a character is its id. ids: the text, in a byte or two each."""

    vocabulary: str
    ids: np.ndarray

    @classmethod
    def of(cls, text: str, vocabulary: str | None = None) -> Corpus:
        """The characters of a text, by default its own vocabulary in the order of code points."""
        known = np.array([ord(character) for character in (vocabulary or "")], np.int64)
        if vocabulary is None:
            seen = np.zeros(sys.maxunicode + 1, bool)
            for codes in _codes(text):
                seen[codes] = True
            known = np.flatnonzero(seen)
        absent = len(known)
        table = np.full(sys.maxunicode + 1, absent, np.min_scalar_type(absent))
        table[known] = np.arange(absent)
        ids = np.concatenate([np.zeros(0, table.dtype), *(table[codes] for codes in _codes(text))])
        if vocabulary is not None and (unknown := np.flatnonzero(ids == absent)).size:
            raise UsageError(
                f"character {text[unknown[0]]!r} is not among the {absent} that the model knows: {vocabulary!r:.120}"
            )
        return cls("".join(map(chr, known)), ids)

    def encode(self, text: str) -> np.ndarray:
        """Ids of a text, for a prompt. Raises UsageError for a character that the corpus does not have."""
        return Corpus.of(text, self.vocabulary).ids

    def decode(self, ids: np.ndarray) -> str:
        """The text of ids, for what a model has written."""
        return "".join(self.vocabulary[i] for i in np.asarray(ids).ravel())

    def part(self, split: str) -> np.ndarray:
        """The ids of one split; splits do not overlap."""
        low, high = BOUNDS[split]
        return self.ids[round(low * len(self.ids)) : round(high * len(self.ids))]

    @cached_property
    def entropy(self) -> float:
        """Nats per character of the best constant predictor: −Σ p ln p over the characters of the whole text."""
        _, counts = _n_grams(self.ids, 1, len(self.vocabulary))
        p = counts / len(self.ids)
        return float(-(p * np.log(p)).sum())

    @cached_property
    def trigram_loss(self) -> float:
        """Nats per character, on the validation part, of what the last two characters tell.

        Witten & Bell 1991 interpolation fitted on the train part: P(c|h) = (n(hc) + d(h)·P(c|shorter h)) / (n(h) +
        d(h)), where d(h) counts the different characters seen after h; below the empty context all are equally likely.
        """
        K = len(self.vocabulary)
        train, validation = self.part("train"), self.part("validation").astype(np.int64)
        probability = np.full(len(validation) - 2, 1 / K)
        for length in range(3):
            pairs, counts = _n_grams(train, length + 1, K)
            contexts, first = np.unique(pairs // K, return_index=True)
            asked = _keys(validation[2 - length : -1], length, K)
            together = _count(pairs, counts, asked * K + validation[2:])
            totals = _count(contexts, np.add.reduceat(counts, first), asked)
            kinds = _count(contexts, np.diff(first, append=len(pairs)), asked)
            fitted = (together + kinds * probability) / np.maximum(totals + kinds, 1)
            probability = np.where(totals > 0, fitted, probability)
        return float(-np.log(probability).mean())


def _codes(text: str) -> Iterator[np.ndarray]:
    """The code points of a text, a chunk at a time."""
    for start in range(0, len(text), CHUNK):
        yield np.frombuffer(text[start : start + CHUNK].encode("utf-32-le"), np.uint32)


def _keys(ids: np.ndarray, length: int, K: int) -> np.ndarray:
    """A number for each run of `length` neighbouring characters; ids int64."""
    count = len(ids) - length + 1
    return sum((ids[i : i + count] * K ** (length - 1 - i) for i in range(length)), np.zeros(count, np.int64))


def _n_grams(ids: np.ndarray, length: int, K: int) -> tuple[np.ndarray, np.ndarray]:
    """The keys, ascending, of the runs of characters that occur, and how often each does."""
    starts = range(0, len(ids) - length + 1, CHUNK)
    pieces = (_keys(ids[start : start + CHUNK + length - 1].astype(np.int64), length, K) for start in starts)
    if K**length <= DENSE:
        table = sum((np.bincount(piece, minlength=K**length) for piece in pieces), np.zeros(K**length, np.int64))
        found = np.flatnonzero(table)
        return found, table[found]
    keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for piece in pieces:
        more, often = np.unique(piece, return_counts=True)
        keys, place = np.unique(np.concatenate([keys, more]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, often])).astype(np.int64)
    return keys, counts


def _count(keys: np.ndarray, counts: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """counts of the asked keys among sorted `keys`, 0 where absent."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, counts[at], 0)


def read_text(file: str, task: str = "text", newline: str | None = None) -> str:
    """The text of a UTF-8 file; newline: as in `open`. Raises UsageError if it is missing, unreadable, empty, or no
    UTF-8.
    """
    path = existing(file, task)
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as lines:
            text = lines.read()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UsageError(
            f"{file}: byte {error.start} (0x{byte:02x}) is not UTF-8. Convert the file, for instance from Latin-1 with "
            f"`iconv -f latin1 -t utf-8`."
        ) from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    if not text or text.isspace():
        raise UsageError(f"{file} is empty. Give a file with text in it.")
    return text


def existing(file: str, task: str) -> Path:
    """The path of a user's file. Raises UsageError where none is given, or it is missing or no file."""
    if not file:
        raise UsageError(f"{task} needs a file: write `{task}(file=PATH)`.")
    path = Path(file)
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be looked at: {getattr(error, 'strerror', None) or error}.") from None
    if path.is_file():
        if not path.stat().st_size:  # also those of the kernel, which may have no end
            raise UsageError(f"{file} is empty. Give a file with something in it.")
        return path
    if path.exists():
        raise UsageError(f"{file} is no file. Give the path of a file.")
    siblings = [str(path.parent / p.name) for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise UsageError(f"{file} does not exist (looked in {Path.cwd()}).{nearest(file, siblings)}")
