"""What people see of a run, and what they may tell it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fakes import fill, register
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.exceptions import CancelledRun
from prefect.states import Cancelling, Paused, Running
from waiting import wait_until

from flows.session.logs import JsonLines
from flows.session.server import Steering
from oldphoto_core.storage import Bucket

pytestmark = pytest.mark.usefixtures("prefect_server")
PHOTOS = 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    register()
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(PHOTOS)])
    return tmp_path


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.session.server.SECONDS_BETWEEN_LOOKS", 0.2)


def restore(folder: Path, **options: Any) -> Any:
    from flows.restore import restore as flow

    return flow(str(folder / "old"), str(folder / "new"), **options)


def delivered(folder: Path) -> int:
    return len([path for path in (folder / "new/photos").glob("*") if not path.name.startswith(".")])


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(max((folder / "new/runs").glob("*/summary.json")).read_text())
    assert summary["found"] == summary["restored"] + summary["skipped"] + summary["failed"] == PHOTOS
    return summary


def steer(folder: Path, *moves: Callable[[UUID], None]) -> threading.Thread:
    """Does that with the run once it has restored three photos."""

    def work() -> None:
        wait_until(lambda: delivered(folder) >= 3, "three photos")
        with get_client(sync_client=True) as client:
            wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING"]}}})
            runs = client.read_flow_runs(flow_run_filter=wanted, limit=200)
            (mine,) = [run for run in runs if run.parameters.get("target") == str(folder / "new")]
        for move in moves:
            move(mine.id)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def set_state(run: UUID, state: Any) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, state, force=True)


def artifacts(prefix: str, summary: dict[str, Any]) -> Iterator[Any]:
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"{prefix}-{summary['run_id']}"]))
        yield from client.read_artifacts(artifact_filter=wanted)


def test_a_cancelled_run_ends_leaves_a_correct_ledger_and_is_resumed(folder: Path) -> None:
    thread = steer(folder, lambda run: set_state(run, Cancelling()))
    with pytest.raises(CancelledRun):
        restore(folder, model="slow")
    thread.join()
    summary = summary_of(folder)
    assert 3 <= summary["restored"] == delivered(folder) < PHOTOS
    assert "cancelled" in summary["stopped"]
    assert summary["skipped_reasons"] == {"run stopped": PHOTOS - summary["restored"]}
    assert restore(folder, model="slow")["restored"] == PHOTOS - summary["restored"]


@pytest.mark.long
def test_a_paused_run_waits_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    paused: list[bool] = []
    is_paused = Steering._is_paused

    def note(steering: Steering) -> bool:
        paused.append(is_paused(steering))
        return paused[-1]

    def look(_run: UUID) -> None:
        for looks in (10, 20):  # what was being written when it paused is finished
            wait_until(lambda looks=looks: sum(paused) >= looks, f"a run that has seen {looks} times that it is paused")
            seen.append(delivered(folder))

    monkeypatch.setattr(Steering, "_is_paused", note)

    thread = steer(
        folder, lambda run: set_state(run, Paused(timeout_seconds=3600)), look, lambda run: set_state(run, Running())
    )
    assert restore(folder, model="slow")["restored"] == PHOTOS
    thread.join()
    assert seen[0] == seen[1] < PHOTOS


def test_a_run_shows_its_progress_its_report_and_a_photo_in_prefect(folder: Path) -> None:
    summary = restore(folder, model="invert")
    (table,) = artifacts("restore", summary)
    figures = {row["what"]: row["figure"] for row in json.loads(table.data)}
    assert (figures["found"], figures["restored"]) == (PHOTOS, PHOTOS)
    assert 0 < figures["device_busy_share"] <= 1
    (progress,) = artifacts("progress", summary)
    assert progress.data == 100.0
    (link,) = artifacts("report", summary)
    assert f"runs/{summary['run_id']}/report/index.html" in link.data
    (image,) = artifacts("before-after", summary)
    assert image.data.startswith("data:image/jpeg;base64,/9j/")


def test_what_was_measured_is_in_the_summary(folder: Path) -> None:
    metrics = restore(folder, model="slow", shard_photos=10)["metrics"]
    assert (metrics["shards"], metrics["retries"]) == (3, 0)
    assert metrics["shard_seconds"] > metrics["shard_seconds"] * metrics["device_busy_share"] > 0.99 * PHOTOS * 0.25
    assert set(metrics["queue_depths"]) == {"fetching", "fetched", "decoding", "decoded", "delivering"}
    assert max(metrics["queue_depths"].values()) > 0
    assert not list(Bucket(folder / "new").list(f"runs/{summary_of(folder)['run_id']}/metrics"))


def test_too_many_failures_are_told_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("03.png", "07.png", "11.png"):
        (folder / "old" / name).write_bytes(b"no image")
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr("flows.shards.emit_event", lambda **event: sent.append(event))
    assert restore(folder, model="invert", warn_failure_rate=0.05)["failed"] == 3
    (event,) = sent
    assert event["event"] == "oldphoto.failure-rate"
    assert (event["payload"]["failed"], event["payload"]["planned"]) == (2, PHOTOS)


def test_logs_for_machines_name_run_shard_and_photo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLDPHOTO_LOG", str(folder / "log.jsonl"))
    (folder / "old/05.png").write_bytes(b"no image")
    logger = logging.getLogger("oldphoto")
    try:
        run_id = restore(folder, model="invert", shard_photos=8)["run_id"]
    finally:
        for handler in [each for each in logger.handlers if isinstance(each.formatter, JsonLines)]:
            logger.removeHandler(handler)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert {line["run_id"] for line in lines} == {run_id}
    assert {(line["shard"], line["key"]) for line in lines} == {(n // 8, f"{n:02}.png") for n in range(PHOTOS)}
    (failed,) = [line for line in lines if line["status"] == "failed"]
    assert (failed["key"], failed["reason"]) == ("05.png", "unreadable")


def test_several_devices_share_the_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fakes import InvertingRestorer

    from oldphoto_core.restoration import register_restorer

    asked: list[str] = []
    register_restorer("noted", lambda device: asked.append(device) or InvertingRestorer(name="noted", seconds=0.05))
    monkeypatch.setattr("flows.shards.local_devices", lambda device: ["cuda:0", "cuda:1"])
    summary = restore(folder, model="noted", shard_photos=6)
    assert (summary["restored"], summary["metrics"]["shards"]) == (PHOTOS, 4)
    assert {"cuda:0", "cuda:1"} <= set(asked)


def test_a_pool_that_nothing_is_deployed_to_is_wrong_usage(folder: Path, oldphoto: Any) -> None:
    ended = oldphoto("restore", folder / "old", folder / "new", "--model", "invert", "--pool", "nowhere")
    assert ended.code == 2
    assert "no deployment of restore-shard is in the work pool 'nowhere'" in ended.err
    assert not (folder / "new/runs").exists()
