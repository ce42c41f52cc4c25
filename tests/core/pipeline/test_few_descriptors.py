"""Runs in processes that may open few files: shortages wait, and no good photo fails of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import fill
from places import python_path

from oldphoto_core.errors import ScanError, StorageError, is_shortage
from oldphoto_core.pipeline import photo_limit

RUN = """
import json, resource, sys, time
from fakes import InvertingRestorer
from oldphoto_core.pipeline import engine
from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.storage import Bucket


class Pipeline(engine._Pipeline):
    def run(self):
        restorer.pipeline = self
        super().run()


class SlowRestorer(InvertingRestorer):
    def restore(self, pixels, mask=None):
        # until the threads have done all that they were given: the network is what everybody waits for
        pipeline = self.pipeline
        begun = (pipeline._fetching, pipeline._decoding, pipeline._delivering)
        while pipeline._threads.count_over() < sum(map(len, begun)):
            time.sleep(0.001)
        return super().restore(pixels, mask)


engine._Pipeline, restorer = Pipeline, SlowRestorer()
source, target, most = Bucket(sys.argv[1]), Bucket(sys.argv[2]), int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
if most:
    engine.photos_at_once = lambda threads: most
photos = [Photo(found.key, found.version, found.size) for found in source.list()]
rows = []
options = RestoreOptions(threads=2, in_flight_megapixels=1000.0)
restore_photos(restorer, source, target, photos, options, ShardCallbacks(on_row=rows.append))
print(json.dumps({row.key: row.detail or row.status for row in rows}))
"""


def restored(source: Path, target: Path, descriptors: int, most: int = 0) -> tuple[dict[str, str], str]:
    """Details of the rows of a run with so many descriptors, and the log; `most` photos in flight, 0: as it finds."""
    environment = {**os.environ, "PYTHONPATH": python_path()}
    command = [sys.executable, "-c", RUN, str(source), str(target), str(descriptors), str(most)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_a_process_of_few_descriptors_restores_many_tiny_photos(tmp_path: Path) -> None:
    keys = [f"{number:03}.png" for number in range(100)]
    fill(tmp_path / "old", keys, height=16, width=16)
    rows, log = restored(tmp_path / "old", tmp_path / "new", descriptors=64)
    assert rows == dict.fromkeys(keys, "restored")
    assert "waits" not in log


def test_photos_that_find_no_descriptor_wait_until_others_are_done(tmp_path: Path) -> None:
    keys = [f"\u202e{number:03}.png" for number in range(100)]
    fill(tmp_path / "old", keys, height=16, width=16)
    rows, log = restored(tmp_path / "old", tmp_path / "new", descriptors=64, most=100)
    assert rows == dict.fromkeys(keys, "restored")
    assert "waits until others are done" in log
    assert "\u202e" not in log


def test_fewer_photos_are_in_flight_where_fewer_descriptors_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for left, photos in ((None, 64), (10_000, 64), (24 + 80, 10), (3, 1)):
        monkeypatch.setattr(photo_limit, "_descriptors_left", lambda left=left: left)
        assert photo_limit.photos_at_once(2) == photos
    monkeypatch.setattr(photo_limit, "_descriptors_left", lambda: None)
    assert photo_limit.photos_at_once(32) == 128


def test_a_shortage_is_known_whatever_was_raised_from_it() -> None:
    assert is_shortage(OSError(24, "Too many open files"))
    assert is_shortage(ScanError("unable to open x: Too many open files"))
    chained = StorageError("cannot be written")
    chained.__cause__ = OSError(12, "Cannot allocate memory")
    assert is_shortage(chained)
    assert not is_shortage(OSError(28, "No space left on device"))
