"""The paper's evaluation on any photos: rivals, ablations and our method at one budget, in one table.

rows    which methods there are
plan    how many steps of each stage a budget of CPU time buys, decided once
kept    what a method made of a photo, kept, so that an interrupted table goes on
table   what is measured of each row
layout  the table as Markdown, CSV, LaTeX and a chart
"""

from oldphoto_core.evaluation.paper.plan import PaperConfig, Plan, make_plan
from oldphoto_core.evaluation.paper.rows import ROWS, Row, rows_named

__all__ = ["ROWS", "PaperConfig", "Plan", "Row", "make_plan", "rows_named"]
