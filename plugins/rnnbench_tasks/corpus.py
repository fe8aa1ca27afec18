"""A text as characters: vocabulary, split by position, and what simple models of it score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rnnbench import UsageError, nearest
from rnnbench_tasks.lazy_numpy import np

MOST_CHARACTERS = 512
BOUNDS = {"train": (0.0, 0.9), "validation": (0.9, 0.95), "test": (0.95, 1.0)}
"""Where each split begins and ends, as shares of the text."""


@dataclass(frozen=True)
class Corpus:
    """vocabulary: every character once, the place of a character is its id. ids: the text, int64."""

    vocabulary: str
    ids: np.ndarray

    @classmethod
    def of(cls, text: str, vocabulary: str | None = None) -> Corpus:
        """The characters of a text, by default its own vocabulary in the order of code points."""
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        known = np.unique(codes) if vocabulary is None else np.array([ord(c) for c in vocabulary], np.uint32)
        order = np.argsort(known)
        ids = order[np.minimum(np.searchsorted(known[order], codes), len(known) - 1)]
        unknown = np.flatnonzero(known[ids] != codes)
        if len(unknown):
            raise UsageError(
                f"character {text[unknown[0]]!r} is not among the {len(known)} that the model knows: "
                f"{vocabulary!r:.120}"
            )
        return cls("".join(map(chr, known)), ids.astype(np.int64))

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
        p = np.bincount(self.ids) / len(self.ids)
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    @cached_property
    def trigram_loss(self) -> float:
        """Nats per character, on the validation part, of what the last two characters tell.

        Witten & Bell 1991 interpolation fitted on the train part: P(c|h) = (n(hc) + d(h)·P(c|shorter h)) / (n(h) +
        d(h)), where d(h) counts the different characters seen after h; below the empty context all are equally likely.
        """
        K = len(self.vocabulary)
        train, validation = self.part("train"), self.part("validation")
        probability = np.full(len(validation) - 2, 1 / K)
        for length in range(3):
            seen, asked = _contexts(train, length, K), _contexts(validation[2 - length :], length, K)
            pairs, counts = np.unique(seen * K + train[length:], return_counts=True)
            together = _count(pairs, counts, asked * K + validation[2:])
            totals = _count(*np.unique(seen, return_counts=True), asked)
            kinds = _count(*np.unique(pairs // K, return_counts=True), asked)
            fitted = (together + kinds * probability) / np.maximum(totals + kinds, 1)
            probability = np.where(totals > 0, fitted, probability)
        return float(-np.log(probability).mean())


def _contexts(ids: np.ndarray, length: int, K: int) -> np.ndarray:
    """A number for the `length` characters before every character that has so many before it."""
    count = len(ids) - length
    return sum((ids[i : i + count] * K ** (length - 1 - i) for i in range(length)), np.zeros(count, np.int64))


def _count(keys: np.ndarray, counts: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """counts of the asked keys among sorted `keys`, 0 where absent."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, counts[at], 0)


def read_text(file: str, task: str = "text") -> str:
    """The text of a UTF-8 file. Raises UsageError if it is missing, unreadable, empty, or no UTF-8."""
    path = existing(file, task)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UsageError(
            f"{file}: byte {error.start} (0x{byte:02x}) is not UTF-8. Convert the file, for instance from Latin-1 with "
            f"`iconv -f latin1 -t utf-8`."
        ) from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    if not text.strip():
        raise UsageError(f"{file} is empty. Give a file with text in it.")
    return text


def existing(file: str, task: str) -> Path:
    """The path of a user's file. Raises UsageError where none is given, or it is missing or no file."""
    if not file:
        raise UsageError(f"{task} needs a file: write `{task}(file=PATH)`.")
    path = Path(file)
    if path.is_file():
        return path
    if path.exists():
        raise UsageError(f"{file} is no file. Give the path of a file.")
    siblings = [str(path.parent / p.name) for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise UsageError(f"{file} does not exist (looked in {Path.cwd()}).{nearest(file, siblings)}")
