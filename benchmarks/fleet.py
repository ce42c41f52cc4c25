"""What a fleet takes beside the restoration itself: a run over a pool against the same shards in one process.

    python benchmarks/fleet.py [--photos 200] [--model starter] [--shard-photos 50]

Both restore the same photos with the same model on this machine; server, coordinator and worker are up, and the model
is loaded, before a clock starts. What is not work on photos (planning, starting a shard, dispatch, states, closing the
books) is divided by the number of shards; what it is more on the fleet is orchestration, and the share of a run of
1,000 photos follows.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from pipeline_overhead import collect

from infra.fleet import Fleet
from oldphoto_core.reports.summary import Summary
from oldphoto_core.restoration import RestoreJob, close_run, job_of, open_run, restore_shard

PHOTOS = 1000


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--photos", type=int, default=200)
    arguments.add_argument("--shard-photos", type=int, default=50)
    arguments.add_argument("--model", default="starter")
    arguments.add_argument("--source", type=Path, help="photos to take, again and again; default: the demo's")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as name:
        folder = Path(name)
        source = collect(folder, chosen.source, chosen.photos)
        job = {"source": str(source), "model": chosen.model, "shard_photos": chosen.shard_photos}
        alone = in_one_process(job_of(**job, target=str(folder / "alone")))
        fleet = on_a_fleet(folder, {**job, "target": str(folder / "fleet")})
    shards = -(-PHOTOS // chosen.shard_photos)
    work, more = alone.seconds * PHOTOS / chosen.photos, fleet.beside - alone.beside
    print(f"{chosen.photos} photos, {chosen.shard_photos} a shard, model {chosen.model}, one worker on a CPU")
    for name, took in (("one process", alone), ("fleet", fleet)):
        print(f"{name:12} {took.seconds:8.1f} s, {took.beside:.2f} s a shard beside the photos")
    print(f"orchestration {more:.2f} s a shard: {100 * more * shards / work:.1f} % of {PHOTOS} photos in {work:.0f} s")


class Took(NamedTuple):
    """Seconds on the clock."""

    seconds: float
    """Of the run."""
    beside: float
    """For each shard, those in which no photo was worked on."""


def took(summary: Summary) -> Took:
    """By what the run measured of itself."""
    assert summary["restored"] == summary["found"], summary
    metrics = summary["metrics"]
    return Took(summary["seconds"], (summary["seconds"] - metrics["shard_seconds"]) / metrics["shards"])


def in_one_process(job: RestoreJob) -> Took:
    """From inventory to summary."""
    from oldphoto_core.runs.job import restorer_of

    restorer_of(job)
    run = open_run(job)
    for number in range(len(run.shards)):
        restore_shard(run, number)
    return took(close_run(run))


def on_a_fleet(folder: Path, parameters: dict[str, Any]) -> Took:
    """The same over a pool of one worker."""
    from prefect.deployments import run_deployment
    from prefect.settings import PREFECT_API_URL, temporary_settings

    fleet = Fleet(folder / "fleet-of-processes")
    fleet.processes.environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
    with fleet:
        fleet.start(workers=1, receivers=False)
        with temporary_settings({PREFECT_API_URL: fleet.api}):
            # the first run loads the model in coordinator and worker
            for target, limit in ((parameters["target"] + "-warm", 1), (parameters["target"], None)):
                run = run_deployment(
                    "restore/restore",
                    parameters={**parameters, "target": target, "limit": limit, "pool": "gpu"},
                    as_subflow=False,
                    poll_interval=0.5,
                )
                assert run.state.is_completed(), run.state
    (summary,) = [json.loads(path.read_text()) for path in Path(parameters["target"]).glob("runs/*/summary.json")]
    return took(summary)


if __name__ == "__main__":
    main()
