"""One self-contained HTML page: what was compared, the five challenges, what failed, how numbers were made, raw data.

Importing this package is cheap; jinja2 and plotly (the extra `html`) are imported when a page is rendered.
"""

from __future__ import annotations

from rnnbench.report.html.page import render
from rnnbench.report.runs import ReportRun

__all__ = ["ReportRun", "render"]
