"""Large texts: encoded once, mapped by every process after."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from rnnbench_tasks import kept_text
from rnnbench_tasks.corpus import Corpus, read_text

text = import_module("rnnbench_tasks.text")  # the package gives this name to its task


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(text, "LARGE", 1000)
    return tmp_path / "cache" / "texts"


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    letters = np.random.default_rng(0).choice(list("abcé \n文"), 5000)
    path.write_text("".join(letters), encoding="utf-8")
    return path


@pytest.fixture
def encoded(monkeypatch):
    """The files that were encoded, one after the other."""
    seen = []

    def encode(file: str) -> Corpus:
        seen.append(file)
        return Corpus.of(read_text(file))

    monkeypatch.setattr(text, "_encoded", encode)
    return seen


def fresh(path: Path) -> Corpus:
    """What another process gets."""
    text.own.cache_clear()
    return text.own(str(path))


def test_a_large_text_is_encoded_once_and_then_mapped(cache, book, encoded):
    truth = Corpus.of(read_text(str(book)))
    for _ in range(3):
        corpus = fresh(book)
        assert isinstance(corpus.ids, np.memmap), "its pages are shared"
        assert corpus.vocabulary == truth.vocabulary and corpus.ids.dtype == np.uint8
        assert np.array_equal(corpus.ids, truth.ids)
        assert (corpus.entropy, corpus.trigram_loss) == (truth.entropy, truth.trigram_loss)
    assert encoded == [str(book)]
    moved = Path(shutil.copy(book, book.with_name("moved.txt")))
    assert np.array_equal(fresh(moved).ids, truth.ids)
    assert encoded == [str(book)], "the bytes are the key, not the name"


def test_a_changed_text_is_another_one(cache, book, encoded):
    before = fresh(book)
    book.write_text(book.read_text(encoding="utf-8").replace("a", "b"), encoding="utf-8")
    assert len(fresh(book).vocabulary) == len(before.vocabulary) - 1
    assert len(encoded) == 2


@pytest.mark.parametrize("damage", ["truncated", "garbage", "gone", "scores", "types"])
def test_what_is_damaged_in_the_cache_is_made_again(cache, book, encoded, damage):
    truth = np.array(fresh(book).ids)
    [ids], [facts] = cache.glob("*.npy"), cache.glob("*.json")
    if damage == "truncated":
        ids.write_bytes(ids.read_bytes()[:-1])
    elif damage == "garbage":
        ids.write_bytes(b"\x80" * 5000)
    elif damage == "gone":
        ids.unlink()
    elif damage == "scores":
        facts.write_text("[]")
    else:
        np.save(ids, truth.astype(float))
    assert np.array_equal(fresh(book).ids, truth)
    assert len(encoded) == 2


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(cache, book, encoded):
    cache.parent.write_text("a file")
    assert len(fresh(book).ids) == len(fresh(book).ids) == 5000
    assert len(encoded) == 2


def test_no_more_than_some_texts_are_kept(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_text, "MOST", 2)
    for letter in "cdef":
        path = tmp_path / f"{letter}.txt"
        path.write_text(f"ab{letter} " * 500)
        fresh(path)
    assert len(list(cache.iterdir())) == 4, "two files for each"


def test_a_small_text_is_not_kept(cache, tmp_path):
    path = tmp_path / "small.txt"
    path.write_text("abc " * 200)
    assert len(fresh(path).ids) == 800
    assert not cache.exists()
