"""What a restoration would do, from headers alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import InvertingRestorer, encoded, mark, picture
from looks import looked
from PIL import Image
from runs import contents, put, restore
from scan_files import encoded as vips_encoded
from scan_files import jpeg2000

from oldphoto_core.errors import ChangedWhileReading, SourceMissing, UsageError
from oldphoto_core.restoration import Photo, job_of, register_restorer
from oldphoto_core.runs.dry_run import Check, Look
from oldphoto_core.runs.job import restorer_of
from oldphoto_core.scans import Decoders, read_header
from oldphoto_core.scans.formats import webp
from oldphoto_core.storage import Bucket, read_ledger
from oldphoto_core.storage.s3_requests import Requests


def outlooks(checked: Check) -> dict[str, tuple[str, str]]:
    assert checked.counts["found"] == sum(checked.counts[status] for status in ("restored", "skipped", "failed"))
    return {file.key: (file.status, file.reason) for file in checked.files}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Bucket, Bucket]:
    return Bucket(tmp_path / "old"), Bucket(tmp_path / "new")


def fill_with_everything(source: Bucket) -> None:
    put(source, ["a.jpg", "b.png", "c.tif"])
    source.write("d.jp2", jpeg2000(picture()))
    source.write("e.webp", encoded(picture(), ".webp"))
    source.write("broken.jpg", b"\xff\xd8\xff\xe0 no more")
    source.write("cut.png", encoded(picture(seed=3), ".png")[:-30])
    source.write("cut.tif", encoded(picture(seed=4), ".tif")[:-200])
    source.write("disguised.jpg", b"GIF89a and so on")
    source.write("notes.txt", b"not an image")


def test_the_outlook_is_what_the_run_then_does(bucket_url: str) -> None:
    source, target = Bucket(f"{bucket_url}/old"), Bucket(f"{bucket_url}/new")
    fill_with_everything(source)
    before = contents(source)
    checked = looked(source, target)
    assert contents(source) == before
    assert contents(target) == {}
    summary = restore(source, target)
    ledger = read_ledger(target.join("runs", summary["run_id"]))
    became = {row.key: (row.status, row.reason) for row in ledger.itertuples()}
    assert outlooks(checked) == became
    restored = {row.key: (row.megapixels, row.output) for row in ledger.itertuples() if row.status == "restored"}
    assert {file.key: (file.megapixels, file.output) for file in checked.of("restored")} == restored


def test_nothing_at_all_is_written(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, target = places
    fill_with_everything(source)
    restore(source, target)
    put(source, ["a.jpg", "new.jpg"], first=8)
    before = {path: (path.lstat().st_ctime_ns, path.lstat().st_ino) for path in tmp_path.rglob("*")}
    looked(source, target)
    assert {path: (path.lstat().st_ctime_ns, path.lstat().st_ino) for path in tmp_path.rglob("*")} == before


def test_what_is_done_already_would_be_skipped(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    put(source, ["a.jpg", "b.png"])
    restore(source, target)
    put(source, ["b.png"], first=5)
    assert outlooks(looked(source, target)) == {"a.jpg": ("skipped", "already restored"), "b.png": ("restored", "")}
    assert outlooks(looked(source, target, existing="overwrite"))["a.jpg"] == ("restored", "")


def test_the_books_of_a_killed_run_are_read_and_left_open(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    put(source, ["a.jpg", "b.png"])
    restore(source, target)
    (run_id,) = target.folders("runs")
    for key in [info.key for info in target.list(f"runs/{run_id}") if "ledger" in info.key or "summary" in info.key]:
        target.delete(key)
    before = contents(target)
    assert {status for status, _ in outlooks(looked(source, target)).values()} == {"skipped"}
    assert contents(target) == before


def test_masks_that_do_not_fit_are_foreseen(places: tuple[Bucket, Bucket], tmp_path: Path) -> None:
    source, target = places
    put(source, ["a.png", "b.png", "c.png", "d.png"])
    mark(tmp_path / "masks", ["a.png", "c.png.png", "c.tif", "typo.png"])
    mark(tmp_path / "masks", ["b.png.png"], height=41)
    checked = looked(source, target, masks=str(tmp_path / "masks"))
    assert outlooks(checked) == {
        "a.png": ("restored", ""),
        "b.png": ("failed", "mask mismatch"),
        "c.png": ("failed", "mask mismatch"),
        "d.png": ("restored", ""),
    }
    assert checked.masks == {"used": 3, "without a photo": 1, "photos without a mask": 1}


def test_a_photo_over_the_bound_is_foreseen(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    register_restorer("short", lambda device: InvertingRestorer(name="short", max_megapixels=0.002))
    put(source, ["a.png"])
    assert outlooks(looked(source, target, model="short")) == {"a.png": ("failed", "too large")}


def test_an_object_that_vanishes_or_changes_meanwhile_is_one_failure(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    put(source, ["a.png", "b.png"])
    job = job_of(source=source.url, target=target.url, model="invert")
    old = {info.key: info for info in source.list()}
    source.delete("a.png")
    put(source, ["b.png"], first=7)
    with Decoders(1) as decoders:
        look = Look(job, restorer_of(job), Path(target.url).parent, decoders)
        reasons = {key: look.at(Photo(key, old[key].version, old[key].size)).reason for key in old}
    assert reasons == {"a.png": "missing", "b.png": "changed while reading"}


def test_time_is_estimated_by_earlier_runs_into_this_target(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    put(source, ["a.png"])
    first = looked(source, target)
    assert first.seconds.value is not None
    assert "timed now on 512 x 512 pixels on cpu" in first.seconds.basis
    summary = restore(source, target)
    put(source, [f"{number}.png" for number in range(3)])
    again = looked(source, target)
    assert "1 earlier runs into this target" in again.seconds.basis
    assert again.seconds.value == pytest.approx(3 * 0.0024 * summary["seconds"] / summary["megapixels"])
    assert "timed now" in looked(source, target, model="another").seconds.basis


def test_time_is_not_known_where_the_network_fails(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    register_restorer("broken", lambda device: InvertingRestorer(name="broken", breaks_at=512))
    put(source, ["a.png"])
    assert looked(source, target, model="broken").seconds.value is None


def test_size_is_that_of_the_masters_or_of_their_pixels(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    put(source, ["a.jpg", "b.tif"])
    kept = looked(source, target).output_bytes.value
    assert kept == sum(info.size for info in source.list())
    lossless = looked(source, target, format="tiff").output_bytes.value
    assert lossless == 60 * 40 * 3 + next(info.size for info in source.list() if info.key == "b.tif")
    assert looked(source, target, format="jpeg").output_bytes.value is None


def large(kind: str) -> bytes:
    """A file of some MiB that does not compress."""
    noise = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8)
    if kind == "tif":
        # the directory lies behind the pixels
        return vips_encoded(noise, "tiff", compression="none")
    return vips_encoded(noise, {"jpg": "jpeg"}.get(kind, kind), **({"Q": 98} if kind == "jpg" else {}))


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_only_a_small_part_of_a_large_file_is_fetched(s3_bucket_url: str, kind: str, served: list[int]) -> None:
    source = Bucket(f"{s3_bucket_url}/old")
    data = large(kind)
    source.write(f"a.{kind}", data)
    served.clear()
    checked = looked(source, Bucket(f"{s3_bucket_url}/new"))
    (file,) = checked.files
    assert (file.status, file.width, file.height, file.detail) == ("restored", 1500, 1500, "")
    assert sum(served) < 600_000 < len(data)
    assert len(served) <= 6


@pytest.fixture
def served(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each object's part that the store sent."""
    sizes: list[int] = []
    body = Requests.body

    def counted(self: Requests, reply: dict[str, Any]) -> Any:
        for chunk in body(self, reply):
            sizes.append(len(chunk))
            yield chunk

    monkeypatch.setattr(Requests, "body", counted)
    return sizes


def test_a_large_jpeg_without_its_end_is_a_doubt(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    source.write("a.jpg", large("jpg")[:-70_000])
    (file,) = looked(source, target).files
    assert file.status == "restored"
    assert "may be cut short" in file.detail


def test_a_large_tiff_that_is_cut_is_a_failure(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    source.write("a.tif", large("tif")[:-70_000])
    assert outlooks(looked(source, target)) == {"a.tif": ("failed", "truncated")}


def test_wrong_usage_is_refused_as_in_a_run(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    with pytest.raises(SourceMissing):
        looked(source, target)
    put(source, ["a.png"])
    with pytest.raises(UsageError, match="lies inside source"):
        looked(source, source.join("new"))
    with pytest.raises(UsageError, match="has no detector"):
        looked(source, target, mode="scratches")


def test_the_parts_that_a_store_gives_are_those_that_were_asked_for(bucket_url: str) -> None:
    bucket = Bucket(bucket_url)
    bucket.write("a", bytes(range(200)))
    info = bucket.info("a")
    assert info is not None
    assert bucket.read_range("a", 10, 20, version=info.version) == bytes(range(10, 20))
    assert bucket.read_range("a", 0, 1) == b"\0"
    assert bucket.read_range("a", 5, 5) == b""
    bucket.write("a", bytes(100))
    with pytest.raises(ChangedWhileReading):
        bucket.read_range("a", 10, 20, version=info.version)
    with pytest.raises(SourceMissing):
        bucket.read_range("b", 0, 1)


@pytest.mark.parametrize(("channels", "options"), [(3, {}), (4, {}), (3, {"lossless": True}), (4, {"lossless": True})])
def test_the_header_of_a_webp_is_that_of_libvips(channels: int, options: dict[str, Any]) -> None:
    data = vips_encoded(np.random.default_rng(2).integers(0, 256, (40, 61, channels), np.uint8), "webp", **options)
    assert webp.read_header(data) == read_header(data)


def test_a_webp_with_a_profile_has_the_same_header() -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "WEBP", icc_profile=b"x" * 200, exif=b"Exif\0\0II*\0")
    assert buffer.getvalue()[12:16] == b"VP8X"
    assert webp.read_header(buffer.getvalue()) == read_header(buffer.getvalue())


def test_an_animation_is_foreseen(places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    buffer = io.BytesIO()
    frames = [Image.fromarray(picture(seed=seed)) for seed in range(2)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    source.write("a.webp", buffer.getvalue())
    assert outlooks(looked(source, target)) == {"a.webp": ("failed", "unsupported")}
