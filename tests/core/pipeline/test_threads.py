"""Threads of one process that each start Dask, as a machine with several devices does at the first shards of a run."""

from __future__ import annotations

import subprocess
import sys

SIDE_BY_SIDE = """
import sys, threading
from oldphoto_core.pipeline.threads import dask_threads

together, failed = threading.Barrier(4), []

def work():
    try:
        together.wait()
        with dask_threads(1) as client:
            assert client.submit(abs, -1, pure=False).result() == 1
            together.wait(60)
    except Exception as error:
        failed.append(repr(error))
        together.abort()

sys.setswitchinterval(1e-6)  # threads change places all the time, as on a busy machine
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(f"did not start: {failed}" if failed else 0)
"""


def test_several_threads_of_a_fresh_process_start_dask_side_by_side() -> None:
    ended = subprocess.run([sys.executable, "-c", SIDE_BY_SIDE], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
