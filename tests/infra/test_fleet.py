"""The whole of it, on loopback: what arrives in a bucket is restored by a pool of workers.

The tests go through one night's work, in their order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import psutil
import pytest
from fakes import encoded, picture
from waiting import wait_until

from infra.fleet import SOURCE, TARGET, Fleet, wait_for_runs
from infra.postgres import programs_of_postgres
from infra.prefect_events import EVENT, runs_of
from infra.processes import Processes
from oldphoto_core.storage import Bucket, read_key_list, read_ledger

pytestmark = pytest.mark.long


def drop(*keys: str) -> None:
    for seed, key in enumerate(keys):
        Bucket(SOURCE).write(key, encoded(picture(seed=seed), ".png"))


def post(fleet: Fleet, content: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {fleet.token}"}
    return httpx.post(f"{fleet.receiver}/arrivals", json=content, headers=headers, timeout=60)


def ledgers() -> list[dict[str, str]]:
    """Key -> status and reason, of every run that has ended, in their order."""
    target, found = Bucket(TARGET), []
    for run_id in sorted(target.folders("runs")):
        if target.info(f"runs/{run_id}/summary.json"):
            rows = read_ledger(target.join("runs", run_id))
            found.append({row.key: f"{row.status} {row.reason}".strip() for row in rows.itertuples()})
    return found


def wait_for(*keys: str) -> dict[str, str]:
    """What became of these keys first, as soon as runs that ended tell it; no run may have ended badly meanwhile."""
    became: dict[str, str] = {}

    def are_known() -> bool:
        bad = [run for run in runs_of("restore", 0.0) if run["state_type"] in ("FAILED", "CRASHED", "CANCELLED")]
        assert not bad, [(run["name"], run["state"]["message"], run["parameters"]) for run in bad]
        for rows in reversed(ledgers()):
            became.update(rows)
        return set(keys) <= became.keys()

    wait_until(are_known, f"{keys} in the ledgers", every=1.0)
    return {key: became[key] for key in keys}


def test_a_burst_of_uploads_becomes_one_run_over_just_those_keys(fleet: Fleet) -> None:
    drop("before/1.png", "a 1.png", "b+2.png", "album/c.png")
    Bucket(SOURCE).write("notes.txt", b"no photo")
    drop("a 1.png")
    (run,) = wait_for_runs(1)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert read_key_list(run["parameters"]["keys"]) == ["a 1.png", "album/c.png", "b+2.png", "before/1.png"]
    assert set(ledgers()[0].values()) == {"restored"}
    assert run["parameters"]["source"] == SOURCE
    shards = runs_of("restore-shard", 0.0)
    assert [shard["state_type"] for shard in shards] == ["COMPLETED"]
    assert set(shards[0]["parameters"]) == {"target", "run_id", "number", "attempt", "coordinator"}, (
        "names travel, never pixels"
    )


def test_what_a_receiver_accepted_is_restored_though_it_was_killed(fleet: Fleet) -> None:
    store_silently(fleet, "late/1.png", "late/2.png")
    thing = {"bucket": {"name": "archive"}, "object": {"key": "scans/late/1.png"}}
    record = {"eventName": "s3:ObjectCreated:Put", "s3": thing}
    for _ in range(2):
        assert post(fleet, {"EventName": "s3:ObjectCreated:Put", "Records": [record]}).status_code == 202
    detail = {"bucket": {"name": "archive"}, "object": {"key": "scans/late/2.png"}}
    assert post(fleet, {"detail-type": "Object Created", "source": "aws.s3", "detail": detail}).status_code == 202
    fleet.processes.stop("receiver", signal.SIGKILL)
    fleet.processes.stop("poller", signal.SIGKILL)
    fleet.start_receivers()
    assert post(fleet, ["late/gone.png"]).status_code == 202
    assert wait_for("late/1.png", "late/2.png", "late/gone.png") == {
        "late/1.png": "restored",
        "late/2.png": "restored",
        "late/gone.png": "failed missing",
    }


def store_silently(fleet: Fleet, *keys: str) -> None:
    """Objects that the bucket does not tell of."""
    import boto3

    client = boto3.client("s3", endpoint_url=fleet.store)
    told = client.get_bucket_notification_configuration(Bucket="archive")["QueueConfigurations"]
    client.put_bucket_notification_configuration(Bucket="archive", NotificationConfiguration={})
    drop(*keys)
    client.put_bucket_notification_configuration(
        Bucket="archive", NotificationConfiguration={"QueueConfigurations": told}
    )


def test_the_nightly_run_finds_what_no_notification_told_of(fleet: Fleet) -> None:
    from prefect.deployments import run_deployment
    from prefect.settings import PREFECT_API_URL, temporary_settings

    store_silently(fleet, "silent.png")
    with temporary_settings({PREFECT_API_URL: fleet.api}):
        run_deployment("restore/restore", timeout=0, as_subflow=False)
    assert wait_for("silent.png") == {"silent.png": "restored"}
    assert ledgers()[-1]["late/1.png"] == "skipped already restored"


def test_the_nights_to_come_are_on_the_calendar(fleet: Fleet) -> None:
    """Prefect has made the runs, not only taken the schedule: with SQLAlchemy 2.1 its scheduler made none."""
    from prefect import get_client
    from prefect.client.schemas import FlowRun
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.settings import PREFECT_API_URL, temporary_settings

    scheduled = FlowRunFilter.model_validate({"state": {"type": {"any_": ["SCHEDULED"]}}})
    with temporary_settings({PREFECT_API_URL: fleet.api}), get_client(sync_client=True) as client:

        def planned() -> list[FlowRun]:
            return [run for run in client.read_flow_runs(flow_run_filter=scheduled) if run.auto_scheduled]

        wait_until(planned, "the nights to come", every=1.0)
        nights = planned()
        deployment = client.read_deployment_by_name("restore/restore")
    berlin = ZoneInfo("Europe/Berlin")
    ours = [run.expected_start_time.astimezone(berlin) for run in nights if run.deployment_id == deployment.id]
    assert {(each.hour, each.minute) for each in ours} == {(3, 30)}
    assert deployment.global_concurrency_limit is not None
    assert deployment.global_concurrency_limit.limit == 1


def test_deploying_again_changes_nothing(fleet: Fleet) -> None:
    from prefect import get_client

    from infra.deploy import AUTOMATION

    fleet.processes.run("deploy-again", "infra.deploy")
    with get_client(sync_client=True) as client:
        (automation,) = client.read_automations_by_name(AUTOMATION)
        deployments = [deployment.name for deployment in client.read_deployments()]
    assert automation.enabled
    assert len(deployments) == len(set(deployments)) >= 6


def test_everything_listens_on_loopback_alone(fleet: Fleet) -> None:
    listening = set()
    for process in fleet.processes.running.values():
        for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
            sockets = [c.laddr for c in each.net_connections() if c.status == psutil.CONN_LISTEN]
            listening |= {address.ip for address in sockets}
    assert listening == {"127.0.0.1"}


def test_a_stranger_can_make_no_worker_run_a_command(fleet: Fleet) -> None:
    """Whoever can post a run with `job_variables.command` runs commands as the worker."""
    with httpx.Client(base_url=fleet.api, timeout=60) as stranger:
        found = stranger.post("/deployments/filter", json={})
        run = {"job_variables": {"command": "touch stolen"}, "state": {"type": "SCHEDULED"}}
        posted = stranger.post(f"/deployments/{UUID(int=1)}/create_flow_run", json=run)
        asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        preflight = stranger.options("/flow_runs/", headers=asked)
    assert (found.status_code, posted.status_code) == (401, 401)
    assert "access-control-allow-origin" not in preflight.headers


def test_no_secret_is_an_argument_of_a_process(fleet: Fleet) -> None:
    secrets = (fleet.token, fleet.auth_string, fleet.processes.environment["AWS_SECRET_ACCESS_KEY"])
    for process in fleet.processes.running.values():
        for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
            arguments = " ".join(each.cmdline())
            assert not [secret for secret in secrets if secret in arguments], arguments
    assert {fleet.folder.joinpath(name).stat().st_mode & 0o777 for name in ("token", "prefect-auth")} == {0o600}


def test_no_credential_is_in_logs_parameters_or_events(fleet: Fleet) -> None:
    secrets = (fleet.token, fleet.auth_string, fleet.processes.environment["AWS_SECRET_ACCESS_KEY"])
    files = [path for path in fleet.folder.rglob("*") if path.is_file() and path.name not in ("token", "prefect-auth")]
    assert {path.stem for path in files} >= {"server", "receiver", "poller", "coordinator", "worker-1"}
    for path in files:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path
    stored = what_prefect_keeps(fleet)
    assert EVENT.encode() in stored, "events, parameters and logs of runs lie in Prefect's database"
    assert not [secret for secret in secrets if secret.encode() in stored]
    assert not [run for run in runs_of("restore", 0.0) for secret in secrets if secret in json.dumps(run)]


def what_prefect_keeps(fleet: Fleet) -> bytes:
    """All of its database."""
    if fleet.postgres is None:
        return b"".join(path.read_bytes() for path in fleet.folder.rglob("*.db*"))
    url = fleet.postgres.url.replace("+asyncpg", "")
    return subprocess.run([fleet.postgres.programs / "pg_dump", url], check=True, capture_output=True).stdout


def test_prefect_keeps_its_runs_in_postgresql_where_that_is_installed(fleet: Fleet) -> None:
    if programs_of_postgres() is None:
        pytest.skip("PostgreSQL is not installed")
    assert "postgres" in fleet.processes.running
    assert not list(fleet.folder.rglob("prefect.db"))


def test_what_was_started_is_stopped(tmp_path: Path) -> None:
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    (tmp_path / "parent.py").write_text(f"import subprocess, sys, time; {child}; time.sleep(600)")
    with Processes(tmp_path, tmp_path / "logs", {**os.environ, "PYTHONPATH": str(tmp_path)}) as processes:
        parent = psutil.Process(processes.start("parent", "parent").pid)
        wait_until(parent.children, "the child of what was started")
        children = parent.children()
    gone, alive = psutil.wait_procs([parent, *children], timeout=30)
    assert (len(gone), alive) == (2, [])
