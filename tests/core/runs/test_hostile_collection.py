"""A collection with everything in it that breaks batches: each file is restored, skipped or failed, with a reason."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import InvertingRestorer, encoded, picture
from scan_files import encoded as encoded_by_libvips
from scan_files import photo, png_chunk
from scan_kinds import KINDS

from oldphoto_core.errors import REASONS
from oldphoto_core.restoration import (
    close_run,
    job_of,
    open_run,
    register_restorer,
    restore_shard,
)
from oldphoto_core.storage import read_ledger

ENDINGS = {"jpeg": "jpg", "png": "png", "tiff": "tif", "bigtiff": "tif", "webp": "webp", "jpeg2000": "jp2"}
GOOD = encoded(picture(), ".png")
JPEG = encoded(picture(), ".jpg")
TIFF = encoded_by_libvips(photo(3, 8), "tiff")


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    return png[:33] + png_chunk(kind, data) + png[33:]


def bomb(width: int, height: int) -> bytes:
    """A PNG of a megabyte whose data unpack to a gigabyte of zeros."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj()
    start, block = packer.compress(b""), b""
    for _ in range(2):  # the second block refers to nothing before it, and may be repeated
        block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = b"\x78\x9c" + start.removeprefix(b"\x78\x9c") + block.removeprefix(b"\x78\x9c") * 1024
    end = b"\x03\0" + struct.pack(">I", (2**30 % 65_521) << 16 | 1)
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", data + end) + png_chunk(b"IEND", b"")


def tiff_with(changed: dict[int, tuple[int, int, int]], data: bytes = TIFF) -> bytes:
    """The TIFF with entries of its directory replaced: tag -> (type, count, value)."""
    at = struct.unpack("<I", data[4:8])[0]
    out = bytearray(data)
    for number in range(struct.unpack("<H", data[at : at + 2])[0]):
        place = at + 2 + 12 * number
        tag = struct.unpack("<H", data[place : place + 2])[0]
        if tag in changed:
            kind, count, value = changed[tag]
            out[place : place + 12] = struct.pack("<HHII", tag, kind, count, value)
    return bytes(out)


def chained(data: bytes, to: int | None = None) -> bytes:
    """The TIFF whose directory is followed by itself, or by the one at `to`."""
    at = struct.unpack("<I", data[4:8])[0]
    end = at + 2 + 12 * struct.unpack("<H", data[at : at + 2])[0]
    return data[:end] + struct.pack("<I", at if to is None else to) + data[end + 4 :]


def directories_in_a_circle() -> bytes:
    """A TIFF with a second directory, of one entry, which is followed by the first."""
    second = len(TIFF) + len(TIFF) % 2
    at = struct.unpack("<I", TIFF[4:8])[0]
    behind = struct.pack("<HHHIII", 1, 254, 4, 1, 1, at)
    return chained(TIFF, second).ljust(second, b"\0") + behind


def exif_that_contains_itself() -> bytes:
    """A directory of thousands of entries that each say that it is its own EXIF directory."""
    count = 5000
    entries = struct.pack("<HHII", 34665, 4, 1, 8) * count
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + bytes(4)
    return with_chunk(GOOD, b"eXIf", block)


def jpeg_with(marker: bytes, payload: bytes) -> bytes:
    return JPEG[:2] + marker + struct.pack(">H", len(payload) + 2) + payload + JPEG[2:]


RESTORED: dict[str, bytes] = {
    "good.png": GOOD,
    "a png called.jpg": GOOD,
    "a jpeg called.tif": JPEG,
    'quote\'s "and" spaces.png': GOOD,
    "emoji 📷 é.png": GOOD,
    "Case.png": GOOD,
    "case.png": GOOD,
    "composed \u00e9.png": GOOD,
    "decomposed e\u0301.png": GOOD,
    "%41 percent & ampersand;$(x)`y`.png": GOOD,
    "/".join(["long" * 50] * 4) + "/" + "n" * 190 + ".png": GOOD,
    "profile of garbage.jpg": jpeg_with(b"\xff\xe2", b"ICC_PROFILE\0\1\1garbage" * 20),
    "profile of garbage.png": with_chunk(GOOD, b"iCCP", b"x\0\0" + zlib.compress(b"garbage" * 100)),
    "profile of zeros without end.png": with_chunk(GOOD, b"iCCP", b"x\0\0" + zlib.compress(bytes(2**28))),
    "10 MB of exif.png": with_chunk(GOOD, b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0" + bytes(10_000_000)),
    "exif that contains itself.png": exif_that_contains_itself(),
    "exif of garbage.jpg": jpeg_with(b"\xff\xe1", b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "directory that follows itself.tif": chained(TIFF),
}
SKIPPED = [
    ".DS_Store", "Thumbs.db", "folder/.hidden.png", "@eaDir/x.xml", "good.png.xml", "list.csv", "good.md5", "README",
    "good.png.part", ".png",
]  # fmt: skip
FAILED: dict[str, tuple[bytes, set[str]]] = {
    "empty.png": (b"", {"unreadable"}),
    "zeros.tif": (bytes(100_000), {"unreadable"}),
    "text.tif": (b"The photograph was not scanned.\n" * 50, {"unreadable"}),
    "error page.jpg": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", {"unreadable"}),
    "a gif called.png": (b"GIF89a" + bytes(50), {"unsupported"}),
    "bomb of 3.6 gigapixels.png": (bomb(60_000, 60_000), {"too large"}),
    "as wide as numbers go.png": (bomb(2**31 - 1, 1), {"too large", "unreadable"}),
    "no width.png": (bomb(0, 10), {"unreadable"}),
    "as wide as numbers go.tif": (tiff_with({256: (4, 1, 2**32 - 1)}), {"too large", "unreadable", "truncated"}),
    "2 gigapixels.tif": (tiff_with({256: (4, 1, 50_000), 257: (4, 1, 40_000)}), {"too large", "truncated"}),
    "no height.tif": (tiff_with({257: (4, 1, 0)}), {"unreadable"}),
    "strips behind the end.tif": (tiff_with({273: (4, 1, 2**31)}), {"truncated"}),
    "4 billion strips.tif": (tiff_with({273: (4, 2**32 - 1, 8), 279: (4, 2**32 - 1, 8)}), {"truncated", "unreadable"}),
    "65,535 channels.tif": (tiff_with({277: (3, 1, 65_535)}), {"unsupported", "unreadable"}),
    "200 bits.tif": (tiff_with({258: (3, 1, 200)}), {"unsupported", "unreadable"}),
    "directories in a circle.tif": (directories_in_a_circle(), {"unreadable"}),
    "directory behind the end.tif": (TIFF[:4] + struct.pack("<I", 2**31) + TIFF[8:], {"truncated"}),
    "bigtiff of 2^60 entries.tif": (
        b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60) + bytes(200), {"truncated", "unreadable"}
    ),
}  # fmt: skip


def collection(folder: Path) -> int:
    """Everything above, and every kind of scan cut at each sixteenth; returns how many files there are."""
    files: dict[str, bytes] = {**RESTORED, **dict.fromkeys(SKIPPED, GOOD), **{k: v for k, (v, _) in FAILED.items()}}
    for kind, data in KINDS.items():
        ending = ENDINGS[kind.split()[-1]]
        files |= {f"cut/{kind}/{n:02}.{ending}": data[: len(data) * n // 16] for n in range(1, 16)}
    for key, data in files.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "empty folder/in another").mkdir(parents=True)
    return len(files)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(source, target, rows of the ledger by key, summary) of one run over all of it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    count = collection(source)
    register_restorer("invert", lambda device: InvertingRestorer(max_megapixels=1e6))
    run = open_run(job_of(source=str(source), target=str(target), model="invert"))
    for number in range(len(run.shards)):
        restore_shard(run, number)
    summary = close_run(run)
    assert summary["found"] == count
    rows = {row["key"]: row for row in read_ledger(run.bucket).to_dict("records")}
    return source, target, rows, summary


def test_every_file_is_accounted_for_with_a_reason_of_the_vocabulary(outcome: Any) -> None:
    _, _, rows, summary = outcome
    assert summary["found"] == summary["restored"] + summary["skipped"] + summary["failed"] == len(rows)
    for row in rows.values():
        assert row["reason"] in REASONS[row["status"]]
        assert (row["detail"] == "") == (row["status"] == "restored")
        assert "\n" not in row["detail"]


@pytest.mark.parametrize("key", RESTORED)
def test_what_is_only_odd_is_restored_under_its_own_name(outcome: Any, key: str) -> None:
    _, target, rows, _ = outcome
    assert (rows[key]["status"], rows[key]["detail"]) == ("restored", "")
    assert (target / "photos" / key).is_file()


@pytest.mark.parametrize("key", SKIPPED)
def test_what_is_no_image_by_its_name_is_skipped(outcome: Any, key: str) -> None:
    _, target, rows, _ = outcome
    assert (rows[key]["status"], rows[key]["reason"]) == ("skipped", "not an image")
    assert not (target / "photos" / key).exists()


@pytest.mark.parametrize("key", FAILED)
def test_what_is_broken_fails_with_its_reason(outcome: Any, key: str) -> None:
    _, target, rows, _ = outcome
    assert rows[key]["status"] == "failed"
    assert rows[key]["reason"] in FAILED[key][1], rows[key]["detail"]
    assert not (target / "photos" / key).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_scan_is_never_restored_as_if_it_were_whole(outcome: Any, kind: str) -> None:
    _, target, rows, _ = outcome
    cuts = {key: row for key, row in rows.items() if key.startswith(f"cut/{kind}/")}
    assert len(cuts) == 15
    assert {row["status"] for row in cuts.values()} == {"failed"}
    assert {row["reason"] for row in cuts.values()} <= {"truncated", "unreadable"}
    assert not (target / "photos/cut" / kind).exists()


def test_masters_are_as_they_were_and_nothing_was_written_beside_them(outcome: Any) -> None:
    source, _, rows, _ = outcome
    assert {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()} == set(rows)
    assert (source / "good.png").read_bytes() == GOOD


HIDDEN = ["../outside.png", "a/../../b.png", "./c.png"]
"""Parts that begin with a dot, and lead elsewhere besides."""
UNSAFE = ["new\nline.png", "tab\t.png", "x" * 1100 + ".png", "a//b.png", "a\\..\\..\\b.png"]


def test_names_that_would_leave_the_bucket_are_never_used(tmp_path: Path) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    files = MemoryFileSystem()
    root = f"/unsafe-{tmp_path.name}/scans"
    files.pipe_file(f"{root}/good.png", GOOD)
    inside = files.store[f"{root}/good.png"]
    for key in HIDDEN + UNSAFE:
        files.store[f"{root}/{key}"] = inside
    try:
        register_restorer("invert", lambda device: InvertingRestorer())
        run = open_run(job_of(source=f"memory:/{root}", target=str(tmp_path / "new"), model="invert"))
        restore_shard(run, 0)
        summary = close_run(run)
    finally:
        for key in ["good.png", *HIDDEN, *UNSAFE]:
            files.store.pop(f"{root}/{key}", None)
    assert (summary["restored"], summary["failed_reasons"]) == (1, {"unsafe key": len(UNSAFE)})
    assert summary["skipped_reasons"] == {"not an image": len(HIDDEN)}
    assert [path.name for path in (tmp_path / "new/photos").rglob("*")] == ["good.png"]
    assert not (tmp_path / "outside.png").exists()
    assert not (tmp_path / "new/outside.png").exists()


def test_a_photo_cut_while_it_is_read_is_not_restored(tmp_path: Path) -> None:
    """The listing says one thing, the file is another by the time it is read."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a.png").write_bytes(GOOD)
    register_restorer("invert", lambda device: InvertingRestorer())
    run = open_run(job_of(source=str(tmp_path / "old"), target=str(tmp_path / "new"), model="invert"))
    (tmp_path / "old/a.png").write_bytes(GOOD[:-100])
    restore_shard(run, 0)
    assert close_run(run)["failed_reasons"] == {"changed while reading": 1}


def test_a_source_of_empty_folders_is_no_collection(tmp_path: Path) -> None:
    from oldphoto_core.errors import SourceMissing

    (tmp_path / "old/empty/in another").mkdir(parents=True)
    register_restorer("invert", lambda device: InvertingRestorer())
    with pytest.raises(SourceMissing, match="nothing lies in"):
        open_run(job_of(source=str(tmp_path / "old"), target=str(tmp_path / "new"), model="invert"))


def test_the_files_of_this_test_are_what_they_say() -> None:
    from PIL import Image

    bomb_data = FAILED["bomb of 3.6 gigapixels.png"][0]
    assert 0.9e6 < len(bomb_data) < 1.2e6
    assert len(zlib.decompress(bomb_data[41:-16])) == 2**30
    assert np.asarray(Image.open(io.BytesIO(RESTORED["10 MB of exif.png"]))).shape == (40, 60, 3)
