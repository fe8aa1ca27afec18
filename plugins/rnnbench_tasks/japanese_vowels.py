"""JapaneseVowels: who is speaking, from utterances of different length."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from rnnbench_tasks.lazy_numpy import np
from rnnbench_tasks.losses import accuracy_last, cross_entropy_last
from rnnbench_tasks.sequences import Arrays, recorded, take
from rnnbench_tasks.splits import stratified

FRAMES, FEATURES, SPEAKERS = 29, 12, 9
SIZES = {"train": 216, "validation": 54, "test": 370}


@lru_cache(maxsize=1)
def _load() -> dict[str, Arrays]:
    published = _read("train")
    kept = stratified("japanese_vowels", published["targets"], {"train": 0.8, "validation": 0.2})
    return {split: take(published, own) for split, own in kept.items()} | {"test": _read("test")}


def _read(split: str) -> Arrays:
    """One published split, padded with zeros at the end."""
    from sktime.datasets import load_japanese_vowels

    loaded: Any = load_japanese_vowels(split=split, return_X_y=True)
    utterances, speakers = loaded
    B = len(utterances)
    xs, mask = np.zeros((FRAMES, B, FEATURES)), np.zeros((FRAMES, B))
    for b, channels in enumerate(utterances.to_numpy()):
        length = len(channels[0])
        xs[:length, b], mask[:length, b] = np.stack(channels, axis=-1), 1
    return {"xs": xs, "targets": np.asarray(speakers).astype(np.int64) - 1, "mask": mask}


def _check(T: int) -> str | None:
    if T == FRAMES:
        return None
    return f"japanese_vowels is padded to its longest utterance, so it needs exactly {FRAMES} time steps; found {T}."


japanese_vowels = recorded(
    _load,
    lambda: SIZES,
    _check,
    name="japanese_vowels",
    input_size=FEATURES,
    output_size=SPEAKERS,
    loss=cross_entropy_last,
    chance=lambda T: math.log(SPEAKERS),  # noqa: ARG005
    solved=lambda T: 0.4,  # noqa: ARG005
    metric=accuracy_last,
    metric_name="accuracy",
    source="Kudo, Toyama & Shimbo 1999, Pattern Recognition Letters 20; UCI Japanese Vowels, as sktime carries it",
    requires=("sktime",),
)
"""The vowels /ae/ said by nine speakers: 7 to 29 frames of 12 cepstrum coefficients; who spoke, at the last frame of
the utterance. `mask` is 1 on the frames that are there; padding is zero and at the end.

The published split: 270 to train, of which a fifth, six a speaker, is the validation; 370 to test. Chance: nine
speakers alike in number in training, ln 9 nats. Solved at 0.4: plain linear softmax readers of the last or the mean
frame come to 0.8, the best tuned ones to 0.11 to 0.2. So it is a test of variable length, not of memory.
"""
