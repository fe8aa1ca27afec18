"""Suites: a YAML file becomes a validated plan of cases.

    document = suite.read(Path("suites/smoke.yaml"))      # well formed? which plugins does it want?
    plan = suite.plan(document, registry, only=["cell=lstm|gru"], overrides=["seq_len=[64, 128]"])

The format:

    name: long_seq                    # required: letters, digits, _ - .
    description: what it is for
    seed: 0                           # fixes all weights and data
    executor: local                   # how cases are run; a mapping has options too: {name: local, jobs: 2}
    timeout: 300                      # seconds after which a case is given up
    reference: fastest                # what tables of ratios call 1: a cell, a program (torch/native), or both
    plugins: [my_cell.py]             # files, relative to the suite
    grid:                             # each axis is a value or a list; lists multiply
      cell: [lstm, lstm(forget_bias=5), gru]     # required; also classes: torchrecurrent:MGUCell, my_model.py:MyCell
      seq_len: [64, 256]              # required
      backend: [torch, jax]           # default: every backend there is
      implementation: auto            # the backend's preferred one that verifies
      device: [cpu, cuda]             # default cpu; absent ones are skipped with a reason
      dtype: float32
      batch_size: 16
      hidden_size: 128                # or `params: 100000`: each cell's size solved to have so many, within 2 %
      input_size: 32                  # a task sets its own
      layers: 1
      dropout: 0
      threads: null                   # one per physical core
      include: [{cell: lru, seq_len: 4096}]      # more cases: each entry over the grid, then its lists multiply
      exclude: [{backend: jax, cell: gru}]       # drops whatever matches every axis of an entry, included or not
    probes:                           # name -> settings, or nothing for the defaults
      throughput: {modes: [forward, train]}
      gradient:
      convergence:
        task: adding                  # spelled like a cell, `copy(symbols=4)`; sets input_size
        lr: [0.001, 0.01]             # a list multiplies the cases, unless the setting itself is a list
        seeds: 3                      # replicate: [0, 1, 2]
        grid: {seq_len: 64}           # axes this probe runs on instead
    profiles:                         # variants: `--set profile=quick` merges one over the suite
      quick: {grid: {seq_len: 64}}

In `exclude` and in `--only`, `lstm` stands for all its options. An axis that a probe ignores takes its default, and
what is then the same is measured once. Text, numbers, true, false and null are read as YAML 1.2 has them: `on` is text
and `1e-3` a number. Anchors, aliases and merge keys (`<<: *name`) are allowed; tags and several
documents are not.

Whatever is wrong is a `rnnbench.errors.SuiteError`, one line per problem: `file:line: key: what was found; what is
allowed. The nearest name.`
"""

from rnnbench.suite.classes import classes_named
from rnnbench.suite.document import Document, read, read_mapping
from rnnbench.suite.expansion import Plan, plan
from rnnbench.suite.schema import json_schema

__all__ = ["Document", "Plan", "classes_named", "json_schema", "plan", "read", "read_mapping"]
