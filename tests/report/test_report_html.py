"""The HTML report: what its text says, and that it works in a real Chromium without a network."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("plotly")


from report_records import conditions, entry, gradient, memory, record, timing, training, whole_run
from rnnbench.errors import UsageError
from rnnbench.quantity import Curve, Quantity, Reading
from rnnbench.record import Record
from rnnbench.report import compare
from rnnbench.report import render as render_report
from rnnbench.report.generalisation import is_limited
from rnnbench.report.html import ReportRun, leads, render, views
from rnnbench.report.html.derived import GAP, with_derived
from rnnbench.report.html.explanation import explained
from rnnbench.report.html.marked import marked
from rnnbench.report.html.sections import sections
from rnnbench.report.series import panels
from rnnbench.store.lines import encode

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
EVIL = "</script><script>document.title = 'broken'</script><b>bold</b> & \"quotes\""


def meta(cpu: str = "AMD EPYC", gpus: Sequence[str] = (), day: str = "2026-11-21") -> dict[str, Any]:
    """A `run.json`, as far as a report looks at it."""
    machine = {"cpu": cpu, "cores_allowed": 2, "gpus": [{"name": name} for name in gpus]}
    software = {"os": "Linux", "python": "CPython 3.11.7", "versions": {"torch": "2.13.0"}}
    environments = {"env1": {"machine": machine, "software": software}}
    return {"suite_name": "long_seq", "created": f"{day}T10:00:00+00:00", "environments": environments}


def on_gpu(records: Sequence[Record], factor: float) -> list[Record]:
    """The same timings on another device, `factor` times as fast."""
    return [
        replace(
            one,
            case=replace(one.case, device="cuda"),
            quantities={
                name: replace(
                    value, **{key: end / factor for key in ("value", "low", "high") if (end := getattr(value, key))}
                )
                for name, value in one.quantities.items()
            },
        )
        for one in records
    ]


def overfitted(gap: float, **fields: Any) -> Record:
    """A training whose validation loss ends `gap` above its training loss."""
    curves = {
        name: Curve("step", "loss", [0, 10, 20], [1.0, 0.5, last])
        for name, last in (("train_loss", 0.25), ("validation_loss", 0.25 + gap))
    }
    loss = {"final_validation_loss": entry(0.25 + gap, "1")}
    details = {"available": {"train": fields.pop("sequences", 200)}}
    return record(loss, probe="convergence", curves=curves, details=details, **fields)


def batches(**fields: Any) -> Record:
    curve = Curve("batch size", "tokens/s", [1, 2, 4, 8], [1e5, 2e5, 3e5, 3.1e5])
    quantities = {"forward.saturation_batch": entry(4, "1", "none"), "forward.batch_speedup": entry(3.1, "1", "higher")}
    return record(quantities, probe="parallelism", curves={"forward.tokens_per_second_by_batch": curve}, **fields)


def everything() -> list[Record]:
    """Data for each of the five challenges, and a case with a reason that tries to break out."""
    records = whole_run((64, 256, 1024))
    records += [batches(cell=cell) for cell in ("rnn", "lstm")]
    records += [overfitted(gap, cell=cell, settings={"task": "digits"}) for cell, gap in (("rnn", 0.1), ("lstm", 0.4))]
    reach = {"gradient.reach": entry(12, "step", "higher")}
    records += [record(reach, probe="gradient", cell="lstm", seq_len=T, implementation="eager") for T in (64, 256)]
    records += [record(status="failed", reason=EVIL, cell="lru")]
    return records


def as_stored(records: Sequence[Record]) -> list[Any]:
    return json.loads(json.dumps([one.to_json() for one in records]))


def unpacked(page: str) -> dict[str, str]:
    """What the browser unpacks, by its id."""
    packed = re.findall(r'<script type="text/plain" id="([\w-]+)">([^<]*)</script>', page)
    return {name: gzip.decompress(base64.b64decode(text)).decode() for name, text in packed}


def titles(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page)


# ---- what it says ----


def test_the_page_answers_in_order() -> None:
    page = render([ReportRun(everything(), meta())])
    assert titles(page) == [
        "Summary",
        "What was compared, on what machine",
        "1. Vanishing and exploding gradients",
        "2. Short memory",
        "3. Overfitting",
        "4. Cost of long sequences",
        "5. Limited parallelism",
        "Learning curves",
        "Further findings",
        "Cases without numbers",
        "How each number was made",
        "Raw data",
    ]
    assert "AMD EPYC, 2 cores, Linux, CPython 3.11.7, torch 2.13.0" in page
    assert "Not measured" not in page


def test_a_challenge_without_data_names_the_suite_that_measures_it() -> None:
    page = render([ReportRun([timing(1e-6, seq_len=T) for T in (64, 128)], meta())])
    absent = re.findall(r"Not measured in this run. <code>rnnbench run suites/(\w+).yaml</code>", page)
    assert absent == ["gradients", "memory_span", "overfitting", "parallelism", "digits"]


def test_text_from_a_record_stays_text() -> None:
    odd = [gradient(-0.1, cell=cell) for cell in ("<i>x</i>", "$\\nothing$", "$")]
    page = render([ReportRun([*everything(), *odd, record(status="failed", reason="r", cell="<i>x</i>")], meta())])
    assert EVIL not in page
    assert "<b>bold</b>" not in page
    assert "<i>x</i>" not in page
    assert "&lt;/script&gt;&lt;script&gt;document.title" in page


def test_the_raw_data_are_inside_and_whole() -> None:
    records = everything()
    page = render([ReportRun(records, meta())])
    lines, table, run = (text for name, text in unpacked(page).items() if name.startswith("file-"))
    assert [json.loads(line) for line in lines.splitlines()] == as_stored(records)
    assert table == render_report(records, "csv")
    assert json.loads(run) == meta()


def test_a_page_reaches_for_nothing_outside() -> None:
    page = render([ReportRun(everything(), meta())])
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", own)
    assert "default-src 'none'" in html.unescape(own)


def test_two_runs_are_two_places_and_never_replicates_of_each_other() -> None:
    here = [timing(10e-6, cell=cell, seq_len=T) for cell in ("rnn", "lstm") for T in (64, 128, 256)]
    page = render([ReportRun(here, meta()), ReportRun(on_gpu(here, 5), meta("Xeon", ["NVIDIA H100"], "2026-11-22"))])
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)[0])
    cost = json.loads(unpacked(page)["numbers-cost"])
    assert [place["name"] for place in data["places"]] == [
        "A: AMD EPYC, 2 cores (cpu), 2026-11-21",
        "B: NVIDIA H100 (cuda), 2026-11-22",
    ]
    view = next(view for view in cost if view["label"] == "train time per step, against T")
    assert {(line["place"], *line["y"]) for line in view["lines"]} == {("A/cpu", 10, 10, 10), ("B/cuda", 2, 2, 2)}


def test_the_same_cases_run_twice_stay_apart() -> None:
    runs = [
        ReportRun([timing(cost, seq_len=T) for T in (64, 128)], meta(day=day))
        for cost, day in ((1e-6, "a"), (2e-6, "b"))
    ]
    page = render(runs)
    assert "At T=128 the train time per step of lstm (torch/native) is 2.0 times in run B what it is in run A." in page
    assert "lowest train time" not in page


# ---- derived numbers and sentences with known answers ----


def test_what_is_parallel_over_time_is_held_against_the_best_that_goes_step_by_step() -> None:
    times = {"scan": 6e-6, "eager": 9e-6, "theirs": 2e-6}  # no name says which of them is parallel
    made = [
        timing(t, backend="jax", implementation=name, spread=None, parallel=name == "theirs")
        for name, t in times.items()
    ]
    other_problem = timing(1e-6, backend="jax", implementation="scan", hidden_size=8)
    *_, parallel, _ = with_derived([*made, other_problem])
    assert parallel.quantities["train.time.parallel_speedup"].value == pytest.approx(3)
    assert sum("train.time.parallel_speedup" in one.quantities for one in with_derived([*made, other_problem])) == 1


def test_the_times_of_any_probe_tell_what_going_parallel_buys() -> None:
    quantity = Quantity("latency", "s", "lower", "Time of a sequence.", grows=True)
    pair = [
        record({"latency": replace(entry(t), quantity=quantity)}, probe="third_party", parallel=parallel)
        for parallel, t in ((False, 9.0), (True, 3.0))
    ]
    assert with_derived(pair)[1].quantities["latency.parallel_speedup"].value == pytest.approx(3)
    assert leads.parallelism(panels(with_derived(pair))).startswith("Going parallel over time makes lstm")


def test_an_unverified_program_is_no_yardstick() -> None:
    made = [timing(6e-6, implementation="eager", verified="none"), timing(2e-6, implementation="theirs", parallel=True)]
    assert not any("train.time.parallel_speedup" in one.quantities for one in with_derived(made))


def test_the_gap_is_the_difference_of_the_last_losses_unless_the_probe_tells_it() -> None:
    (derived,) = with_derived([overfitted(0.125)])
    assert derived.quantities[GAP].value == pytest.approx(0.125)
    gap = replace(entry(0.2, "1"), quantity=Quantity("memorised", "1", "lower", "", group="overfitting"))
    own = replace(overfitted(0.125), quantities={"memorised": gap})
    assert GAP not in with_derived([own])[0].quantities


def test_sentences_name_both_ends() -> None:
    made = [gradient(-0.1, cell="rnn"), gradient(-0.7, cell="gru"), gradient(0.1, cell="irnn")]
    assert leads.gradients(panels(made)) == (
        "Decay rate of the gradient at initialisation: of gru (torch/native) it halves every 0.99 steps (T=64); "
        "at the other end of irnn (torch/native) it doubles every 6.9 steps (T=64)."
    )
    fading = gradient(-0.05, cell="irnn")
    uneven = replace(fading, quantities={k: v for k, v in fading.quantities.items() if k != "gradient.half_life"})
    assert leads.gradients(panels([*made[:2], uneven])).endswith(
        "at the other end of irnn (torch/native) it falls to 0.041 of itself over 64 steps, at no one rate (T=64)."
    ), "a half-life is told only where there is a rate"
    gaps = with_derived([overfitted(0.1, cell="rnn"), overfitted(0.4, cell="gru")])
    assert leads.overfitting(panels(gaps)) == (
        "At T=64 the largest train validation gap is 0.400, of gru (torch/native); "
        "the smallest is 0.100, of rnn (torch/native)."
    )
    assert leads.memory_span([]) == leads.cost([]) == leads.parallelism([]) == ""


def test_cost_ranks_only_programs_that_solve_the_same_problem() -> None:
    made = [timing(2e-6, cell="rnn"), timing(4e-6, cell="gru"), timing(1e-7, cell="rnn", hidden_size=8)]
    assert "rnn (torch/native, hidden 128)" in leads.cost(panels(made))
    assert "gru (torch/native, hidden 128) needs 2.0 times as much" in leads.cost(panels(made))


def test_a_failure_breaks_a_line_and_every_point_is_there() -> None:
    made = [timing(1e-6, seq_len=T) for T in (64, 256)] + [record(status="oom", reason="no", seq_len=128)]
    (view,) = views.of_quantities(panels(made), ("train.time_per_step",))
    (line,) = view.lines
    assert (line.x, line.y) == ([64, 128, 256], [pytest.approx(1), None, pytest.approx(1)])
    long = gradient(-0.01, seq_len=5000)
    (curve,) = views.of_curves(panels([long]), ("gradient.log_norm",))
    assert len(curve.lines[0].y) == 5000


def test_an_axis_that_varies_can_take_the_place_of_the_length() -> None:
    made = [timing(1e-6, batch_size=B) for B in (1, 8, 64)]
    found = list(views.of_quantities(panels(made), ("train.tokens_per_second",)))
    (against,) = [view for view in found if view.x_title == "batch size"]
    assert [line.x for line in against.lines] == [[1, 8, 64]]


def test_the_cheapest_is_no_winner_where_the_next_one_is_not_told_apart() -> None:
    made = [timing(cost, cell=cell, spread=0.1) for cell, cost in (("rnn", 2e-6), ("gru", 2.1e-6), ("lstm", 6e-6))]
    assert leads.cost(panels(made)) == (
        "At T=64 rnn (torch/native) and gru (torch/native) have the lowest train time per step, 2.00 µs and 2.10 µs, "
        "with no clear difference; lstm (torch/native) needs 3.0 times as much, 6.00 µs."
    )


def test_numbers_without_intervals_are_told_apart_by_themselves() -> None:
    made = [memory(size, cell=cell) for cell, size in (("rnn", 10e6), ("gru", 100e6), ("lstm", 300e6))]
    assert "rnn (torch/native) has the lowest train peak memory" in leads.cost(panels(made))
    near = [timing(cost, cell=cell, spread=0.1) for cell, cost in (("rnn", 2e-6), ("gru", 2.1e-6), ("lstm", 2.2e-6))]
    assert "needs" not in leads.cost(panels(near))


def test_a_bound_is_no_value_to_a_plot() -> None:
    made = [
        record({"steps_to_target": entry(9, "1", bound=bound)}, seq_len=T) for T, bound in ((8, None), (16, "lower"))
    ]
    (view,) = views.of_quantities(panels(made), ("steps_to_target",))
    assert view.lines[0].bounds == [None, "lower"]


def test_a_row_of_dots_is_called_by_what_tells_it_from_the_others() -> None:
    made = [timing(1e-6, cell=cell, implementation="scan", batch_size=B) for cell in ("rnn", "gru") for B in (1, 8)]
    view = next(views.of_quantities(panels(made), ("train.time_per_step",)))
    assert list(view.labels.values()) == ["rnn, batch 1", "rnn, batch 8", "gru, batch 1", "gru, batch 8"]
    (alone,) = views.of_quantities(panels(made[:1]), ("train.time_per_step",))
    assert list(alone.labels.values()) == ["rnn"]


def test_quantities_nobody_knows_have_a_section_of_their_own() -> None:
    made = [record({"colour.depth": entry(3, "bit", "higher")}, probe="colour", seq_len=T) for T in (8, 16)]
    last = sections(panels(made))[-1]
    assert last.topic.id == "other"
    [table] = last.tables
    assert [column.title for column in table.columns] == ["cell", "program", "T", "colour depth"]


def test_runs_that_agree_are_not_ranked() -> None:
    made = [timing(1e-6, cell=cell, seq_len=T) for cell in ("rnn", "lstm") for T in (64, 128)]
    page = render([ReportRun(made, meta(day=day)) for day in "ab"])
    sentence = "At T=128 the train time per step of no program differs by more than 5 % between the runs."
    assert sentence in html.unescape(page)
    made = [gradient(-0.1, cell="rnn"), gradient(-0.7, cell="gru")]
    page = html.unescape(render([ReportRun(made, meta(day=day)) for day in "ab"]))
    assert (
        "Run A, B: Decay rate of the gradient at initialisation: of gru (torch/native) it halves every 0.99 steps"
        in page
    )


def test_fresh_data_are_never_called_overfitted() -> None:
    """Their gap is luck: the section names no cell, and the suite that measures it."""
    page = render(
        [ReportRun([overfitted(gap, cell=cell, sequences=None) for cell, gap in (("rnn", 0.1), ("gru", 0.4))], meta())]
    )
    section = re.findall(r'<section id="overfitting".*?</section>', page, re.DOTALL)[0]
    assert "Not measured in this run: the training data were fresh at every step" in section
    assert "suites/overfitting.yaml" in section
    assert "rnn" not in section.replace("rnnbench", "") and "gru" not in section


def test_older_records_tell_by_their_task_whether_data_were_fresh() -> None:
    old = [
        replace(overfitted(0.1, settings={"task": task}), details={}) for task in ("adding", "mnist1d(train_size=200)")
    ]
    assert [is_limited(panel) for panel in panels(old)] == [False, True]


def test_no_choice_of_a_plot_is_there_twice() -> None:
    curves = {"gradient.log_norm": Curve("lag", "ln", [1, 2], [0, -1])}
    rate = {"gradient.decay_rate": entry(-0.1, "1/step", "none")}
    made = [
        record(rate, probe="gradient", curves=curves, seq_len=T, settings={"task": task})
        for T in (8, 16)
        for task in (None, "adding")
    ]
    page = render([ReportRun(made, meta())])
    for select in re.findall(r"<select.*?</select>", page, re.DOTALL):
        options = re.findall(r"<option[^>]*>(.*?)</option>", select)
        assert len(options) == len(set(options)), options
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)[0])
    offered = data["variants"]["gradients"]["0"]
    assert [text for _, text in offered] == ["T=16", "T=8"]


def declared(name: str, unit: str, better: Any, **more: Any) -> Reading:
    return Reading(3.0, quantity=Quantity(name, unit, better, "What it means.", **more))


def of_a_plugin(cell: str, seq_len: int, factor: float) -> Record:
    """Of a probe that nothing in the reports knows by name."""
    mine = {
        "joules": declared("joules", "J", "lower", group="cost", headline=1),
        "hue": declared("hue", "1", "none", group="colour vision", headline=2),
        "depth": declared("depth", "bit", "higher", group="colour vision", headline=1),
        "raw": declared("raw", "1", "none"),
        "span": declared("span", "1", "none", group="overfitting", headline=3),
    }
    found = {
        name: replace(one, value=one.value * factor, low=one.value * factor * 0.99, high=one.value * factor * 1.01)
        for name, one in mine.items()
    }
    curves = {"spectrum": Curve("wavelength", "power", (400.0, 500.0), (1.0, factor))}
    return replace(record({}, probe="mine", seq_len=seq_len, cell=cell, curves=curves), quantities=found)


def test_a_probe_of_a_plugin_has_its_place_on_the_page() -> None:
    """A number under a challenge, a topic of its own, what declares none beside its first number, curves, a finding."""
    made = [of_a_plugin(cell, T, factor) for T in (8, 16) for cell, factor in (("gru", 1.0), ("lstm", 2.0))]
    found = {section.topic.title: section for section in sections(panels(made))}
    cost, own = found["4. Cost of long sequences"], found["Colour vision"]
    [of_cost], [of_own] = cost.tables, own.tables
    assert [column.title for column in of_cost.columns] == ["cell", "program", "T", "joules"]
    assert [column.title for column in of_own.columns] == ["cell", "program", "T", "depth", "hue"]
    assert cost.finding == (
        "At T=16 gru (torch/native) has the lowest joules, 3.00 J; lstm (torch/native) needs 2.0 times as much, 6.00 J."
    )
    assert own.finding.startswith("Depth (T=16): lstm (torch/native) 6.00 bit; gru")
    home = {view.name for view in cost.views}
    assert home == {"joules", "raw", "spectrum"}, "the probe's first number is joules"
    assert next(view.x_title for view in cost.views if view.name == "spectrum") == "wavelength"
    assert found["3. Overfitting"].tables, "it has no task, and knows what it compares"
    assert "Everything else that was measured" not in found
    assert "What it means." in render([ReportRun(made, meta())])


def test_code_in_sentences_is_code() -> None:
    assert marked("add `a < b`, `or` not ` alone") == ("add <code>a &lt; b</code>, <code>or</code> not ` alone")
    page = render(
        [ReportRun([timing(1e-6), record(status="failed", reason="use `--set x=1` here", cell="lru")], meta())]
    )
    visible = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert visible.count("use <code>--set x=1</code> here") == 2
    assert "`" not in visible


def test_a_number_is_explained_by_its_record() -> None:
    one = timing(2e-6)
    one = replace(one, parts=[*one.parts] * 3, asked=3, conditions=conditions(1), notes=("train: noisy",))
    (panel,) = panels([one])
    group = panel.series[0].groups[64]
    explained_rows = dict(explained("train.time_per_step", "s", group.entry("train.time_per_step"), group))
    assert explained_rows["Value"] == "2.00 µs (0.00000200000 s)" or explained_rows["Value"].startswith("2.00 µs (")
    assert explained_rows["95 % interval"] == "1.98 µs to 2.02 µs"
    assert explained_rows["Samples"] == "9"
    assert explained_rows["Fresh processes"] == "3 of 3 asked for"
    assert explained_rows["Disturbed by other work"] == "1 of 3 processes"
    assert explained_rows["Note"] == "train: noisy"
    for verdict in ("oracle", "weak", "self", "none"):
        (panel,) = panels([replace(one, verified=verdict)])
        group = panel.series[0].groups[64]
        assert dict(explained("train.time_per_step", "s", group.entry("train.time_per_step"), group))["Checked"]
    failed = record(status="oom", reason="no room")
    (panel,) = panels([failed, timing(1e-6, cell="gru")])
    group = panel.series[0].groups[64]
    explained_rows = dict(explained("train.time", "s", group.entry("train.time"), group))
    assert (explained_rows["Status"], explained_rows["Reason"]) == ("oom", "no room")


def test_settings_that_are_compared_have_the_colours_and_each_cell_a_picture() -> None:
    made = [
        overfitted(gap, cell=cell, dropout=dropout, settings={"task": "digits"})
        for cell in ("lstm", "gru")
        for dropout, gap in ((0.0, 0.4), (0.5, 0.2))
    ]
    both = next(views.of_both_losses(panels(made)))
    assert both.studied
    assert {line.setting for line in both.lines} == {"dropout 0", "dropout 0.5"}
    assert {line.base for line in both.lines} == {"torch/native", "torch/native, training data"}


# ---- the command ----


def stored(tmp_path: Path, records: Sequence[Record], name: str = "run", day: str = "2026-11-21") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    known = {
        "format": 1,
        "suite_hash": "x",
        "suite": {},
        "total": len(records),
        "cases": [],
        "versions": {},
        "git": None,
    }
    (folder / "run.json").write_text(json.dumps({**meta(day=day), **known, "argv": []}))
    (folder / "records.jsonl").write_bytes(b"".join(encode(one.case, one.parts[0]) for one in records))
    return folder


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    folder = stored(tmp_path, everything())
    output = tmp_path / "report.html"
    command = [sys.executable, "-m", "rnnbench", "report", str(folder), "--format", "html"]
    written = subprocess.run([*command, "--output", str(output)], capture_output=True, check=True)
    assert (written.stdout, written.stderr) == (b"", f"written to {output}\n".encode())
    text = output.read_text(encoding="utf-8")
    assert "1. Vanishing and exploding gradients" in text
    assert subprocess.run(command, capture_output=True, check=True).stdout.decode() == text


@pytest.mark.parametrize("format_", ["table", "md", "latex"])
def test_runs_are_never_mixed_in_any_format(tmp_path: Path, format_: str) -> None:
    """The same cases on two days: rows of their own, and above them which is which."""
    days = ("2026-11-20", "2026-11-21")
    folders = [stored(tmp_path, [timing(1e-6), timing(3e-6, cell="gru")], day, day) for day in days]
    command = [sys.executable, "-m", "rnnbench", "report", *map(str, folders), "--format", format_]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "repetitions" not in text
    assert all(re.search(rf"{letter} \({day}\).*AMD EPYC", text) for letter, day in zip("AB", days, strict=True))
    rows = [line for line in text.splitlines() if "torch/native" in line and "1.00" in line and "gru" not in line]
    assert [bool(re.search(rf"\b{letter}\b", row)) for letter, row in zip("AB", rows[:2], strict=True)] == [True, True]


def test_there_is_no_page_of_a_comparison_nor_of_nothing() -> None:
    with pytest.raises(UsageError, match="--format html"):
        compare(everything(), everything(), format="html")
    with pytest.raises(UsageError, match="no records"):
        render([ReportRun([])])


# ---- in a browser ----


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    selenium = pytest.importorskip("selenium.webdriver")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    flags = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
    for flag in (*flags, "disable-component-update", "disable-sync", "window-size=1280,900"):
        options.add_argument(f"--{flag}")
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    driver.downloads = downloads
    driver.set_script_timeout(300)  # as `until` waits: a page that is drawing answers no script
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    here = everything()
    there = on_gpu([one for one in here if one.ok and one.case.probe == "throughput"], 5)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(
        render([ReportRun(here, meta()), ReportRun(there, meta("Xeon", ["NVIDIA H100"], "2026-11-22"))]),
        encoding="utf-8",
    )
    return path.as_uri()


def visit(browser: Any, page: str, width: int = 1280, scheme: str = "light") -> None:
    """Open a page at a width and in a colour scheme, with empty logs."""
    device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features, "media": ""})
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(page)
    until(browser, "return document.getElementById('filters')?.hidden === false")


def until(browser: Any, condition: str, *arguments: Any) -> None:
    """Wait for what a script says; the browser may be slow on a busy machine."""
    end = time.monotonic() + 300
    while not browser.execute_script(condition, *arguments):
        assert time.monotonic() < end, condition
        time.sleep(0.02)


def see(browser: Any, section: str) -> None:
    """Scroll to a section and wait for its plot, as the filters now have it."""
    browser.execute_script("document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'})", section)
    current = "return document.querySelector(`#${arguments[0]} figure`).dataset.current === 'yes'"
    until(browser, current, section)


def drawn(browser: Any, section: str) -> int:
    """Lines that can be seen in a section's plot."""
    return browser.execute_script("return document.querySelectorAll(`#${arguments[0]} .trace`).length", section)


def column(browser: Any, table: str, index: int) -> list[str]:
    script = "return [...document.getElementById(arguments[0]).tBodies[0].rows].filter(r => !r.hidden)"
    return browser.execute_script(f"{script}.map(r => r.cells[arguments[1]].textContent)", table, index)


PLOTS = ("gradients", "memory-span", "overfitting", "cost", "parallelism", "learning")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
def test_every_plot_is_drawn_without_an_error_or_a_request(browser: Any, page: str, width: int, scheme: str) -> None:
    visit(browser, page, width, scheme)
    for section in PLOTS:
        see(browser, section)
        assert drawn(browser, section) > 0, section
    assert [line["message"] for line in browser.get_log("browser")] == []
    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [page]
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    ink = browser.execute_script("return getComputedStyle(document.querySelector('#cost .xtick text')).fill")
    assert (paper, ink) == {
        "light": ("rgb(255, 255, 255)", "rgb(27, 31, 36)"),
        "dark": ("rgb(19, 23, 28)", "rgb(232, 235, 238)"),
    }[scheme]
    assert browser.title == "rnnbench: long_seq"


def test_runs_stand_side_by_side_and_one_below_the_other_on_a_phone(browser: Any, page: str) -> None:
    places = {}
    for width in (390, 1280):
        visit(browser, page, width)
        see(browser, "cost")
        script = "return [...document.querySelectorAll('#cost .cartesianlayer .subplot')]"
        boxes = browser.execute_script(f"{script}.map(e => e.getBoundingClientRect().toJSON())")
        places[width] = [(box["left"], box["top"]) for box in boxes]
    assert len(places[390]) == len(places[1280]) == 2
    (a, b), (c, d) = places[390], places[1280]
    assert abs(a[0] - b[0]) < 40 < b[1] - a[1]
    assert abs(c[1] - d[1]) < 40 < d[0] - c[0]


def test_a_table_is_sorted_by_number_from_the_keyboard(browser: Any, page: str) -> None:
    from selenium.webdriver.common.keys import Keys

    visit(browser, page)
    head = browser.execute_script(
        "return [...document.querySelectorAll('#cost th button')].find(b => b.textContent === 'train time per step')"
    )
    index = browser.execute_script("return arguments[0].parentElement.cellIndex", head)
    script = "return [...document.querySelectorAll('#cost tr[data-cell]')].map(r => r.cells[arguments[0]].dataset.sort)"
    for reverse in (False, True):
        head.send_keys(Keys.ENTER)
        found = browser.execute_script(script, index)
        known = [float(one) for one in found if one is not None]
        assert known == sorted(known, reverse=reverse)
        assert None not in found[: len(known)], "missing numbers come last"
    assert browser.execute_script("return arguments[0].parentElement.ariaSort", head) == "descending"


def test_filters_reach_every_plot_and_table(browser: Any, page: str) -> None:
    visit(browser, page)
    see(browser, "cost")
    before = drawn(browser, "cost")
    assert set(column(browser, "cost-table", 0)) == {"rnn", "lstm", "gru", "mingru", "lru"}
    browser.execute_script("document.querySelector('#filters input[value=lstm]').click()")
    assert set(column(browser, "cost-table", 0)) == {"rnn", "gru", "mingru", "lru"}
    assert 0 < drawn(browser, "cost") < before
    see(browser, "learning")
    assert "lstm" not in column(browser, "learning-table", 0)
    browser.find_element("id", "reset").click()
    see(browser, "cost")
    assert drawn(browser, "cost") == before


def test_a_row_of_two_runs_is_there_until_both_are_hidden(browser: Any, tmp_path: Path) -> None:
    made = [training(0.1, 300, cell=cell) for cell in ("lstm", "gru")]
    path = tmp_path / "report.html"
    path.write_text(render([ReportRun(made, meta()), ReportRun(made, meta("Xeon"))]), encoding="utf-8")
    visit(browser, path.as_uri())
    assert column(browser, "learning-table", 0) == ["lstm", "gru"]
    assert column(browser, "learning-2-table", 0) == ["lstm", "lstm", "gru", "gru"]
    left = []
    for run in ("A", "B"):
        browser.execute_script("document.querySelector(`#filters input[value='${arguments[0]}/cpu']`).click()", run)
        left.append([len(column(browser, name, 0)) for name in ("learning-table", "learning-2-table")])
    assert left == [[2, 2], [0, 0]]


def test_a_table_can_be_searched(browser: Any, page: str) -> None:
    visit(browser, page)
    field = browser.find_element("id", "cost-find")
    field.send_keys("gru jax 256")
    rows = list(zip(column(browser, "cost-table", 0), column(browser, "cost-table", 4), strict=True))
    assert set(rows) == {("gru", "256"), ("mingru", "256")}
    assert "of" in browser.execute_script("return document.querySelector('#cost output').textContent")


def test_another_view_of_a_plot_can_be_chosen(browser: Any, page: str) -> None:
    from selenium.webdriver.support.select import Select

    visit(browser, page)
    see(browser, "cost")
    Select(browser.find_element("id", "cost-view")).select_by_visible_text("train peak memory (process)")
    title = browser.execute_script("return document.querySelector('#cost .y-title').textContent")
    assert title.startswith("train peak memory (process), MiB")
    assert drawn(browser, "cost") == 8


def until_drawn(browser: Any, section: str, lines: int) -> None:
    until(
        browser, "return document.querySelectorAll(`#${arguments[0]} .trace`).length === arguments[1]", section, lines
    )


def test_what_is_seen_is_in_the_address(browser: Any, page: str) -> None:
    """Filters, the plot's choice and scale, hidden columns, order and search come back from the link alone."""
    from selenium.webdriver.support.select import Select

    visit(browser, page)
    see(browser, "cost")
    Select(browser.find_element("id", "cost-view")).select_by_visible_text("train peak memory (process)")
    Select(browser.find_element("css selector", "#cost [data-control=y]")).select_by_visible_text("y: linear")
    browser.execute_script("document.querySelector('#filters input[value=lstm]').click()")
    browser.execute_script("document.querySelector('#cost .chooser input[value=\"5\"]').click()")
    browser.execute_script("document.querySelector('#cost th button').click()")
    browser.find_element("id", "cost-find").send_keys("torch")
    link = browser.current_url
    seen = "return [...document.querySelectorAll('#cost-table tr')].filter(r => !r.hidden).map(r =>"
    seen += "[...r.cells].filter(c => !c.hidden).map(c => c.textContent).join())"
    before = browser.execute_script(seen)
    assert before and all("lstm" not in row for row in before)
    visit(browser, link)
    assert browser.execute_script(seen) == before
    see(browser, "cost")
    assert browser.execute_script("return document.querySelector('#cost .y-title').textContent").startswith(
        "train peak"
    )
    assert browser.execute_script("return document.querySelector('#cost .plot')._fullLayout.yaxis.type") == "linear"
    assert browser.execute_script("return document.querySelector('#cost-table').rows[0].cells[5].hidden")


def test_a_double_click_isolates_a_cell_and_a_second_one_shows_all(browser: Any, page: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    visit(browser, page)
    see(browser, "cost")
    all_cells = set(column(browser, "cost-table", 0))
    for expected in ({"gru"}, all_cells):
        until(browser, "return document.querySelector('#cost .key button') !== null")
        find = "return [...document.querySelectorAll('#cost .key button')].find(b => b.textContent === 'gru')"
        button = browser.execute_script(find)
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
        ActionChains(browser).double_click(button).perform()
        assert set(column(browser, "cost-table", 0)) == expected


def test_a_double_click_on_a_curve_leaves_only_it(browser: Any, page: str) -> None:
    visit(browser, page)
    see(browser, "cost")
    browser.execute_script("""const plot = document.querySelector('#cost .plot');
        const point = { curveNumber: 0, data: plot.data[0] };
        for (let i = 0; i < 2; i++) plot.emit('plotly_click', { points: [point] });""")
    assert len(set(column(browser, "cost-table", 0))) == 1
    assert len({program.partition(",")[0] for program in column(browser, "cost-table", 1)}) == 1


def test_a_click_on_a_number_explains_it_and_so_does_the_keyboard(browser: Any, page: str) -> None:
    from selenium.webdriver.common.keys import Keys

    visit(browser, page)
    number = browser.find_element("css selector", "#cost td.why")
    browser.execute_script("arguments[0].click()", number)
    until(browser, "return document.getElementById('why').open")
    text = browser.execute_script("return document.getElementById('why').innerText")
    assert "Value" in text and "Origin" in text and "measured" in text
    browser.execute_script("document.getElementById('why').close()")
    number.send_keys(Keys.ARROW_DOWN)
    below = browser.switch_to.active_element
    assert browser.execute_script("return [arguments[0].cellIndex, arguments[1].cellIndex]", number, below)[0] > 0
    below.send_keys(Keys.ENTER)
    until(browser, "return document.getElementById('why').open")


def test_a_table_is_copied_as_it_is_seen(browser: Any, page: str) -> None:
    visit(browser, page)
    browser.find_element("id", "cost-find").send_keys("gru torch 256")
    copied = "let text; navigator.clipboard.writeText = async (t) => { window.copied = t; };"
    browser.execute_script(copied)
    texts = {}
    for index, name in enumerate(("csv", "latex")):
        browser.execute_script("document.querySelectorAll('#cost .copy')[arguments[0]].click()", index)
        until(browser, "return window.copied !== undefined")
        texts[name] = browser.execute_script("const t = window.copied; window.copied = undefined; return t")
    head, *rows = texts["csv"].splitlines()
    assert head.startswith("cell,program,")
    assert rows and all("gru" in row and ",256," in row for row in rows)
    assert texts["latex"].count(r"\\") == len(rows) + 1
    assert r"\toprule" in texts["latex"]


def test_every_axis_that_varies_has_a_filter(browser: Any, page: str) -> None:
    visit(browser, page)
    fieldsets = "[...document.querySelectorAll('#filters fieldset')].filter(f => !f.hidden)"
    found = browser.execute_script(f"return {fieldsets}.map(f => f.children[0].textContent)")
    assert found[:2] == ["Cell", "Implementation"]
    assert found[-1] == "Run and hardware"


def test_the_first_number_of_a_row_is_on_a_phone(browser: Any, page: str) -> None:
    visit(browser, page, 390)
    right = "return document.querySelector('#cost tbody td.why').getBoundingClientRect().right"
    assert browser.execute_script(right) < 390


def test_the_first_tab_skips_to_the_results(browser: Any, page: str) -> None:
    from selenium.webdriver.common.keys import Keys

    visit(browser, page)
    browser.find_element("tag name", "body").send_keys(Keys.TAB)
    active = browser.switch_to.active_element
    assert active.text == "Skip to the results"
    active.send_keys(Keys.ENTER)
    assert browser.execute_script("return document.activeElement.id") == "main"


def test_nothing_that_is_focused_lacks_a_name(browser: Any, page: str) -> None:
    visit(browser, page)
    script = """return [...document.querySelectorAll('button, select, input, [tabindex="0"]')]
        .filter(e => !e.closest('.plot'))
        .filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"""
    assert browser.execute_script(script) == []


def test_print_shows_all_rows_and_plots_in_light_colours(browser: Any, page: str) -> None:
    visit(browser, page, scheme="dark")
    until(browser, "return document.documentElement.dataset.printable === 'yes'")
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF")
    assert browser.execute_script("return [...document.querySelectorAll('.plot')].every(p => p.querySelector('svg'))")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    scroll, aside = browser.execute_script(
        "return [getComputedStyle(document.querySelector('.scroll')).maxHeight,"
        "getComputedStyle(document.querySelector('aside')).display]"
    )
    assert (scroll, aside) == ("none", "none")
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_download_is_the_file(browser: Any, page: str) -> None:
    visit(browser, page)
    browser.execute_script("document.querySelector('[data-name=\"records-A.jsonl\"]').click()")
    path = browser.downloads / "records-A.jsonl"
    end = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == as_stored(everything())


@pytest.mark.long
def test_two_thousand_records_take_less_than_a_second(browser: Any, tmp_path: Path) -> None:
    """On the clock: load event, tables that can be filtered, and the first plot, for which a reader scrolls at once."""
    programs = {"torch": ("eager", "native", "compiled"), "jax": ("scan", "associative_scan")}
    places = [
        {"cell": f"cell{c}", "backend": backend, "implementation": name, "device": device, "seq_len": T}
        for c in range(10)
        for backend, names in programs.items()
        for name in names
        for device in ("cpu", "cuda")
        for T in (64, 256, 1024, 2048)
    ]
    records = [
        timing(1e-6 * (1 + index % 7), mode, **at) for index, at in enumerate(places) for mode in ("train", "forward")
    ]
    records += [gradient(-0.01, **at) for at in places] + [
        training(0.1, 200, replicate=r, **at) for at in places for r in (0, 1)
    ]
    records = records[:2000]
    assert len(records) == 2000
    path = tmp_path / "many.html"
    path.write_text(render([ReportRun(records, meta())]), encoding="utf-8")
    seen = {"load": "navigation[0].loadEventEnd", "filters": "window.filtersAt", "plot": "window.plotAt"}
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})["identifier"]
    times: dict[str, list[float]] = {name: [] for name in seen}
    for _ in range(3):
        visit(browser, path.as_uri())
        for name, when in seen.items():
            value = f"const navigation = performance.getEntriesByType('navigation'); return {when}"
            until(browser, f"{value} > 0")
            times[name].append(round(browser.execute_script(value) / 1000, 3))
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script})
    print(f"seconds after the navigation: {times}")
    assert all(min(column) < 1 for column in times.values()), times


WATCH = """new MutationObserver(() => {
  if (!window.filtersAt && document.getElementById("filters")?.hidden === false) {
    window.filtersAt = performance.now();
    document.querySelector("figure[data-plot]").scrollIntoView({ behavior: "instant" });
  }
  const plot = document.querySelector("figure svg");
  if (plot && !window.plotSeen) {
    window.plotSeen = true;
    requestAnimationFrame(() => setTimeout(() => { window.plotAt = performance.now(); }));
  }
}).observe(document, { childList: true, subtree: true, attributes: true });"""
"""Scrolls to the first plot, which lies below the window and is not drawn before, and notes when the page has got so
far; a frame is painted between its request and the timeout that follows.
"""
