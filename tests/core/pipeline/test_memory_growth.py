"""Photos that are done leave nothing behind in the process that restored them."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from collections import Counter
from pathlib import Path

import dask
import pytest
from fakes import InvertingRestorer, fill
from places import python_path
from waiting import wait_until

from oldphoto_core.pipeline import threads
from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.storage import Bucket, LedgerRow

PHOTOS, FIRST, LAST = 180, 60, 160


def objects_by_type() -> Counter[str]:
    """How many there are, of all that the garbage collector knows."""
    gc.collect()
    # other threads must not run while this list refers to tuples that they are building: that is a SystemError to them
    before = sys.getswitchinterval()
    sys.setswitchinterval(60.0)
    try:
        return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    finally:
        sys.setswitchinterval(before)


def objects_left(folder: Path) -> Counter[str]:
    """By type, the objects that there are more of after LAST photos than after FIRST."""
    fill(folder / "old", [f"{number:03}.png" for number in range(PHOTOS)], height=16, width=16)
    source, target = Bucket(folder / "old"), Bucket(folder / "new")
    alive: list[Counter[str]] = []
    statuses: list[str] = []

    def count(row: LedgerRow) -> None:
        statuses.append(row.status)
        if len(statuses) in (FIRST, LAST):
            alive.append(objects_by_type())

    photos = [Photo(found.key, found.version, found.size) for found in source.list()]
    restore_photos(
        InvertingRestorer(),
        source,
        target,
        photos,
        RestoreOptions(threads=2, isolate=False),
        ShardCallbacks(on_row=count),
    )
    # a photo in flight while objects are counted may fail by the counting itself, see `objects_by_type`
    assert statuses.count("restored") >= PHOTOS - 4
    return alive[1] - alive[0]


ALONE = """
import json, sys
from pathlib import Path
from test_memory_growth import objects_left
print(json.dumps(objects_left(Path(sys.argv[1]))))
"""


@pytest.mark.long
def test_no_kind_of_object_grows_with_the_photos_that_are_done(tmp_path: Path) -> None:
    # in a process of its own: other tests leave torch with weak references that come and go
    command, environment = (
        [sys.executable, "-c", ALONE, str(tmp_path)],
        {**os.environ, "PYTHONPATH": python_path(Path(__file__).parent)},
    )
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    left: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    # what is in flight at either moment differs by some dozens on a busy machine; what stays, stays for each photo
    assert {kind: count for kind, count in left.items() if count >= LAST - FIRST} == {}


@pytest.mark.long
def test_dask_remembers_no_more_tasks_than_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dask.utils import key_split

    monkeypatch.setattr(threads, "_TASKS_REMEMBERED", 50)
    objects_left(tmp_path)
    # another run's threads may be at work in this process, and have a bound of their own
    assert key_split.cache_info().currsize <= 100


def test_a_closed_cluster_leaves_no_names_of_its_tasks() -> None:
    # each shard has a cluster of its own, and too few tasks to reach the bound within a run of the engine
    from dask.utils import key_split

    before = key_split.cache_info().misses
    with threads.dask_threads(1) as client:
        for task in [client.submit(len, "four", pure=False) for _ in range(50)]:
            task.result()
        assert key_split.cache_info().misses >= before + 50
    assert key_split.cache_info().currsize < 50


def test_dask_is_started_without_spans_which_note_every_task() -> None:
    with threads.dask_threads(1) as client:
        scheduler = client.cluster.scheduler
        (worker,) = client.cluster.workers.values()
        assert "spans" not in scheduler.extensions
        assert "stealing" in scheduler.extensions
        assert client.submit(len, "four", pure=False).result() == 4
        client.sync(worker.heartbeat)  # which would fail if the worker still had them


def test_a_closed_cluster_leaves_neither_scheduler_nor_worker_nor_entries_in_lists_of_the_process() -> None:
    def used_and_closed() -> tuple[list[weakref.ref[object]], tuple[int, int]]:
        with threads.dask_threads(1) as client:
            assert client.submit(len, "four", pure=False).result() == 4
            members = [weakref.ref(client.cluster.scheduler), *map(weakref.ref, client.cluster.workers.values())]
        return members, (len(sys.path_importer_cache), len(dask.config.get("distributed.scheduler.http.routes")))

    _, before = used_and_closed()
    members, after = used_and_closed()

    def all_are_gone() -> bool:
        gc.collect()
        return not any(member() for member in members)

    wait_until(all_are_gone, "a closed cluster's scheduler and worker to go", seconds=30)
    assert after == before


@pytest.mark.long
def test_the_history_that_dask_keeps_by_itself_would_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_NO_HISTORY", {})
    assert objects_left(tmp_path)["builtins.dict"] > LAST - FIRST
