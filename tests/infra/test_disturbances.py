"""What disturbs a fleet looks at processes that may end at any moment."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
from waiting import wait_until

from disturbances import children_running, kill  # isort: skip

MODULE = "infra.shard_process"


def test_a_child_that_has_ended_and_was_not_waited_for_is_not_among_those_that_run() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "", MODULE]) as ended,
        subprocess.Popen([sys.executable, "-c", "input()", MODULE], stdin=subprocess.PIPE) as running,
    ):
        wait_until(lambda: psutil.Process(ended.pid).status() == psutil.STATUS_ZOMBIE, "the child that ends")
        assert [child.pid for child in children_running(MODULE, os.getpid())] == [running.pid]
        kill([psutil.Process(ended.pid), psutil.Process(running.pid)])
        assert running.wait(60) < 0
