"""What a test run left out, in three lines at its end, and how to have it run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

LONG = "not long"
"""The marker expression of `make test`."""


def lines(reasons: Iterable[str], marker_expression: str) -> list[str]:
    """At most three lines; none where everything ran. `reasons` has one for each test that was skipped."""
    counted = Counter(reasons)
    said = []
    if counted:
        each = "; ".join(f"{count} as {reason}" for reason, count in counted.most_common())
        said += [f"Skipped {counted.total()}: {each}", "What they need and how to get it: CONTRIBUTING.md, Tests."]
    if marker_expression == LONG:
        said.append("Left out: the tests marked long (kills, whole trainings, large scans); `make test-all` runs them.")
    return said


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Pytest calls this at the end of a run."""
    skipped = terminalreporter.stats.get("skipped", [])
    for line in lines(map(_reason, skipped), config.option.markexpr):
        terminalreporter.write_line(line)


def _reason(report: pytest.TestReport) -> str:
    # of a skipped test: the file, the line, and "Skipped: " with the reason
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
