from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes import DetectingRestorer, InvertingRestorer, decoded, encoded, fill

from oldphoto_core.canvas import Canvas
from oldphoto_core.errors import RunStopped, ScanError
from oldphoto_core.pipeline.threads import photos_on_threads
from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.runs.mask_index import MaskIndex
from oldphoto_core.storage import Bucket, LedgerRow


def run(
    source: Path, target: Path, restorer: InvertingRestorer | None = None, masks: Path | None = None, **options: object
) -> dict[str, LedgerRow]:
    index = MaskIndex(Bucket(masks).list() if masks else ())
    photos = [Photo(o.key, o.version, o.size, index.candidates(o.key)) for o in Bucket(source).list()]
    rows: dict[str, LedgerRow] = {}
    restore_photos(
        restorer or InvertingRestorer(),
        Bucket(source),
        Bucket(target),
        photos,
        RestoreOptions(**options),  # type: ignore[arg-type]
        ShardCallbacks(on_row=lambda row: rows.update({row.key: row})),
        masks=Bucket(masks) if masks else None,
        run_id="test",
    )
    return rows


def test_every_photo_becomes_a_derivative_and_a_row(tmp_path: Path) -> None:
    keys = ["a.png", "b/c.png", "b/d.tif", "b/deep/e.jpg"]
    rows = run(fill(tmp_path / "old", keys), tmp_path / "new")
    assert sorted(rows) == keys
    for key in keys:
        assert rows[key].status == "restored"
        assert rows[key].output == f"photos/{key}"
        restored = decoded((tmp_path / "new/photos" / key).read_bytes())
        close = np.abs(255 - decoded((tmp_path / "old" / key).read_bytes()).astype(int) - restored.astype(int))
        assert close.mean() < (3 if key.endswith("jpg") else 0.001)


def test_sixteen_bits_and_grey_stay_what_they_are(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["deep.tif", "deep.png"], bits=16)
    fill(tmp_path / "old", ["grey.png", "grey.tif"], channels=1)
    run(tmp_path / "old", tmp_path / "new")
    assert {decoded((tmp_path / "new/photos" / k).read_bytes()).dtype for k in ("deep.tif", "deep.png")} == {
        np.dtype("uint16")
    }
    assert decoded((tmp_path / "new/photos/grey.png").read_bytes()).ndim == 2
    assert decoded((tmp_path / "new/photos/grey.tif").read_bytes()).ndim == 2


def test_an_unreadable_file_is_one_failed_row_and_the_others_do_not_notice(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png", "z.png"])
    (tmp_path / "old/m.jpg").write_bytes(b"this is no photograph")
    (tmp_path / "old/n.png").write_bytes((tmp_path / "old/a.png").read_bytes()[:-200])
    rows = run(tmp_path / "old", tmp_path / "new")
    assert {key: row.status for key, row in rows.items()} == {
        "a.png": "restored",
        "m.jpg": "failed",
        "n.png": "failed",
        "z.png": "restored",
    }
    assert (rows["m.jpg"].reason, rows["n.png"].reason) == ("unreadable", "truncated")
    assert sorted(p.name for p in (tmp_path / "new/photos").iterdir()) == ["a.png", "z.png"]


def test_a_photo_over_the_memory_bound_is_refused_with_its_size(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["giant.png"], height=1200, width=1000)
    fill(tmp_path / "old", ["small.png"])
    rows = run(tmp_path / "old", tmp_path / "new", InvertingRestorer(max_megapixels=1.0))
    assert (rows["giant.png"].status, rows["giant.png"].reason) == ("failed", "too large")
    assert "1.2 megapixels" in rows["giant.png"].detail
    assert rows["small.png"].status == "restored"


def test_a_photo_that_breaks_the_network_is_a_failed_row(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png", "b.png"])
    fill(tmp_path / "old", ["odd.png"], width=61)
    rows = run(tmp_path / "old", tmp_path / "new", InvertingRestorer(breaks_at=61))
    assert (rows["odd.png"].status, rows["odd.png"].reason) == ("failed", "unexpected error")
    assert "RuntimeError: the network met a picture it cannot take" in rows["odd.png"].detail
    assert rows["b.png"].status == "restored"


def test_a_file_that_changed_since_it_was_listed_is_not_restored(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"])
    rows: list[LedgerRow] = []
    photo = Photo("a.png", "a version of yesterday", 100)
    places = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    restore_photos(InvertingRestorer(), *places, [photo], RestoreOptions(), ShardCallbacks(on_row=rows.append))
    assert (rows[0].status, rows[0].reason) == ("failed", "changed while reading")


def test_the_mask_of_a_photo_reaches_the_network_and_lies_beside_the_result(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "b.jpg"])
    mask = np.zeros((40, 60), np.uint8)
    mask[:10, :15] = 255
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/a.jpg.png").write_bytes(encoded(mask, ".png"))
    restorer = InvertingRestorer()
    rows = run(tmp_path / "old", tmp_path / "new", restorer, tmp_path / "masks")
    given = [m for m in restorer.masks if m is not None]
    assert len(given) == 1
    assert np.array_equal(given[0], mask > 0)
    assert rows["a.jpg"].mask_coverage == pytest.approx(150 / 2400)
    assert np.array_equal(decoded((tmp_path / "new/masks/a.jpg.png").read_bytes()), mask)
    assert not decoded((tmp_path / "new/masks/b.jpg.png").read_bytes()).any()


@pytest.mark.parametrize("shape", [(40, 61), (20, 30)])
def test_a_mask_of_another_size_is_its_photos_failure(tmp_path: Path, shape: tuple[int, int]) -> None:
    fill(tmp_path / "old", ["a.png", "b.png"])
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/a.png").write_bytes(encoded(np.zeros(shape, np.uint8), ".png"))
    rows = run(tmp_path / "old", tmp_path / "new", masks=tmp_path / "masks")
    assert (rows["a.png"].status, rows["a.png"].reason) == ("failed", "mask mismatch")
    assert rows["b.png"].status == "restored"


def test_two_masks_for_one_photo_are_its_failure(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg"])
    (tmp_path / "masks").mkdir()
    for name in ("a.png", "a.jpg.png"):
        (tmp_path / "masks" / name).write_bytes(encoded(np.zeros((40, 60), np.uint8), ".png"))
    rows = run(tmp_path / "old", tmp_path / "new", masks=tmp_path / "masks")
    assert (rows["a.jpg"].status, rows["a.jpg"].reason) == ("failed", "mask mismatch")
    assert "a.jpg.png and a.png" in rows["a.jpg"].detail


def test_a_failure_may_leave_a_copy_of_the_original(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"])
    (tmp_path / "old/b.jpg").write_bytes(b"this is no photograph")
    rows = run(tmp_path / "old", tmp_path / "new", on_failure="copy")
    assert rows["b.jpg"].status == "failed"
    assert rows["b.jpg"].output == "photos/b.jpg"
    assert (tmp_path / "new/photos/b.jpg").read_bytes() == b"this is no photograph"


def test_the_first_failure_may_end_the_run(tmp_path: Path) -> None:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(30)])
    (tmp_path / "old/00.png").write_bytes(b"this is no photograph")
    with pytest.raises(RunStopped, match=r"00\.png"):
        run(tmp_path / "old", tmp_path / "new", InvertingRestorer(seconds=0.02), on_failure="abort")
    assert len(list((tmp_path / "new/photos").glob("*"))) < 29


def test_what_is_written_when_a_run_is_interrupted_is_reported(tmp_path: Path) -> None:
    fill(tmp_path / "old", [f"{n:02}.png" for n in range(20)])
    source, rows = Bucket(tmp_path / "old"), []

    def interrupt(row: LedgerRow) -> None:
        rows.append(row.key)
        if len(rows) == 3:
            raise KeyboardInterrupt

    photos = [Photo(o.key, o.version, o.size) for o in source.list()]
    with pytest.raises(KeyboardInterrupt):
        restore_photos(
            InvertingRestorer(),
            source,
            Bucket(tmp_path / "new"),
            photos,
            RestoreOptions(),
            ShardCallbacks(on_row=interrupt),
        )
    assert sorted(rows) == sorted(p.name for p in (tmp_path / "new/photos").iterdir())
    assert 3 <= len(rows) < 20
    assert not photos_on_threads()


class WatchingRestorer(InvertingRestorer):
    """Notes how many megapixels are decoded and not yet written while it works."""

    most: float = 0.0

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        scans = [task.scan for task in photos_on_threads()]
        self.most = max(self.most, sum(scan.megapixels for scan in scans if scan is not None))
        return super().restore(pixels, mask)


def test_what_is_in_flight_is_bounded_in_megapixels(tmp_path: Path) -> None:
    fill(tmp_path / "old", [f"{n:02}.jpg" for n in range(12)], height=400, width=500)
    restorer = WatchingRestorer(seconds=0.02)
    run(tmp_path / "old", tmp_path / "new", restorer, in_flight_megapixels=0.65, threads=4)
    assert 0.2 <= restorer.most <= 0.65


def test_a_photo_larger_than_the_bound_goes_alone(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.jpg", "b.jpg", "c.jpg"], height=400, width=500)
    restorer = WatchingRestorer()
    rows = run(tmp_path / "old", tmp_path / "new", restorer, in_flight_megapixels=0.1)
    assert [row.status for row in rows.values()] == ["restored"] * 3
    assert restorer.most == pytest.approx(0.2)


class PatientRestorer(DetectingRestorer):
    """Takes a minute for pictures that are 61 pixels wide, in parts, by a clock of its own; keeps count of them."""

    parts: int = 0
    thread: int = 0

    def perf_counter(self) -> float:
        """What the engine takes for the time: on the network's thread each part takes a 20th of a second."""
        is_here = threading.get_ident() == self.thread
        return time.perf_counter() + (0.05 * self.parts if is_here else 0.0)

    def restore_canvas(
        self, photo: Canvas, result: Canvas, mask: Canvas | None, on_progress: Callable[[int, int], None]
    ) -> None:
        super().restore_canvas(photo, result, mask, lambda _done, _total: None)
        for part in range(1200 if photo.shape[1] == 61 else 1):
            self.parts += 1
            on_progress(part + 1, 1200)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> PatientRestorer:
    restorer = PatientRestorer()
    restorer.thread = threading.get_ident()
    monkeypatch.setattr("oldphoto_core.pipeline.photo_task.time", restorer)
    return restorer


@pytest.mark.parametrize("in_flight", [64.0, 0.0001])
def test_a_photo_that_takes_the_network_too_long_is_given_up_between_its_parts(
    tmp_path: Path, in_flight: float, patient: PatientRestorer
) -> None:
    fill(tmp_path / "old", ["a.png", "c.png"])
    fill(tmp_path / "old", ["b.png"], width=61)
    rows = run(
        tmp_path / "old", tmp_path / "new", patient, photo_timeout=50.0, max_damage=1.0, in_flight_megapixels=in_flight
    )
    assert {key: (row.status, row.reason) for key, row in rows.items()} == {
        "a.png": ("restored", ""),
        "b.png": ("failed", "timed out"),
        "c.png": ("restored", ""),
    }
    assert "longer than the 50 s" in rows["b.png"].detail
    assert 1 < patient.parts < 1200
    assert not (tmp_path / "new/photos/b.png").exists()


def test_the_original_of_a_photo_that_took_too_long_may_still_be_copied(
    tmp_path: Path, patient: PatientRestorer
) -> None:
    fill(tmp_path / "old", ["b.png"], width=61)
    rows = run(tmp_path / "old", tmp_path / "new", patient, photo_timeout=50.0, on_failure="copy")
    assert (rows["b.png"].reason, rows["b.png"].output) == ("timed out", "photos/b.png")
    assert (tmp_path / "new/photos/b.png").read_bytes() == (tmp_path / "old/b.png").read_bytes()


def test_the_bound_on_megapixels_is_the_users(tmp_path: Path) -> None:
    fill(tmp_path / "old", ["a.png"], height=100, width=120)
    fill(tmp_path / "old", ["b.png"])
    rows = run(tmp_path / "old", tmp_path / "new", max_megapixels=0.01)
    assert (rows["a.png"].reason, rows["b.png"].status) == ("too large", "restored")
    assert "--max-megapixels" in rows["a.png"].detail


class OddError(ScanError):
    """As somebody else's network may raise."""

    reason = "the weather"  # type: ignore[assignment]


class OddRestorer(InvertingRestorer):
    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        raise OddError("it rains")


def test_no_reason_outside_the_vocabulary_reaches_a_row(tmp_path: Path) -> None:
    rows = run(fill(tmp_path / "old", ["a.png"]), tmp_path / "new", OddRestorer())
    assert (rows["a.png"].reason, rows["a.png"].detail) == ("unexpected error", "it rains")


def test_dask_listens_on_loopback_only() -> None:
    psutil = pytest.importorskip("psutil")
    from oldphoto_core.pipeline.threads import dask_threads

    with dask_threads(2):
        listening = [c.laddr.ip for c in psutil.Process().net_connections("inet") if c.status == "LISTEN"]
    assert set(listening) <= {"127.0.0.1"}


def test_an_empty_list_of_photos_is_no_work(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    assert run(tmp_path / "old", tmp_path / "new") == {}
