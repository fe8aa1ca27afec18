"""Our figures beside published ones, from reports whose numbers are known."""

from __future__ import annotations

from readme_published import FIGURES, table

HEAD = "cell,backend,implementation,device,seq_len,layers,quantity,value\n"
TIMES = """\
gru,torch,native,cpu,512,1,train.time_per_step,2e-5
gru,torch,eager,cpu,512,1,train.time_per_step,2e-4
mingru,torch,associative_scan,cpu,512,1,train.time_per_step,1e-5
mingru,torch,associative_scan,cuda,512,1,train.time_per_step,1e-9
"""
LEARNT = """\
gru,torch,native,cpu,24,1,final_validation_metric,0.5
gru,torch,native,cpu,24,1,final_validation_metric,0.25
mingru,jax,scan,cpu,24,3,final_validation_metric,0.75
"""


def row(suite: str, rows: str) -> str:
    lines = table(lambda name: HEAD + rows if name == suite else None).splitlines()
    return next(line for line in lines if line.startswith(f"| `{suite}`"))


def test_a_speed_names_both_programs():
    assert "T=512: mingru (torch/associative_scan) 2 times gru's (torch/native), 20 times gru's in a loop |" in row(
        "was_it_worth_it", TIMES
    )


def test_an_accuracy_is_the_best_of_each_cell():
    assert row("selective_copy", LEARNT).endswith("accuracy at T=24: mingru with 3 layers 75 %, gru 50 % |")


def test_a_suite_that_was_not_run_says_so():
    lines = table(lambda name: None).splitlines()
    assert len(lines) == 2 + len(FIGURES)
    assert all(line.endswith("| no committed run yet |") for line in lines[2:])
