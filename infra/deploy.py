"""Everything that a Prefect server must know before a fleet can work: pools, deployments, and who notices dead runs.

    python -m infra.deploy

The server is that of PREFECT_API_URL. Again whenever prefect.yaml changes: what is there is left or brought up to date.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from flows.session.prefect_settings import import_prefect
from flows.session.surroundings import prepare_process
from oldphoto_core.errors import OldPhotoError

PROJECT = Path(os.environ.get("OLDPHOTO_HOME") or Path(__file__).resolve().parents[1])
"""Folder of prefect.yaml; in an image the package lies elsewhere."""
AUTOMATION = "oldphoto-crash-silent-runs"
SILENT_SECONDS = 65
"""Two beats, and what an event takes."""
SIGNS_OF_LIFE = ("heartbeat", "Running")
"""Events of a run from which on it may be silent for so long. The first beat comes a moment before it is Running, and a
machine may be lost before the second one."""
ENDS = ("Completed", "Failed", "Crashed", "Cancelled", "Suspended")
"""States of a run that nobody waits for."""


class NotDeployed(OldPhotoError):
    """Prefect refused something of it."""


def create_pools(kinds: dict[str, str]) -> list[str]:
    """Those of the pools, given by name and type, that are not there yet; gives their names."""
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    from infra.shard_worker import TYPE, ShardWorker

    made = []
    with get_client(sync_client=True) as client:
        known = {pool.name for pool in client.read_work_pools(limit=200)}
        for name, kind in kinds.items():
            if name not in known:
                template = ShardWorker.get_default_base_job_template() if kind == TYPE else {}
                client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template))
                made.append(name)
    return made


def pools_of_project(project: Path = PROJECT / "prefect.yaml") -> dict[str, str]:
    """Name -> type of the pools of prefect.yaml: `restore-shard` is for our worker, all else for Prefect's."""
    from infra.shard_worker import TYPE

    deployments: list[dict[str, Any]] = yaml.safe_load(project.read_text())["deployments"]
    kinds = {each["work_pool"]["name"]: "process" for each in deployments}
    return kinds | {each["work_pool"]["name"]: TYPE for each in deployments if each["name"] == "restore-shard"}


def deploy_all(project: Path = PROJECT) -> None:
    """`prefect deploy --all`. Raises NotDeployed."""
    command = [sys.executable, "-P", "-m", "prefect", "--no-prompt", "deploy", "--all"]
    environment = {**os.environ, "OLDPHOTO_HOME": str(project)}
    ended = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    if ended.returncode != 0:
        said = (ended.stdout + ended.stderr).strip().splitlines()
        raise NotDeployed(f"prefect deploy --all ended with {ended.returncode}: {' '.join(said[-3:])}")


def watch_silent_runs() -> None:
    """An automation that calls a watched run crashed which is silent for two beats: its machine is gone.

    The open-source server does not notice that by itself.
    """
    from prefect import get_client
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    from flows.session.server import WATCHED

    with get_client(sync_client=True) as client:
        for old in client.read_automations_by_name(AUTOMATION):
            client.delete_automation(old.id)
    trigger = EventTrigger(
        posture=Posture.Proactive,
        after={f"prefect.flow-run.{event}" for event in SIGNS_OF_LIFE},
        expect={f"prefect.flow-run.{event}" for event in (*SIGNS_OF_LIFE, *ENDS)},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        match_related=ResourceSpecification(
            {"prefect.resource.id": [f"prefect.tag.{WATCHED}"], "prefect.resource.role": ["tag"]}
        ),
        for_each={"prefect.resource.id"},
        threshold=1,
        within=timedelta(seconds=SILENT_SECONDS),
    )
    said = f"no sign of life for {SILENT_SECONDS} s: its machine is gone"
    action = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=said, force=False)
    Automation(name=AUTOMATION, description=said, trigger=trigger, actions=[action]).create()


def main(
    skip_deployments: Annotated[
        bool, typer.Option("--skip-deployments", help="Only pools and the automation.")
    ] = False,
) -> None:
    """Make pools, deployments and the automation."""
    prepare_process(typer.echo)
    import_prefect()
    made = create_pools(pools_of_project())
    typer.echo(f"work pools: {', '.join(made) or 'all there'}")
    if not skip_deployments:
        deploy_all()
        typer.echo("deployed: everything in prefect.yaml")
    watch_silent_runs()
    typer.echo(f"automation: {AUTOMATION}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except OldPhotoError as error:
        raise SystemExit(f"deploy: {error}") from None
