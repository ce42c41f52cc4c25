"""What every Prefect task states: run name, tags, retries and timeout, in its own decorator."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STATED = {"task_run_name", "tags", "retries", "timeout_seconds", "cache_policy", "persist_result", "log_prints"}


def decorators(folder: str) -> Iterator[tuple[str, ast.expr]]:
    """("tasks/training.py: train_stage", its decorator) for every task below a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for decorator in node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ():
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if ast.unparse(called) in ("task", "prefect.task"):
                    yield f"{path.relative_to(ROOT)}: {node.name}", decorator


TASKS = dict(decorators("tasks"))


def stated(decorator: ast.expr) -> dict[str, ast.expr]:
    assert isinstance(decorator, ast.Call), "the task is decorated without arguments"
    return {keyword.arg: keyword.value for keyword in decorator.keywords if keyword.arg}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_states_what_prefect_shows_retries_and_times(name: str) -> None:
    settings = stated(TASKS[name])
    assert sorted(STATED - set(settings)) == []
    assert ast.literal_eval(settings["task_run_name"])
    assert ast.literal_eval(settings["tags"])


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_is_retried_says_when_and_for_which_faults(name: str) -> None:
    settings = stated(TASKS[name])
    if ast.literal_eval(settings["retries"]):
        assert {"retry_delay_seconds", "retry_condition_fn"} <= set(settings)


def test_tasks_are_in_their_folder_alone() -> None:
    assert len(TASKS) >= 9
    assert [name for folder in ("flows", "infra", "oldphoto_core") for name, _ in decorators(folder)] == []
