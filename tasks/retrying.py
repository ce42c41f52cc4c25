"""Faults after which Prefect runs a task again."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

RETRY_SECONDS = 30
"""Pause before a retry: a scheduler that was restarted listens again by then."""


def cluster_was_lost(_task: Task[..., Any], _run: TaskRun, failed: State[Any]) -> bool:
    """Returns whether the connection to a Dask cluster broke during a task.

    Errors of our own (a cluster that never answered, a wrong target) are not among these faults: the same call would
    fail again, or the core has retried already.
    """
    return isinstance(failed.data, OSError | CancelledError)
