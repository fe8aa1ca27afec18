"""What a trained model writes: hand-built models whose text is known, on the real backends."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from rnnbench import registry
from rnnbench.case import Case
from rnnbench.errors import Diverged, SuiteError
from rnnbench.measurement import Measurement
from rnnbench.model import Weights, oracle
from rnnbench.probe import Probe
from rnnbench.probes import generation
from rnnbench.probes.generation import check, draw, sample, write
from rnnbench.worker.resolve import resolve
from suite_registry import planned

PROGRAMS = [("torch", "eager"), ("torch", "native"), ("jax", "scan")]
SETTINGS = {"prompt": "abc", "temperature": 1.0, "sample_length": 30, "replicate": 0}


@pytest.fixture(scope="module")
def plugins():
    return registry.load()


@pytest.fixture
def book(tmp_path):
    """A text of six characters, a to f."""
    (tmp_path / "book.txt").write_text("abcdef" * 2000)
    return f"text(file={tmp_path / 'book.txt'})"


def context(plugins, task, backend="torch", implementation="eager", cell="rnn", hidden=18, layers=1, **settings):
    pytest.importorskip(backend)
    case = Case(
        "",
        cell,
        backend,
        implementation,
        "cpu",
        "float64",
        16,
        4,
        hidden,
        6,
        layers,
        threads=1,
        settings={"task": task},
    )
    return dataclasses.replace(resolve(case, plugins), settings=SimpleNamespace(**SETTINGS | settings))


def written(here, weights=None, **settings):
    here = dataclasses.replace(here, settings=SimpleNamespace(**vars(here.settings) | settings))
    return sample(here, here.program(weights)).details["sample"]["text"]


def repeating(period=3, K=6):
    """A delay line: h holds the last `period` characters one-hot, the newest first; the head reads the oldest."""
    H = period * K
    shift = np.eye(H, k=-K) * 100  # block i takes what block i − 1 held; tanh(100) is 1
    params = {
        "layers.0.weight_ih": np.eye(H, K) * 100,
        "layers.0.weight_hh": shift,
        "layers.0.bias_ih": np.zeros(H),
        "layers.0.bias_hh": np.zeros(H),
        "head.weight": np.eye(K, H, k=H - K) * 50,
        "head.bias": np.zeros(K),
    }
    return Weights(params, (np.zeros(H),))


def constant(here, bias):
    """A model that has learnt nothing but how frequent each character is."""
    weights = here.weights()
    zeros = {name: np.zeros_like(array) for name, array in weights.params.items()}
    return Weights(zeros | {"head.bias": np.array(bias)}, weights.states)


@pytest.mark.parametrize(("backend", "implementation"), PROGRAMS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_that_repeats_its_last_three_characters_writes_exactly_that(
    plugins, book, backend, implementation, temperature
):
    """exp(−50) of a chance for any other character: the text is the same at temperature 1."""
    here = context(plugins, book, backend, implementation)
    assert written(here, repeating(), prompt="fedbca", temperature=temperature) == "bca" * 10


def test_temperature_0_follows_the_largest_output(plugins, book):
    """The head turns each character into its successor; the largest share is small, and still always taken."""
    weights = repeating(period=1)
    successor = np.roll(np.eye(6), 1, axis=0) * 0.01
    weights = Weights({**weights.params, "head.weight": successor}, weights.states)
    here = context(plugins, book, hidden=6)
    assert written(here, weights, prompt="b", temperature=0.0) == "cdefab" * 5
    assert written(here, weights, prompt="b", temperature=1.0) != "cdefab" * 5


@pytest.mark.parametrize("temperature", [0.5, *(pytest.param(one, marks=pytest.mark.long) for one in (1.0, 2.0))])
def test_characters_come_as_often_as_softmax_says(plugins, book, temperature):
    here = context(plugins, book, hidden=4)
    bias, N = np.array([2.0, 1.0, 0.0, -1.0, 0.5, -3.0]), 4000
    text = written(here, constant(here, bias), sample_length=N, temperature=temperature)
    expected = np.exp(bias / temperature) / np.exp(bias / temperature).sum()
    found = np.array([text.count(character) for character in "abcdef"]) / N
    assert (np.abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / N)).all()


def test_the_carried_state_is_the_whole_text_so_far(plugins, book):
    """The same as the NumPy oracle, run over all of the text again for every character."""
    here = context(plugins, book, cell="lstm", layers=2, hidden=8)
    program, length = here.program(), 20
    ids = [2, 0, 5]
    rng = np.random.default_rng(1)
    for _ in range(length):
        _, ys = oracle.forward(here.model, here.weights(), np.eye(6)[ids][:, None])
        ids.append(draw(1.0, rng, ys[-1, 0]))
    choose = partial(draw, 1.0, np.random.default_rng(1))
    got = write(program, np.array([2, 0, 5]), features=6, length=length, choose=choose)
    assert got.ids == ids[3:]
    assert len(got.seconds) == length and min(got.seconds) > 0


@pytest.mark.parametrize("cell", ["gru", "lru"])
def test_both_backends_write_the_same_and_another_seed_something_else(plugins, book, cell):
    torch, jax = (
        context(plugins, book, backend, implementation, cell=cell, layers=2)
        for backend, implementation in [("torch", "eager"), ("jax", "scan")]
    )
    assert written(torch, sample_length=60) == written(jax, sample_length=60) == written(torch, sample_length=60)
    assert written(torch, sample_length=60) != written(torch, sample_length=60, replicate=1)


def test_the_sample_and_its_time_are_reported(plugins, book):
    found = sample(context(plugins, book), context(plugins, book).program(repeating()))
    assert found.details == {"sample": {"prompt": "abc", "temperature": 1.0, "text": "abc" * 10}}
    value = found.value(generation.SECONDS.name)
    assert len(value.samples) == 30 and value.value == np.median(value.samples)


def test_compilation_is_not_in_the_time_of_a_token(plugins, book):
    """By a clock that counts compilations: none happens while it runs."""
    program = context(plugins, book, "jax", "scan").program()

    class Compilations:
        def now(self):
            return float(program.compilations())

    got = write(program, np.array([0, 1]), features=6, length=5, choose=lambda logits: 0, clock=Compilations())
    assert got.seconds == [0] * 5 and program.compilations() > 0


def test_close_to_temperature_0_it_is_the_largest():
    assert draw(1e-308, np.random.default_rng(0), np.array([1.0, 3.0, -2e5])) == 1
    assert draw(0.0, np.random.default_rng(0), np.array([3.0, 3.0])) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_divergence(bad):
    with pytest.raises(Diverged, match="not finite while it writes"):
        draw(1.0, np.random.default_rng(0), np.array([1.0, bad]))


@pytest.mark.parametrize(
    ("task", "prompt", "said"),
    [
        ("english_text", None, None),
        ("english_text", "In the", None),
        ("english_text", "café", "character 'é' is not among the 64"),
        ("english_text", "", "at least one character"),
        ("adding", "In the", "adding is not over text"),
        ("adding", None, None),
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused_before_anything_runs(plugins, task, prompt, said):
    found = check(SETTINGS | {"prompt": prompt}, plugins.tasks[task], {})
    assert found is None if said is None else said in found


def test_the_prompt_is_read_with_the_vocabulary_of_the_users_file(plugins, tmp_path):
    (tmp_path / "own.txt").write_text("æøå" * 500, encoding="utf-8")
    text, options = plugins.tasks["text"], {"file": str(tmp_path / "own.txt"), "train_size": 0}
    assert check(SETTINGS | {"prompt": "øå"}, text, options) is None
    refused = check(SETTINGS | {"prompt": "øo"}, text, options)
    assert refused == "prompt 'øo': character 'o' is not among the 3 that the model knows: 'åæø'"


@dataclasses.dataclass(frozen=True)
class Prompted:
    task: str
    prompt: str | None = None


def test_a_suite_with_such_a_prompt_is_refused_whole(plugins, tmp_path):
    probe = Probe("writes", 1, Prompted, (), lambda context: Measurement(), uses_task=True, check=check)
    asked = {"tasks": dict(plugins.tasks), "probes": {"writes": probe}}
    suite = "name: s\ngrid: {cell: rnn, seq_len: 8}\nprobes:\n  writes: {task: english_text, prompt: [In, %s]}\n"
    assert len(planned(tmp_path, suite % "the", **asked).cases) == 4
    with pytest.raises(SuiteError, match=r"suite.yaml:4: probes.writes: prompt 'ŷ': character 'ŷ' is not among the 64"):
        planned(tmp_path, suite % "ŷ", **asked)


@pytest.mark.parametrize(
    ("backend", "implementation"), [("torch", "native"), pytest.param("jax", "scan", marks=pytest.mark.long)]
)
def test_a_trained_model_writes_what_it_has_learnt(plugins, book, backend, implementation):
    """Of a text that repeats there is nothing left to ask: no bits per character, and the text itself."""
    pytest.importorskip(backend)
    probe = plugins.probes["convergence"]
    asked = {"lr": 0.03, "max_steps": 80, "eval_every": 80, "eval_size": 8, "embedding": 8, "stop_when_solved": False}
    asked |= {"task": book, "prompt": "cdef", "temperature": 0.5, "sample_length": 24}
    settings = dataclasses.asdict(probe.settings(**asked))
    case = Case(
        *("convergence", "gru", backend, implementation, "cpu", "float32", 12, 8, 16, 6), threads=1, settings=settings
    )
    found = probe.measure(resolve(case, plugins))
    assert found.details["sample"] == {"prompt": "cdef", "temperature": 0.5, "text": "abcdef" * 4}
    loss, bits = found.value("test_loss").value, found.value("bits_per_character").value
    assert bits == pytest.approx(loss / np.log(2)) and 0 < bits < 0.3
    assert 0 < found.value("seconds_per_sampled_token").value < 1


def test_the_command_refuses_a_prompt_with_a_foreign_character(tmp_path):
    probe = "convergence: {task: english_text, prompt: né}"
    suite = f"name: s\ngrid: {{cell: gru, backend: jax, seq_len: 8}}\nprobes:\n  {probe}\n"
    (tmp_path / "s.yaml").write_text(suite, encoding="utf-8")
    command = [sys.executable, "-m", "rnnbench", "run", "s.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=600)
    said = "error: s.yaml:4: probes.convergence: prompt 'né': character 'é' is not among the 64"
    assert done.returncode == 2 and done.stdout == b"" and done.stderr.decode("utf-8").startswith(said)
    assert not (tmp_path / "results").exists()
