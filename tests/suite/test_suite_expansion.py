"""From a well-formed document to cases: names, settings, order, duplicates, limits."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from rnnbench import Case, Probe, Task
from rnnbench.backend import DTYPES
from rnnbench.case import AXES
from rnnbench.errors import SuiteError
from rnnbench.registry import load
from rnnbench.suite import expansion, read, schema
from suite_registry import NoSettings, PlannedBackend, _never, _probe, planned, registry

FULL = """\
name: full
description: every key
seed: 7
executor: inline
timeout: 12.5
grid:
  cell: [lstm(forget_bias=5), gru]
  backend: torch
  implementation: [auto, native]
  device: [cpu, "cuda:1"]
  dtype: bfloat16
  seq_len: [64, 32]
  batch_size: 4
  hidden_size: 8
  input_size: 3
  layers: 2
  dropout: 0.1
  threads: 2
  include:
    - {cell: rnn, seq_len: [16, 64]}
  exclude:
    - {cell: gru, device: "cuda:1"}
probes:
  throughput: {modes: [train]}
  convergence:
    task: [adding, "copy(symbols=4)"]
    lr: [1e-3, 0.01]
    seeds: 3
    grid: {seq_len: 64, implementation: auto}
"""


def refused(folder, text, **more) -> str:
    with pytest.raises(SuiteError) as caught:
        planned(folder, text, **more)
    return str(caught.value).replace(f"{folder}/", "")


def grid(text: str, probes: str = "{throughput: {}}") -> str:
    """A suite whose grid has the given lines beside the required ones."""
    lines = {"cell": "rnn", "seq_len": "64"} | dict(line.split(": ", 1) for line in text.splitlines())
    body = "".join(f"  {key}: {value}\n" for key, value in lines.items())
    return f"name: x\ngrid:\n{body}probes: {probes}\n"


def test_defaults_fill_what_is_not_written(tmp_path):
    first, second = planned(tmp_path, grid("")).cases
    assert first == Case(
        probe="throughput",
        cell="rnn",
        backend="torch",
        implementation="auto",
        device="cpu",
        dtype="float32",
        seq_len=64,
        batch_size=16,
        hidden_size=128,
        input_size=32,
        layers=1,
        dropout=0.0,
        threads=None,
        seed=0,
        probe_version=1,
        settings={"modes": ["forward", "train"], "budget": 1.0},
    )
    assert second.backend == "jax"


def test_a_full_suite_expands_to_what_it_says(tmp_path):
    plan = planned(tmp_path, FULL)
    throughput = [case for case in plan.cases if case.probe == "throughput"]
    convergence = [case for case in plan.cases if case.probe == "convergence"]
    # lstm: 2 implementations x 2 devices x 2 lengths; gru: half of the devices; rnn: 2 implementations x 2 x 2
    assert len(throughput) == 8 + 4 + 8
    # (lstm on 2 devices, gru on 1, rnn on 2) x 2 tasks x 2 rates x 3 seeds, all at T=64
    assert len(convergence) == 5 * 2 * 2 * 3
    assert {(case.settings["task"], case.input_size) for case in convergence} == {("adding", 2), ("copy(symbols=4)", 6)}
    assert {case.settings["replicate"] for case in convergence} == {0, 1, 2}
    assert (plan.name, plan.seed, plan.executor, plan.timeout) == ("full", 7, "inline", 12.5)
    assert {case.seed for case in plan.cases} == {7}


def test_shortest_first_then_probes_then_settings_then_cells(tmp_path):
    text = grid(
        "cell: [lstm, rnn]\nbackend: torch\nseq_len: [64, 32]", "{memory: {}, convergence: {task: adding, seeds: 2}}"
    )
    found = [
        (case.seq_len, case.probe, case.settings.get("replicate"), case.cell) for case in planned(tmp_path, text).cases
    ]
    assert found == [
        (length, probe, replicate, cell)
        for length in (32, 64)
        for probe, replicate in (("memory", None), ("convergence", 0), ("convergence", 1))
        for cell in ("lstm", "rnn")
    ]


def test_ignored_axes_collapse_and_duplicates_are_dropped(tmp_path):
    text = grid(
        "backend: torch\nimplementation: [native, eager]\ndtype: [float64, float16]\nbatch_size: [1, 2]",
        "{gradient: null}",
    )
    (case,) = planned(tmp_path, text).cases
    assert (case.implementation, case.dtype, case.batch_size) == ("auto", "float32", 16)


def test_an_ignored_axis_without_a_default_takes_the_first_value_written(tmp_path):
    probes = {"flops": _probe("flops", NoSettings, ignores=("backend", "seq_len"))}
    (case,) = planned(tmp_path, grid("seq_len: [64, 32]", "{flops: null}"), probes=probes).cases
    assert (case.backend, case.seq_len) == ("torch", 64)


def test_the_same_cell_in_another_spelling_is_the_same_case(tmp_path):
    text = grid('backend: torch\ncell: ["lstm(peephole=true, forget_bias=5)", "lstm( forget_bias=5.0,peephole=true )"]')
    assert [case.cell for case in planned(tmp_path, text).cases] == ["lstm(forget_bias=5, peephole=true)"]


def test_exclude_by_name_covers_all_options_and_what_was_included(tmp_path):
    text = grid(
        "backend: torch\ncell: [rnn, lstm(forget_bias=5), lstm]\n"
        "include: [{cell: lstm(forget_bias=1)}, {cell: gru}]\nexclude: [{cell: lstm, seq_len: [64, 128]}]"
    )
    assert [case.cell for case in planned(tmp_path, text).cases] == ["rnn", "gru"]


def test_a_setting_that_is_itself_a_list_does_not_multiply(tmp_path):
    text = grid("backend: torch", "{throughput: {modes: [forward, train], budget: [1, 2]}}")
    settings = [case.settings for case in planned(tmp_path, text).cases]
    assert settings == [{"modes": ["forward", "train"], "budget": budget} for budget in (1.0, 2.0)]


def test_numbers_and_words_are_read_as_yaml_1_2_has_them(tmp_path):
    probes = "{convergence: {task: adding, lr: 1e-3, clip: null, nesterov: true}}"
    text = grid("backend: torch\nlayers: 2\ndropout: 1e-3", probes)
    (case,) = planned(tmp_path, text).cases
    assert (case.dropout, case.settings["lr"], case.settings["nesterov"]) == (1e-3, 1e-3, True)


GRID_FAULTS = {
    "unknown cell": ("cell: lstn", "3: grid.cell", """unknown cell "lstn"; allowed: rnn, lstm, gru, lru. Did"""),
    "unknown cell in a list": ("cell: [rnn, grru]", "3: grid.cell[1]", "Did you mean 'gru'?"),
    "unknown option": ("cell: lstm(forget=5)", "3: grid.cell", "no option 'forget'; its options: forget_bias"),
    "option of a wrong type": ("cell: lstm(peephole=5)", "3: grid.cell", "must be bool, found 5"),
    "infinite option": ("cell: lstm(forget_bias=inf)", "3: grid.cell", "must be a finite number"),
    "cell split by a YAML comma": ("cell: [lstm(forget_bias=5, peephole=true)]", "3: grid.cell[0]", "so quote it"),
    "not a name": ("cell: '*'", "3: grid.cell", "is not a name"),
    "cell a number": ("cell: 5", "3: grid.cell", "found 5; it should be text"),
    "cell null": ("cell: null", "3: grid.cell", "found null; it should be text"),
    "cell a mapping": ("cell: {lstm: 5}", "3: grid.cell", 'found {"lstm": 5}; it should be text'),
    "empty list": ("cell: []", "3: grid.cell", "at least 1 item"),
    "list in a list": ("cell: [[rnn]]", "3: grid.cell[0]", "it should be text"),
    "endless name": (f"cell: {'a' * 300}", "3: grid.cell", "at most 200 characters"),
    "unknown backend": ("backend: [torch, jaxx]", "5: grid.backend[1]", "allowed: torch, jax. Did you mean 'jax'?"),
    "unknown implementation": ("implementation: natve", "5: grid.implementation", "Did you mean 'native'?"),
    "unknown device": ("device: gpu", "5: grid.device", 'unknown device "gpu"; allowed: cpu, cuda, tpu.'),
    "unknown device with a model": ("device: gpu:0", "5: grid.device", 'unknown device "gpu:0"'),
    "unknown dtype": ("dtype: float31", "5: grid.dtype", "Did you mean 'float32'?"),
    "size zero": ("batch_size: 0", "5: grid.batch_size", "found 0; it should be greater than or equal to 1"),
    "size negative": ("hidden_size: [8, -1]", "5: grid.hidden_size[1]", "found -1"),
    "size huge": ("seq_len: 10000000", "4: grid.seq_len", "less than or equal to 1048576"),
    "size a bool": ("layers: true", "5: grid.layers", "found true; it should be a whole number"),
    "size a float": ("input_size: 8.0", "5: grid.input_size", "found 8.0; it should be a whole number"),
    "size a text": ("input_size: '8'", "5: grid.input_size", 'found "8"; it should be a whole number'),
    "dropout of all": ("dropout: 1.0", "5: grid.dropout", "less than 1"),
    "threads zero": ("threads: [null, 0]", "5: grid.threads[1]", "found 0"),
    "unknown axis": ("seqlen: 5", "5: grid.seqlen", "Did you mean 'seq_len'?"),
    "unknown axis to include": ("include: [{cel: rnn}]", "5: grid.include[0].cel", "Did you mean 'cell'?"),
    "unknown cell to exclude": ("exclude: [{cell: rn}]", "5: grid.exclude[0].cell", "Did you mean 'rnn'?"),
    "include a mapping": ("include: {cell: rnn}", "5: grid.include", "it should be a list"),
    "everything excluded": ("exclude: [{cell: rnn}]", "5: grid.exclude", "no case is left"),
}  # fmt: skip


@pytest.mark.parametrize("fault", GRID_FAULTS)
def test_a_bad_grid_is_refused_at_its_line_and_key(fault, tmp_path):
    lines, where, message = GRID_FAULTS[fault]
    found = refused(tmp_path, grid(lines))
    assert found.startswith(f"suite.yaml:{where}: ")
    assert message in found.splitlines()[0]


PROBE_FAULTS = {
    "unknown probe": ("{throughputs: {}}", "throughputs", "Did you mean 'throughput'?"),
    "no probe": ("{}", "probes", "at least 1 item"),
    "probes a list": ("[throughput]", "probes", "a mapping `key: value`"),
    "settings a list": ("{throughput: [train]}", "probes.throughput", "a mapping `key: value`"),
    "unknown setting": ("{throughput: {mode: [train]}}", "probes.throughput.mode", "Did you mean 'modes'?"),
    "setting of another type": ("{throughput: {budget: '1'}}", "probes.throughput.budget", "should be a number"),
    "bool for a number": ("{throughput: {budget: true}}", "probes.throughput.budget", "found true; it should be a num"),
    "one for a list": ("{throughput: {modes: 3}}", "probes.throughput.modes", "found"),
    "unknown choice": ("{throughput: {modes: [trian]}}", "probes.throughput.modes", "Did you mean 'train'?"),
    "empty list": ("{throughput: {budget: []}}", "probes.throughput.budget", "at least one value"),
    "number for a bool": ("{convergence: {task: adding, nesterov: 1}}", "nesterov", "should be true or false"),
    "word for a bool": ("{convergence: {task: adding, nesterov: on}}", "nesterov", 'found "on"; it should be true'),
    "bool for an int": ("{convergence: {task: adding, max_steps: true}}", "max_steps", "should be a whole number"),
    "out of the field's range": ("{convergence: {task: adding, max_steps: 0}}", "max_steps", "greater than 0"),
    "refused by the probe": ("{convergence: {task: adding, lr: [0.1, -1]}}", "probes.convergence", "must be positive"),
    "missing setting": ("{convergence: {}}", "probes.convergence.task", "is missing"),
    "missing setting of a null probe": ("{convergence: }", "probes.convergence.task", "is missing"),
    "unknown task": ("{convergence: {task: ading}}", "probes.convergence.task", "Did you mean 'adding'?"),
    "task null": ("{convergence: {task: null}}", "probes.convergence.task", "should be text"),
    "task option": ("{convergence: {task: copy(symbol=8)}}", "probes.convergence.task", "Did you mean 'symbols'?"),
    "too short for the task": (
        "{convergence: {task: [adding, copy], grid: {seq_len: [20, 64]}}}",
        "probes.convergence.task",
        "copy at seq_len 20: it needs at least 21 steps",
    ),
    "seeds without replicate": ("{throughput: {seeds: 3}}", "probes.throughput.seeds", 'unknown setting "seeds"'),
    "no seeds": ("{convergence: {task: adding, seeds: 0}}", "probes.convergence.seeds", "greater than or equal to 1"),
    "seeds twice": ("{convergence: {task: adding, seeds: 2, replicate: 5}}", "seeds", "keep one of them"),
    "unknown axis": ("{throughput: {grid: {cel: rnn}}}", "probes.throughput.grid.cel", "Did you mean 'cell'?"),
    "unknown cell": ("{throughput: {grid: {cell: lstn}}}", "probes.throughput.grid.cell", "Did you mean 'lstm'?"),
    "include in a probe's grid": ("{throughput: {grid: {include: []}}}", "grid.include", 'unknown key "include"'),
}  # fmt: skip


@pytest.mark.parametrize("fault", PROBE_FAULTS)
def test_bad_probe_settings_are_refused_at_their_line_and_key(fault, tmp_path):
    probes, where, message = PROBE_FAULTS[fault]
    found = refused(tmp_path, grid("", probes))
    assert re.match(rf"suite\.yaml:5: \S*{re.escape(where)}(\[\d\])?: ", found)
    assert message in found


TOP_FAULTS = {
    "name: ../up": ("name", "letters, digits"),
    "name: 5": ("name", "should be text"),
    "nam: x": ("nam", "Did you mean 'name'?"),
    "seq_len: 64": ("seq_len", "an axis stands under `grid:`"),
    "seed: -1": ("seed", "greater than or equal to 0"),
    "seed: 99999999999999999999": ("seed", "less than"),
    "seed: 1.5": ("seed", "should be a whole number"),
    "timeout: 0": ("timeout", "greater than 0"),
    "timeout: soon": ("timeout", "should be a number"),
    "executor: forkserve": ("executor", "Did you mean 'forkserver'?"),
    "plugins: my.py": ("plugins", "should be a list"),
    "profiles: {quick: {grd: {}}}": ("profiles.quick.grd", "Did you mean 'grid'?"),
    "profiles: {quick: {grid: {seq_len: 0}}}": ("profiles.quick.grid.seq_len", "found 0"),
    "profiles: {quick: {grid: {inclde: []}}}": ("profiles.quick.grid.inclde", "Did you mean 'include'?"),
    "profiles: {quick: {plugins: []}}": ("profiles.quick.plugins", "unknown key"),
}


@pytest.mark.parametrize("line", TOP_FAULTS)
def test_a_bad_key_at_the_top_is_refused_at_its_line(line, tmp_path):
    where, message = TOP_FAULTS[line]
    text = f"{line}\n" + ("" if line.startswith("name:") else "name: x\n")
    found = refused(tmp_path, text + "grid: {cell: rnn, seq_len: 64}\nprobes: {throughput: }\n")
    assert found.startswith(f"suite.yaml:1: {where}: ")
    assert message in found


@pytest.mark.parametrize("key", ["name", "grid", "probes", "cell", "seq_len"])
def test_a_missing_key_is_named(key, tmp_path):
    text = "\n".join(line for line in grid("").splitlines() if not line.strip().startswith(f"{key}:"))
    if key == "grid":
        text = "name: x\nprobes: {throughput: {}}"
    where = f"grid.{key}" if key in AXES else key
    assert f"{where}: is missing" in refused(tmp_path, text)


def test_all_unknown_names_are_reported_at_once(tmp_path):
    found = refused(tmp_path, grid("cell: [rn, gruu]\nbackend: troch", "{memry: {}, throughput: {budgt: 1}}"))
    keys = [line.split(": ")[1] for line in found.splitlines()]
    assert keys == ["grid.cell[0]", "grid.cell[1]", "grid.backend", "probes.memry", "probes.throughput.budgt"]


def test_a_long_list_of_problems_is_cut(tmp_path):
    found = refused(tmp_path, grid(f"layers: [{', '.join('0' * 100)}]")).splitlines()
    assert len(found) == 21
    assert found[-1] == "... and 80 more"


def test_too_many_cases_are_refused_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(expansion, "_points", None)
    lengths = ", ".join(map(str, range(1, 1001)))
    found = refused(tmp_path, grid(f"seq_len: [{lengths}]\nbatch_size: [{lengths}]"))
    assert "suite.yaml:2: grid: the lists multiply to 2,000,000 cases; at most 100,000 are allowed" in found


def test_too_many_combinations_of_settings_are_refused_before_they_are_made(tmp_path):
    rates = ", ".join(f"{n}e-4" for n in range(1, 101))
    found = refused(tmp_path, grid("", f"{{convergence: {{task: adding, lr: [{rates}], seeds: 1000}}}}"))
    assert "probes.convergence: its lists multiply to 100,000 combinations; at most 10,000" in found


def test_the_time_of_expansion_grows_with_the_cases_and_no_faster(tmp_path):
    """That 10,000 take less than a second is measured by tests/benchmarks/test_cost.py."""

    def seconds(lengths: int) -> float:
        lengths_text, batches = (", ".join(map(str, range(1, count + 1))) for count in (lengths, 25))
        text = grid(
            f"cell: [rnn, lstm(forget_bias=5)]\nseq_len: [{lengths_text}]\nbatch_size: [{batches}]\n"
            "exclude: [{cell: lstm, backend: jax, batch_size: 1}]",
            "{throughput: {}, memory: {}}",
        )
        started = time.process_time()
        plan = planned(tmp_path, text)
        assert len(plan.cases) == 2 * (2 * 2 * lengths * 25 - lengths)
        return time.process_time() - started

    assert min(seconds(50) for _ in range(3)) < 16 * min(seconds(10) for _ in range(3))


def test_no_backend_at_all_is_a_clear_error(tmp_path):
    found = refused(tmp_path, grid(""), backends={})
    assert "grid.backend: no plugin brings a backend" in found


def _raise(*args, **kwargs):
    raise RuntimeError("broken plugin")


class BrokenBackend(PlannedBackend):
    devices = _raise


@dataclass(frozen=True)
class UncheckableSettings:
    thing: PlannedBackend


def _task(**broken) -> Task:
    functions = {"input_size": 1, "check": lambda T: None} | broken
    return Task("t", output_size=1, batch=_never, loss=_never, chance=_never, solved=_never, **functions)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backends": {"torch": BrokenBackend("torch", ())}}, "devices() raised RuntimeError: broken plugin"),
        ({"tasks": {"t": _task(check=_raise)}}, "task t: check raised RuntimeError: broken plugin"),
        ({"tasks": {"t": _task(input_size=_raise)}}, "task t: input_size raised RuntimeError: broken plugin"),
        (
            {"probes": {"convergence": Probe("convergence", 1, UncheckableSettings, (), _never)}},
            "reading the settings of probe 'convergence' raised",
        ),
    ],
)
def test_a_plugin_that_raises_is_a_suite_error_too(changes, message, tmp_path):
    text = grid("backend: torch\ndevice: cpu", "{convergence: {task: t}}")
    tasks = {"tasks": {"t": _task()}}
    assert message in refused(tmp_path, text, **(tasks | changes))


def test_a_task_that_refuses_says_why_once_and_is_not_asked_for_its_size(tmp_path):
    task = _task(check=lambda T: f"{T} is too short" if T < 8 else "own.txt is empty", input_size=_raise)
    text = grid("backend: torch\ndevice: cpu", "{convergence: {task: t, grid: {seq_len: [4, 16, 32]}}}")
    _, *lines = refused(tmp_path, text, tasks={"t": task}).split("probes.convergence.task: ")
    assert [line.split("\n")[0] for line in lines] == [
        "t at seq_len 4: 4 is too short",
        "t at seq_len 16, 32: own.txt is empty",
    ]


def test_the_resolved_suite_is_complete_and_its_hash_stable(tmp_path):
    plan = planned(tmp_path, FULL)
    assert set(plan.resolved["grid"]) == {*AXES, "include", "exclude"}
    assert plan.resolved["probes"]["convergence"] == {
        "version": 1,
        "settings": {
            "task": ["adding", "copy(symbols=4)"],
            "optimizer": "adam",
            "lr": [0.001, 0.01],
            "max_steps": 1000,
            "clip": None,
            "nesterov": False,
            "replicate": [0, 1, 2],
        },
        "grid": {"implementation": ["auto"], "seq_len": [64]},
    }
    assert re.fullmatch("[0-9a-f]{12}", plan.hash)
    (tmp_path / "plugin.py").touch()
    same = FULL.replace("every key", "other words").replace("seed: 7", "seed: 7  # comment") + "plugins: [plugin.py]\n"
    same = same.replace("seeds: 3", "replicate: [0, 1, 2]").replace("dtype: bfloat16", "dtype: [bfloat16]")
    assert planned(tmp_path, same).hash == plan.hash
    assert planned(tmp_path, FULL, only=["cell=gru"]).hash == plan.hash


@pytest.mark.parametrize(
    "change", [("seed: 7", "seed: 8"), ("layers: 2", "layers: 1"), ("modes: [train]", "budget: 2")]
)
def test_a_change_of_meaning_changes_the_hash(change, tmp_path):
    assert planned(tmp_path, FULL.replace(*change)).hash != planned(tmp_path, FULL).hash


def test_a_new_version_of_a_probe_changes_the_hash(tmp_path):
    probes = dict(registry().probes)
    probes["throughput"] = Probe("throughput", 2, probes["throughput"].settings, (), _never)
    assert planned(tmp_path, FULL, probes=probes).hash != planned(tmp_path, FULL).hash


def test_the_schema_knows_every_axis_and_dtype():
    assert list(schema.Axes.model_fields) == [*AXES, "params"]
    assert schema._Dtype.__args__ == DTYPES


def test_importing_rnnbench_imports_neither_pydantic_nor_yaml():
    code = "import rnnbench, sys; sys.exit(bool({'pydantic', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_dropout_without_a_second_layer_is_one_case_and_told(tmp_path):
    path = tmp_path / "drop.yaml"
    path.write_text(
        "name: drop\ngrid: {cell: gru, backend: torch, seq_len: 4, layers: [1, 2], dropout: [0, 0.5]}\n"
        "probes: {convergence: {task: adding}}\n"
    )
    found = expansion.plan(read(path), load())
    assert [(case.layers, case.dropout) for case in found.cases] == [(1, 0.0), (2, 0.0), (2, 0.5)]
    assert found.notes and "a model of one layer has none" in found.notes[0]
