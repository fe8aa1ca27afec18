"""What the command line changes: `--set` before planning, `--only` after."""

import pytest

from rnnbench.errors import SuiteError, UsageError
from suite_registry import planned

TEXT = """\
name: x
grid:
  cell: [rnn, lstm, lstm(forget_bias=5)]
  backend: [torch, jax]
  seq_len: [64, 32]
  threads: [null, 2]
probes:
  memory:
  throughput: {modes: [forward]}
  convergence: {task: [adding, "copy(symbols=4)"], lr: [0.001, 0.01], grid: {seq_len: 64}}
profiles:
  quick: {seed: 5, grid: {seq_len: 16, threads: null}, probes: {convergence: {grid: {seq_len: 32}}, memory: null}}
  bad: {grid: {cell: lstn}}
"""


def values(plan, axis, probe="throughput"):
    return list(dict.fromkeys(getattr(case, axis) for case in plan.cases if case.probe == probe))


def settings(plan, key, probe="convergence"):
    return list(dict.fromkeys(str(case.settings[key]) for case in plan.cases if case.probe == probe))


def test_set_an_axis_for_short_or_by_its_path(tmp_path):
    assert values(planned(tmp_path, TEXT, overrides=["seq_len=8"]), "seq_len") == [8]
    assert values(planned(tmp_path, TEXT, overrides=["grid.seq_len=[16, 8]"]), "seq_len") == [8, 16]
    assert values(planned(tmp_path, TEXT, overrides=["grid={seq_len: 8}"]), "cell") == [
        "rnn",
        "lstm",
        "lstm(forget_bias=5)",
    ]


def test_set_a_probe_setting(tmp_path):
    plan = planned(tmp_path, TEXT, overrides=["probes.convergence.lr=1e-4", "probes.throughput.modes=[train]"])
    assert settings(plan, "lr") == ["0.0001"]
    assert settings(plan, "modes", "throughput") == ["['train']"]


def test_set_adds_a_probe_that_the_suite_lacks(tmp_path):
    assert values(planned(tmp_path, TEXT, overrides=["probes.gradient={}"]), "cell", "gradient")[0] == "rnn"


def test_a_profile_is_merged_first_and_the_other_overrides_win(tmp_path):
    plan = planned(tmp_path, TEXT, overrides=["seed=9", "profile=quick"])
    assert plan.seed == 9
    assert values(plan, "seq_len") == [16]
    assert values(plan, "seq_len", "convergence") == [32]
    assert settings(plan, "lr") == ["0.001", "0.01"]
    assert values(plan, "threads") == [None]


def test_a_profile_that_is_not_chosen_changes_nothing(tmp_path):
    without = TEXT[: TEXT.index("profiles:")]
    assert planned(tmp_path, TEXT).hash == planned(tmp_path, without).hash


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seq_len", "--set seq_len: write `key=value`"),
        ("=5", "--set =5: write `key=value`"),
        ("grid..cell=rnn", "write `key=value`"),
        ("seq_lem=64", '--set seq_lem=64: unknown key "seq_lem"'),
        ("seq_lem=64", "Did you mean 'seq_len'?"),
        ("plugins=[a.py]", 'unknown key "plugins"'),
        ("profile=quik", "--set profile=quik: unknown profile \"quik\"; allowed: quick, bad. Did you mean 'quick'?"),
        ("profile=[quick]", "unknown profile"),
        ("seq_len=0", "--set seq_len=0: grid.seq_len: found 0; it should be greater"),
        ("seq_len=[64, x]", '--set seq_len=[64, x]: grid.seq_len[1]: found "x"; it should be a whole number'),
        ("seq_len=[64", "--set seq_len=[64: this is not valid YAML"),
        ("seq_len=!!int 5", "tags (tag:yaml.org,2002:int) are not allowed"),
        ("seq_len=.nan", '--set seq_len=.nan: found ".nan"; a number must be finite'),
        ("seq_len=", "grid.seq_len: found null"),
        ("cell=lstn", '--set cell=lstn: grid.cell: unknown cell "lstn"'),
        ("grid.cel=rnn", '--set grid.cel=rnn: grid.cel: unknown key "cel"'),
        ("probes.memry.x=1", '--set probes.memry.x=1: probes.memry: unknown probe "memry"'),
        ("probes.memory.x=1", '--set probes.memory.x=1: probes.memory.x: unknown setting "x"'),
        ("probes=5", "--set probes=5: probes: found 5; it should be a mapping"),
        ("seq_len.x=5", '--set seq_len.x=5: grid.seq_len: found {"x": 5}'),
        ("profile=bad", 'suite.yaml:13: grid.cell: unknown cell "lstn"'),
    ],
)
def test_a_bad_override_is_refused_and_named_instead_of_a_line(override, message, tmp_path):
    with pytest.raises(SuiteError) as caught:
        planned(tmp_path, TEXT, overrides=[override])
    assert message in str(caught.value)


def test_a_fault_of_the_suite_still_has_its_line_after_overrides(tmp_path):
    with pytest.raises(SuiteError, match=r"suite\.yaml:4: grid\.backend\[0\]: unknown backend"):
        planned(tmp_path, TEXT.replace("torch", "troch"), overrides=["seq_len=[8]", "profile=quick"])


ONLY = {
    "cell=rnn": lambda case: case.cell == "rnn",
    "cell=lstm": lambda case: case.cell.startswith("lstm"),
    "cell=lstm( forget_bias=5.0 )": lambda case: case.cell == "lstm(forget_bias=5)",
    "cell=rnn|lstm(forget_bias=5)": lambda case: case.cell != "lstm",
    "cell=rnn,lstm(forget_bias=5)": lambda case: case.cell != "lstm",
    "cell=rnn,cell=lstm(forget_bias=5)": lambda case: case.cell != "lstm",
    "cell=rnn,backend=jax": lambda case: (case.cell, case.backend) == ("rnn", "jax"),
    "backend=jax; cell=rnn": lambda case: (case.cell, case.backend) == ("rnn", "jax"),
    "seq_len=32": lambda case: case.seq_len == 32,
    "threads=null": lambda case: case.threads is None,
    "threads=2": lambda case: case.threads == 2,
    "probe=memory|throughput": lambda case: case.probe != "convergence",
    "modes=forward": lambda case: case.probe == "throughput",
    "task=copy": lambda case: case.settings.get("task") == "copy(symbols=4)",
    "lr=1e-2": lambda case: case.settings.get("lr") == 0.01,
}


@pytest.mark.parametrize("text", ONLY)
def test_only_keeps_what_it_says_in_the_same_order(text, tmp_path):
    everything = planned(tmp_path, TEXT).cases
    kept = planned(tmp_path, TEXT, only=[text]).cases
    assert kept == tuple(case for case in everything if ONLY[text](case))
    assert 0 < len(kept) < len(everything)


def test_several_filters_hold_together(tmp_path):
    kept = planned(tmp_path, TEXT, only=["cell=rnn", "probe=memory,backend=torch", "cell=lstm"]).cases
    assert {(case.probe, case.backend) for case in kept} == {("memory", "torch")}
    assert {case.cell for case in kept} == {"rnn", "lstm", "lstm(forget_bias=5)"}


def test_a_comma_inside_parentheses_does_not_split(tmp_path):
    text = TEXT.replace("lstm(forget_bias=5)", '"lstm(forget_bias=5, peephole=true)"')
    kept = planned(tmp_path, text, only=["cell=lstm(peephole=true,forget_bias=5),backend=torch"]).cases
    assert {(case.cell, case.backend) for case in kept} == {("lstm(forget_bias=5, peephole=true)", "torch")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write `key=value`"),
        ("rnn", "write `key=value`"),
        ("cell=", "write `key=value`"),
        ("cell=rnn,,", "write `key=value`"),
        ("cel=rnn", 'unknown key "cel"'),
        ("cel=rnn", "Did you mean 'cell'?"),
        ("cell=rn", "there are: rnn, lstm, lstm(forget_bias=5). Did you mean 'rnn'?"),
        ("cell=rnn|rn", "--only cell=rn: no case has it"),
        ("seq_len=65", "--only seq_len=65: no case has it; there are: 32, 64."),
        ("seq_len=[", "not valid YAML"),
        ("lr=0.5", "there are: 0.001, 0.01."),
        ("probe=convergence,seq_len=32", "no case has all of these at once"),
    ],
)
def test_a_filter_that_leaves_nothing_says_what_there_is(text, message, tmp_path):
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, TEXT, only=[text])
    assert message in str(caught.value)
