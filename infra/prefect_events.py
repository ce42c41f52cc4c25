"""Batches of arrivals as Prefect events, and the runs that took them: the server is the one of PREFECT_API_URL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from oldphoto_core.arrivals import Batch, OrchestratorAway

EVENT = "oldphoto.scans.arrived"
"""What the trigger in prefect.yaml waits for."""
RESOURCE = "oldphoto.collection"

_PAGE = 200
_CLOCKS = timedelta(minutes=10)
"""By how much the server's clock may be behind this machine's."""


class PrefectEvents:
    """The `Orchestrator` of the dispatcher. Credentials, if the server wants any, are Prefect's own settings."""

    def __init__(self, source: str) -> None:
        """`source` as it was written when the deployment was made: the trigger compares letters."""
        self._source = source

    def announce(self, batch: Batch, place: str) -> None:
        """Post an event that says where the list of keys lies; it holds no key and no credential."""
        # not "keys": in the trigger's template that would be the method of the payload
        event = {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": EVENT,
            "resource": {"prefect.resource.id": RESOURCE, "oldphoto.source": self._source},
            "payload": {"batch": batch.id, "key_list": place, "count": len(batch.keys)},
        }
        _post("/events", [event])

    def taken(self, since: float) -> set[str]:
        """The lists of keys that runs of the flow `restore` were given, since then."""
        given = [run["parameters"].get("keys") for run in runs_of("restore", since)]
        return {keys for keys in given if isinstance(keys, str)}


def runs_of(flow: str, since: float) -> list[dict[str, Any]]:
    """What the API says of a flow's runs since then, in seconds since 1970, the last first; not of those to come."""
    wanted = {
        "flows": {"name": {"any_": [flow]}},
        "flow_runs": {
            "expected_start_time": {
                "after_": (datetime.fromtimestamp(since, UTC) - _CLOCKS).isoformat(),
                "before_": (datetime.now(UTC) + _CLOCKS).isoformat(),
            }
        },
        "sort": "EXPECTED_START_TIME_DESC",
        "limit": _PAGE,
    }
    runs: list[dict[str, Any]] = []
    while page := _post("/flow_runs/filter", {**wanted, "offset": len(runs)}).json():
        runs += page
    return runs


def _post(path: Any, content: Any) -> Any:
    import httpx
    from prefect import get_client
    from prefect.exceptions import PrefectException

    try:
        with get_client(sync_client=True) as client:
            return client.request("POST", path, json=content)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        # the URL of a server may hold a password: it is not repeated
        raise OrchestratorAway(f"the Prefect server does not take {path} ({type(error).__name__})") from error
