"""What the pipeline adds to the network: the wall time of a whole run against the network alone on the same photos.

    python benchmarks/pipeline_overhead.py [--photos 200] [--model starter] [--source FOLDER]

The network alone: every photo decoded beforehand, restored one after the other in one thread of this process. The whole
run: the Prefect flow from inventory to summary, with reading, decoding, encoding, verified writing, masks, records and
ledger. Prefect's server is up before the clock starts; how long it took is printed too. The network is timed before and
after the run, since machines are seldom quiet; the CPU seconds of this process tell more on a busy one.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from flows.session.prefect_session import prefect_session
from oldphoto_core.restoration import NetworkOptions, load_restorer
from oldphoto_core.samples import make_collection
from oldphoto_core.scans import read_scan
from oldphoto_core.storage import Bucket, is_image_key


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--photos", type=int, default=200)
    arguments.add_argument("--model", default="starter")
    arguments.add_argument("--source", type=Path, help="photos to take, again and again; default: the demo's")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
        source = collect(Path(folder), chosen.source, chosen.photos)
        megapixels, before = network_alone(source, chosen.model)
        whole = whole_run(source, Path(folder) / "restored", chosen.model)
        _, after = network_alone(source, chosen.model)
    alone = Cost((before.wall + after.wall) / 2, (before.cpu + after.cpu) / 2)
    print(f"{chosen.photos} photos, {megapixels:.1f} megapixels, model {chosen.model}")
    print(
        f"network alone  {alone.wall:8.1f} s ({before.wall:.1f} before, {after.wall:.1f} after)  {alone.cpu:8.1f} CPU s"
    )
    print(f"whole run      {whole.wall:8.1f} s  {megapixels / whole.wall:.2f} MP/s  {whole.cpu:8.1f} CPU s")
    print(
        f"overhead       {percent(whole.wall, alone.wall)} of the wall time, {percent(whole.cpu, alone.cpu)} of the CPU"
    )


class Cost(NamedTuple):
    """Seconds on the clock, and of all cores together."""

    wall: float
    cpu: float


class Clock:
    """Started when made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cost(self) -> Cost:
        """Since then."""
        return Cost(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def percent(whole: float, part: float) -> str:
    """What the whole is over its part."""
    return f"{100 * (whole / part - 1):+.1f} %"


def collect(folder: Path, given: Path | None, count: int) -> Path:
    """`count` files in one folder."""
    if given is None:
        given = folder / "collection"
        make_collection(Bucket(given), Bucket(folder / "masks"))
    files = [given / item.key for item in Bucket(given).list() if is_image_key(item.key)]
    source = folder / "source"
    source.mkdir()
    for number, file in enumerate(islice(cycle(files), count)):
        shutil.copyfile(file, source / f"{number:04}-{file.name}")
    return source


def network_alone(source: Path, model: str) -> tuple[float, Cost]:
    """Megapixels and their cost."""
    restorer = load_restorer(NetworkOptions(model=model))
    scans = [read_scan(file.read_bytes()).pixels for file in sorted(source.iterdir())]
    restorer.restore(scans[0])
    clock = Clock()
    for pixels in scans:
        restorer.restore(pixels)
    return sum(pixels.shape[0] * pixels.shape[1] for pixels in scans) / 1e6, clock.cost()


def whole_run(source: Path, target: Path, model: str) -> Cost:
    """From inventory to summary."""
    started = time.perf_counter()
    with prefect_session(print):
        from flows.restore import restore

        print(f"Prefect was up after {time.perf_counter() - started:.1f} s")
        clock = Clock()
        summary = restore(str(source), str(target), model=model)
        cost = clock.cost()
    assert summary["restored"] == summary["found"], summary
    return cost


if __name__ == "__main__":
    main()
