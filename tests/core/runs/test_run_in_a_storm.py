"""A whole run on a bad day: one request in twenty goes wrong, and nobody can tell from the results."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from fakes import encoded, picture
from runs import contents, put, restore
from storms import Request, Storm, storm_before

from oldphoto_core.storage import Bucket, read_ledger, s3_client

PHOTOS = 500
SEED = 6


@pytest.fixture
def storm(s3_bucket_url: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storm]:
    monkeypatch.setattr(s3_client, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(s3_client, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda **growth: 0.01)
    with storm_before(s3_endpoint, stall_seconds=0.8, seed=SEED) as (storm, url):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield storm


@pytest.mark.long
def test_a_run_in_a_storm_ends_as_on_a_quiet_day(
    storm: Storm, s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oldphoto_core.runs.run.new_run_id", lambda: "one-name")  # derivatives say theirs
    source, target = Bucket(f"{s3_bucket_url}/old"), Bucket(f"{s3_bucket_url}/new")
    keys = [f"{number:03}.jpg" for number in range(PHOTOS)]
    put(Bucket("memory://quiet/old"), keys, height=24, width=32)
    for key, data in contents(Bucket("memory://quiet/old")).items():
        source.write(key, data)
    restore(Bucket("memory://quiet/old"), Bucket("memory://quiet/new"), report=False)
    meddle(storm, source)
    storm.rate = 0.05
    summary = restore(source, target, report=False)
    storm.rate = 0.0
    assert (summary["found"], summary["restored"]) == (PHOTOS, PHOTOS - 2)
    assert summary["failed_reasons"] == {"changed while reading": 1, "missing": 1}
    quiet, here = contents(Bucket("memory://quiet/new/photos")), contents(target.join("photos"))
    assert sorted(here) == [key for key in keys if key not in ("100.jpg", "200.jpg")]
    assert [key for key in here if here[key] != quiet[key]] == []
    ledger = read_ledger(target.join("runs", summary["run_id"])).set_index("key")
    for info in target.list("photos"):
        assert ledger.loc[info.key.removeprefix("photos/"), "output_sha256"] == target.sha256(info.key)
    assert sum(storm.hits.values()) >= 50
    assert set(storm.hits) >= {"slow down", "error", "expired", "reset", "lost reply", "stall", "truncate", "corrupt"}


def meddle(storm: Storm, source: Bucket) -> None:
    """One photo is replaced between listing and reading, another one deleted."""
    store = boto3.client("s3", endpoint_url=storm.upstream)
    bucket, _, folder = source.url.removeprefix("s3://").partition("/")

    def reads(key: str) -> dict[str, object]:
        return {"when": lambda request: request.reads and request.path.split("?")[0].endswith(f"old/{key}")}

    other = encoded(picture(seed=999), ".jpg")
    place = {"Bucket": bucket, "Key": f"{folder}/100.jpg"}
    storm.before(**reads("100.jpg"), do=lambda: store.put_object(**place, Body=other))  # type: ignore[arg-type]
    gone = {"Bucket": bucket, "Key": f"{folder}/200.jpg"}
    storm.before(**reads("200.jpg"), do=lambda: store.delete_object(**gone))  # type: ignore[arg-type]


def test_a_listing_that_is_behind_does_not_make_a_derivative_missing(storm: Storm, s3_bucket_url: str) -> None:
    source, target = Bucket(f"{s3_bucket_url}/old"), Bucket(f"{s3_bucket_url}/new")
    put(source, ["a.jpg", "b.jpg"], height=24, width=32)
    storm.strike("stale", lambda request: lists(request, "photos"), times=2)
    summary = restore(source, target, report=False)
    assert (summary["restored"], summary["failed"]) == (2, 0)
    assert storm.hits["stale"] == 2


def test_rows_whose_part_a_listing_lacks_are_made_up_for_from_the_records(storm: Storm, s3_bucket_url: str) -> None:
    source, target = Bucket(f"{s3_bucket_url}/old"), Bucket(f"{s3_bucket_url}/new")
    put(source, ["a.jpg", "b.jpg"], height=24, width=32)
    # what the run lists of its ledger is what was there before its first part
    storm.strike("stale", lambda request: lists(request, "ledger"), times=20)
    storm._listings.clear()
    summary = restore(source, target, report=False)
    assert (summary["restored"], summary["failed"]) == (2, 0)


def lists(request: Request, folder: str) -> bool:
    return request.lists and f"{folder}%2F" in request.path


def test_the_next_run_mends_what_the_storm_cost(storm: Storm, s3_bucket_url: str) -> None:
    source, target = Bucket(f"{s3_bucket_url}/old"), Bucket(f"{s3_bucket_url}/new")
    put(source, ["a.jpg", "b.jpg"], height=24, width=32)
    storm.before(lambda request: request.reads and "b.jpg" in request.path, lambda: put(source, ["b.jpg"], first=7))
    assert restore(source, target, report=False)["failed_reasons"] == {"changed while reading": 1}
    assert restore(source, target, report=False)["restored"] == 1
    assert set(contents(target.join("photos"))) == {"a.jpg", "b.jpg"}
