"""Lots of cases: what travels to a cluster, what its workers do with it, and how the answers become one run.

cutting    cases -> lots, quiet and loud ones apart
files      plugins and data files that go with them
worker     runs a lot where it arrives, with the `Runner` of every run
journal    the file it appends to, which outlives both sides
drive      submits, waits, keeps records, and tries again what was lost
"""

from rnnbench.lots.worker import perform_lot

__all__ = ["perform_lot"]
