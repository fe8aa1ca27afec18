"""Large texts as ids, kept on this machine, so that all processes of a run share the pages of one encoded copy."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnbench import cache_folder
from rnnbench_tasks.corpus import Corpus
from rnnbench_tasks.lazy_numpy import np

LARGE = 2**20
"""Bytes from which a text is kept; a smaller one is read in less time."""
MOST = 16
"""Texts that are kept; of more, those that were kept first go."""
_FORM = b"rnnbench text 1"
"""Part of the key; raised when the same file would be encoded to something else."""


def kept_text(path: Path, encode: Callable[[], Corpus]) -> Corpus:
    """The corpus of a large file: from the cache, mapped into memory and not read, or else encoded and kept.

    Args:
        path: The file; its bytes are the key, so that a changed file is another text.
        encode: Makes the corpus of the file.

    Returns:
        The corpus with its `entropy` and `trigram_loss` worked out.
    """
    folder = cache_folder() / "texts"
    with path.open("rb") as file:
        key = hashlib.file_digest(file, lambda: hashlib.blake2b(_FORM, digest_size=16)).hexdigest()
    found = _found(folder, key)
    if found is None:
        corpus = encode()
        _keep(folder, key, corpus)
        found = _found(folder, key) or corpus  # mapped, so that this process gives the memory back
    return found


def _found(folder: Path, key: str) -> Corpus | None:
    """What an earlier call kept, if it is whole."""
    try:
        stored: Any = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        ids = np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        corpus = Corpus(stored["vocabulary"], ids)
        vars(corpus).update(entropy=float(stored["entropy"]), trigram_loss=float(stored["trigram_loss"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return corpus if ids.ndim == 1 and ids.dtype.kind == "u" else None


def _keep(folder: Path, key: str, corpus: Corpus) -> None:
    """Put a corpus into the cache, whole; nothing is lost where that cannot be done."""
    facts = {"vocabulary": corpus.vocabulary, "entropy": corpus.entropy, "trigram_loss": corpus.trigram_loss}
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)[: 1 - MOST]:
            for path in folder.glob(f"{old.stem}*"):
                path.unlink(missing_ok=True)
        _write(folder / f"{key}.npy", lambda file: np.save(file, corpus.ids))
        _write(folder / f"{key}.json", lambda file: file.write(json.dumps(facts).encode()))


def _write(path: Path, write: Callable[[Any], object]) -> None:
    """The old file or the whole new one; other processes may be doing the same."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.stem}.", delete=False) as draft:
        try:
            write(draft)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        except OSError:
            Path(draft.name).unlink(missing_ok=True)
            raise
