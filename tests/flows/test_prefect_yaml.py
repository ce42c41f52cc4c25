from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS = {entry["name"]: entry for entry in PROJECT["deployments"]}


def test_the_collection_can_be_restored_by_a_deployment() -> None:
    assert DEPLOYMENTS["restore"]["entrypoint"] == "flows/restore.py:restore"


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_leads_to_a_flow_that_takes_its_parameters(name: str) -> None:
    from prefect import Flow

    path, _, function = DEPLOYMENTS[name]["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), function)
    assert isinstance(flow, Flow)
    assert set(DEPLOYMENTS[name].get("parameters") or {}) <= set(inspect.signature(flow.fn).parameters)
    assert DEPLOYMENTS[name]["description"]


@pytest.mark.long
def test_prefect_takes_every_deployment(prefect_server: str) -> None:
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    with get_client(sync_client=True) as client:
        for pool in {entry["work_pool"]["name"] for entry in DEPLOYMENTS.values()}:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        environment = {**os.environ, "PREFECT_API_URL": prefect_server, "OLDPHOTO_HOME": str(ROOT), "DO_NOT_TRACK": "1"}
        environment["OLDPHOTO_TARGET"] = "s3://access/restored"
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        deployed = {deployment.name: deployment for deployment in client.read_deployments()}
    assert set(DEPLOYMENTS) <= set(deployed)
    schema = deployed["restore"].parameter_openapi_schema
    assert schema is not None
    assert schema["required"] == ["source", "target"]
    assert schema["properties"]["max_failure_rate"]["maximum"] == 1
    weekly = deployed["audit"]
    assert weekly.parameters == {"target": "s3://access/restored", "fail_on_findings": True}
    assert [schedule.schedule.cron for schedule in weekly.schedules] == ["0 4 * * 0"]
