"""A worker of a fleet: takes runs of `restore-shard` from a work pool, and restores them in processes that stay.

    python -m infra.worker --pool gpu

One process for each device of this machine, with Prefect and the model loaded once; Prefect's own process worker
starts Python anew for every run. What is Prefect's stays Prefect's: polling, limits, states, cancelling. SIGTERM and
Ctrl-C hand back what is worked on.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Annotated

import typer

from flows.session.prefect_settings import import_prefect
from flows.session.surroundings import prepare_process
from infra.bench import Bench
from oldphoto_core.errors import OldPhotoError

_DEFAULTS = {
    # a shard is taken within a second
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "DASK_LOGGING__DISTRIBUTED": "error",
}


def devices_of(chosen: str) -> list[dict[str, str]]:
    """Environments, one for each device: a process sees its own GPU alone."""
    if chosen == "cpu":
        return [{"CUDA_VISIBLE_DEVICES": ""}]
    from oldphoto_core.devices import local_devices, resolve_device

    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    found = []
    for device in local_devices(resolve_device(chosen)):
        kind, _, number = device.partition(":")
        index = int(number or 0)
        gpu = visible[index] if index < len(visible) else str(index)
        found.append({"CUDA_VISIBLE_DEVICES": gpu if kind == "cuda" else ""})
    return found


def main(
    pool: Annotated[str, typer.Option(help="Work pool to take shards from.")],
    device: Annotated[str, typer.Option(help="auto (every GPU, else the CPU), cpu, cuda or cuda:N.")] = "auto",
    name: Annotated[str, typer.Option(help="Of this worker; no two may have the same.")] = "",
    with_healthcheck: Annotated[bool, typer.Option("--with-healthcheck", help="Say on port 8080 how it is.")] = False,
    patience: Annotated[float, typer.Option(min=10, help="Seconds without progress that end a process.")] = 1800.0,
) -> None:
    """Restore shards until SIGTERM."""
    prepare_process(typer.echo)
    for variable, value in _DEFAULTS.items():
        os.environ.setdefault(variable, value)
    import anyio

    import_prefect()
    from infra.shard_worker import ShardWorker, work  # Prefect reads the settings when it is imported

    environments = devices_of(device)
    benches = [Bench(f"device {number}", environment, patience) for number, environment in enumerate(environments)]
    worker = ShardWorker(
        benches,
        work_pool_name=pool,
        name=name or f"{socket.gethostname()}-{os.getpid()}",
        create_pool_if_not_found=False,
    )
    try:
        anyio.run(partial(work, worker, typer.echo, with_healthcheck))
    finally:
        for bench in benches:
            bench.close()
    typer.echo("everything is handed back")


if __name__ == "__main__":
    try:
        typer.run(main)
    except OldPhotoError as error:
        raise SystemExit(f"worker: {error}") from None
