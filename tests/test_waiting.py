"""Tests wait for conditions, in one place; nobody sleeps elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from waiting import wait_until

TESTS = Path(__file__).parent
SLOW_ON_PURPOSE = {"waiting.py", "fakes.py", "storms.py", "sitecustomize.py"}
"""The one that waits; stand-ins for a slow network, a slow store and a decoder that hangs."""


def sleeps(path: Path) -> list[int]:
    """Lines that call `sleep` or the browser's `wait_for_timeout`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = [(getattr(call.func, "attr", getattr(call.func, "id", "")), call.lineno) for call in calls]
    return [line for name, line in names if name in ("sleep", "wait_for_timeout")]


def test_no_test_waits_for_a_time() -> None:
    found = {path: sleeps(path) for path in TESTS.rglob("*.py") if path.name not in SLOW_ON_PURPOSE}
    assert {str(path.relative_to(TESTS)): lines for path, lines in found.items() if lines} == {}


def test_waiting_ends_with_the_condition_or_says_what_it_waited_for() -> None:
    left = iter([False, False, True])
    wait_until(lambda: next(left), "the third look", every=0.0)
    with pytest.raises(AssertionError, match="waited 0 s for the impossible"):
        wait_until(lambda: False, "the impossible", 0.0, every=0.0)
