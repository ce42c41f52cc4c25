from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import decoded, encoded, fill, picture, scratched

from oldphoto_core.storage import Bucket, read_ledger

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(params=["file", "memory", "s3"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Bucket, Bucket]:
    """A source and a target of each kind."""
    if request.param == "s3":
        url = request.getfixturevalue("s3_bucket_url")
    else:
        url = {"file": tmp_path.as_uri(), "memory": f"memory://{tmp_path.name}"}[request.param]
    return Bucket(f"{url}/{tmp_path.name}/old"), Bucket(f"{url}/{tmp_path.name}/new")


def put(source: Bucket, keys: list[str]) -> None:
    for seed, key in enumerate(keys):
        source.write(key, encoded(picture(seed=seed), f".{key.rsplit('.', 1)[1]}"))


def summary_of(target: Bucket) -> dict[str, Any]:
    summaries = [json.loads(target.read(f"runs/{run_id}/summary.json")) for run_id in target.folders("runs")]
    summary: dict[str, Any] = max(summaries, key=lambda each: each["started"])
    assert summary["found"] == summary["restored"] + summary["skipped"] + summary["failed"]
    assert len(read_ledger(target.join("runs", summary["run_id"]))) == summary["found"]
    return summary


def test_a_bucket_of_old_photos_goes_in_and_restored_photos_come_out(places: tuple[Bucket, Bucket], oldphoto) -> None:
    source, target = places
    put(source, ["album/a.jpg", "album/b.png", "c.tif"])
    source.write("album/broken.jpg", b"\xff\xd8\xff\xe0 no more")
    source.write("list.txt", b"three photos and a broken one")
    ended = oldphoto("restore", source.url, target.url, "--model", "invert")
    assert ended.code == 3, ended.err
    assert "failed: album/broken.jpg: " in ended.err
    assert "5 files found: 3 restored, 1 skipped (1 not an image), 1 failed" in ended.out
    assert sorted(o.key for o in target.list("photos")) == ["photos/album/a.jpg", "photos/album/b.png", "photos/c.tif"]
    assert np.array_equal(255 - decoded(source.read("c.tif")), decoded(target.read("photos/c.tif")))
    assert {o.key for o in target.list("masks")} == {f"masks/{k}.png" for k in ("album/a.jpg", "album/b.png", "c.tif")}
    assert summary_of(target)["failed"] == 1


def test_a_second_run_restores_nothing_and_says_so(places: tuple[Bucket, Bucket], oldphoto) -> None:
    source, target = places
    put(source, ["a.jpg", "b.png"])
    assert oldphoto("restore", source.url, target.url, "--model", "invert").code == 0
    before = [(o.key, o.version) for o in target.list("photos")]
    ended = oldphoto("restore", source.url, target.url, "--model", "invert")
    assert ended.code == 0
    assert "nothing new to restore: 2 files found (2 already restored)" in ended.out
    assert summary_of(target)["skipped"] == 2
    assert [(o.key, o.version) for o in target.list("photos")] == before


def test_masks_are_taken_from_their_own_bucket(places: tuple[Bucket, Bucket], oldphoto) -> None:
    source, target = places
    put(source, ["a.jpg", "b.jpg"])
    mask = np.zeros((40, 60), np.uint8)
    mask[5:9] = 255
    masks = Bucket(source.url.replace("/old", "/masks"))
    masks.write("a.jpg.png", encoded(mask, ".png"))
    assert oldphoto("restore", source.url, target.url, "--masks", masks.url, "--model", "invert").code == 0
    assert np.array_equal(decoded(target.read("masks/a.jpg.png")), mask)
    assert summary_of(target)["masks"] == {"used": 1, "without a photo": 0}


def test_the_summary_is_a_table_in_prefect(tmp_path: Path, oldphoto) -> None:
    from prefect.artifacts import Artifact

    fill(tmp_path / "old", ["a.jpg"])
    assert oldphoto("restore", tmp_path / "old", tmp_path / "new", "--model", "invert").code == 0
    summary = summary_of(Bucket(tmp_path / "new"))
    artifact = Artifact.get(f"restore-{summary['run_id']}")
    assert artifact is not None
    table = {row["what"]: row["figure"] for row in json.loads(str(artifact.data))}
    assert (table["found"], table["restored"]) == (1, 1)


def test_too_many_failures_stop_the_run_and_the_rest_is_accounted_for(tmp_path: Path, oldphoto) -> None:
    fill(tmp_path / "old", [f"{n}.png" for n in range(9)])
    for n in range(4):
        (tmp_path / f"old/{n}.png").write_bytes(b"not a photo")
    ended = oldphoto("restore", tmp_path / "old", tmp_path / "new", "--model", "slow", "--max-failure-rate", "0.25")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("oldphoto: stopped: 3 of 9 photos failed")
    summary = summary_of(Bucket(tmp_path / "new"))
    assert summary["found"] == 9
    assert summary["skipped_reasons"].keys() == {"run stopped"}
    assert summary["stopped"].startswith("stopped: 3 of 9")


@pytest.mark.parametrize(("policy", "code"), [("skip", 0), ("overwrite", 0), ("abort", 1)])
def test_results_that_are_there_already_are_dealt_with_as_asked(
    tmp_path: Path, oldphoto, policy: str, code: int
) -> None:
    fill(tmp_path / "old", ["a.png"])
    fill(tmp_path / "new/photos", ["a.png"], height=99)
    before = (tmp_path / "new/photos/a.png").read_bytes()
    ended = oldphoto("restore", tmp_path / "old", tmp_path / "new", "--model", "invert", "--existing", policy)
    assert ended.code == code, ended.err
    assert ((tmp_path / "new/photos/a.png").read_bytes() == before) == (policy != "overwrite")


def test_shards_follow_each_other_in_one_run(tmp_path: Path, oldphoto, monkeypatch: pytest.MonkeyPatch) -> None:
    from oldphoto_core.runs import plan

    fill(tmp_path / "old", [f"{n}.jpg" for n in range(7)])
    monkeypatch.setattr(plan.cut_shards, "__kwdefaults__", {"max_photos": 3, "max_megapixels": 1000.0})
    assert oldphoto("restore", tmp_path / "old", tmp_path / "new", "--model", "invert").code == 0
    assert summary_of(Bucket(tmp_path / "new"))["restored"] == 7


def test_only_what_is_found_or_given_as_damaged_is_filled(places: tuple[Bucket, Bucket], oldphoto) -> None:
    source, target = places
    for key in ("a.png", "b.jpg"):
        source.write(key, encoded(scratched(picture()), f".{key[-3:]}"))
    masks = Bucket(source.url.replace("/old", "/masks"))
    mask = np.zeros((40, 60), np.uint8)
    mask[30:32] = 255
    masks.write("a.png.png", encoded(mask, ".png"))
    call = ("restore", source.url, target.url, "--model", "detect", "--mode", "scratches", "--masks", masks.url)
    assert oldphoto(*call).code == 0
    covered = decoded(target.read("masks/a.png.png")) == 255
    assert covered.any(axis=1).nonzero()[0].tolist() == [11, 12, 13, 14, 15, 16, 29, 30, 31, 32]
    for key, output in (("a.png", "a.png"), ("b.jpg", "b.jpg.png")):
        master, filled = decoded(source.read(key)), decoded(target.read(f"photos/{output}"))
        intact = decoded(target.read(f"masks/{key}.png")) == 0
        assert np.array_equal(master[intact], filled[intact])
        assert not np.array_equal(master, filled)
    assert "2 already restored" in oldphoto(*call).out
    assert oldphoto(*call, "--masks-only", "--max-growth", "2").code == 0
    assert not decoded(target.read("masks/b.jpg.png")).any()
    options = summary_of(target)["options"]
    assert (options["mode"], options["detect"], options["max_damage"]) == ("scratches", False, 0.5)
    assert options["max_growth"] == 2.0


def test_photos_that_are_too_damaged_are_named(tmp_path: Path, oldphoto) -> None:
    fill(tmp_path / "old", ["a.png"])
    (tmp_path / "old/b.png").write_bytes(encoded(scratched(picture(), 0, 12), ".png"))
    ended = oldphoto("restore", tmp_path / "old", tmp_path / "new", "--model", "detect", "--max-damage", "0.25")
    assert ended.code == 3
    assert "failed: b.png: too damaged: 30.0% of b.png is damaged, more than the 25.0%" in ended.err


def test_a_list_of_keys_is_restored_and_nothing_else(places: tuple[Bucket, Bucket], oldphoto, tmp_path: Path) -> None:
    source, target = places
    put(source, ["a.jpg", "b.png", "album/c.png"])
    (tmp_path / "keys.txt").write_text("album/c.png\ngone.png\n../a.jpg\n")
    ended = oldphoto("restore", source.url, target.url, "--model", "invert", "--keys", tmp_path / "keys.txt")
    assert ended.code == 3, ended.err
    assert "failed: gone.png: missing: " in ended.err
    assert "failed: ../a.jpg: unsafe key: " in ended.err
    assert "3 files found: 1 restored, 0 skipped, 2 failed" in ended.out
    assert [o.key for o in target.list("photos")] == ["photos/album/c.png"]
    assert summary_of(target)["failed_reasons"] == {"missing": 1, "unsafe key": 1}
