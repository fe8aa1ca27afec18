"""What people type first, and what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import ask

MISTAKES = {
    "rum": "there is no command 'rum'. Did you mean 'run'?",
    "zzzzzzz": "Commands: run, list,",
    "run --pluginn x": "Did you mean '--plugin'?",
    "help rum": "Did you mean 'run'?",
    "help run now": "has no commands of its own",
    "export csv": "Did you mean 'asv'?",
    "run smok": "smok: there is no such file. Did you mean 'smoke'?",
    "run suites/smoke.yaml": "Did you mean 'smoke'?",
    "run nothing": "Suites: compare_cell, digits, gradients, heads, long_seq",
    "verify mycell.py": "write `--plugin mycell.py`",
    "verify --device gpu": "Did you mean 'cuda'?",
    "list cell": "Did you mean 'cells'?",
    "list nothing": "there is no probe, cell, task or suite 'nothing'",
    "describe convergance": "Did you mean 'convergence'?",
    "new cell lstm": "there is a cell 'lstm' already",
    "new cell json": "there is a Python module 'json'",
    "new cell click": "there is a Python module 'click'",
    "new suite smoke": "there is a suite 'smoke' already",
    "new suite my.suite": "is not a name for a suite",
    "report latest": "there are none in results/runs yet",
}
SETTINGS = {
    "device=gpu": "Did you mean 'cuda'?",
    "dtype=fp16": "Did you mean 'float16'?",
    "dtype=bf16": "Did you mean 'bfloat16'?",
    "implementation=cudnnn": "Did you mean 'cudnn'?",
    "batch=3": "Did you mean 'batch_size'?",
    "lr=0.1": "write --set probes.gradient.lr=0.1 or --set probes.convergence.lr=0.1",
    "max_steps=5": "write --set probes.convergence.max_steps=5",
    "cell=lstm,gru": "Several values are a list: [lstm, gru].",
    "backend=torch,jax": "Several values are a list: [torch, jax].",
    "seq_len=64, 128": "Several values are a list: [64, 128].",
    "dtype=float32,float64": "Several values are a list: [float32, float64].",
    "probes.convergence.lr=0.1,0.2": "Several values are a list: [0.1, 0.2].",
    "probes.throughput.modes=trian": "allowed:",
    "a" + ".a" * 60_000 + "=1": "characters; at most",
    "a" + ".a" * 50 + "=1": "a suite has at most",
}


@pytest.mark.parametrize("words", MISTAKES, ids=MISTAKES)
def test_a_mistake_is_answered_with_what_to_do(words: str, tmp_path: Path) -> None:
    answer = ask(*words.split(), cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert MISTAKES[words] in answer.err and "Traceback" not in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", SETTINGS, ids=[text[:30] for text in SETTINGS])
def test_a_wrong_setting_is_answered_with_the_right_one(setting: str, tmp_path: Path) -> None:
    answer = ask("run", "smoke", "--dry-run", "--set", setting, cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert SETTINGS[setting] in answer.err
    assert len(answer.err) < 1000


def test_blanks_without_end_are_refused_at_once(tmp_path: Path) -> None:
    answer = ask("run", "smoke", "--dry-run", "--only", "cell=" + " " * 100_000 + "lstm", cwd=tmp_path)
    assert answer.code == 2 and "characters; at most" in answer.err
    just = "cell=" + "," * 4000 + "lstm"
    assert ask("run", "smoke", "--dry-run", "--only", just, cwd=tmp_path).code == 2


def test_a_single_value_of_a_setting_that_is_a_list_is_a_list_of_one(tmp_path: Path) -> None:
    one, listed = (
        ask("run", "smoke", "--dry-run", "--set", f"probes.throughput.modes={modes}", cwd=tmp_path)
        for modes in ("train", "[train]")
    )
    assert one.code == 0 and one.out == listed.out


def test_help_is_what_help_says(tmp_path: Path) -> None:
    for words in ([], ["run"], ["new", "cell"]):
        asked, option = ask("help", *words, cwd=tmp_path), ask(*words, "--help", cwd=tmp_path)
        assert asked.code == option.code == 0
        assert asked.out.split() == option.out.split()
    assert "rnnbench run smoke" in ask("--help", cwd=tmp_path).out
    assert "Examples:" in ask("run", "--help", cwd=tmp_path).out


def test_what_is_new_works_as_it_is(tmp_path: Path) -> None:
    assert ask("new", "suite", "mine", cwd=tmp_path).code == 0
    assert ask("run", "mine", "--dry-run", cwd=tmp_path).out.endswith("28 cases\n")
    assert ask("run", "mine", "--dry-run", "--set", "profile=quick", cwd=tmp_path).out.endswith("16 cases\n")
    again = ask("new", "suite", "mine", cwd=tmp_path)
    assert again.code == 2 and "--force" in again.err


@pytest.mark.parametrize("word", [" " * 100_000, "[" * 60_000, "é" * 50_000])
@pytest.mark.parametrize("words", [("run",), ("run", "smoke", "--plugin"), ("list",), ("report",), ()])
def test_a_word_of_any_length_is_named_in_a_message_of_a_few_lines(words, word, tmp_path):
    answer = ask(*words, word, cwd=tmp_path)
    assert answer.code == 2
    assert 0 < len(answer.err) < 5000 and "Traceback" not in answer.err


def test_a_cell_whose_name_no_file_can_have_is_refused(tmp_path):
    answer = ask("new", "cell", "é" * 300, cwd=tmp_path)
    assert answer.code == 2 and "File name too long; take a shorter name" in answer.err
