"""Pages of a multi-page photo at the desk's server: shown, corrected one by one, and restored by what was painted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from desk_parts import paged, stored_page
from fakes import encoded, picture, scratched
from runs import restore
from starlette.testclient import TestClient

from oldphoto_core.custody import audit
from oldphoto_core.desk.app import application
from oldphoto_core.desk.bits import packed
from oldphoto_core.desk.desk import Desk
from oldphoto_core.desk.guard import Access
from oldphoto_core.desk.pictures import Pictures
from oldphoto_core.desk.preview import Previewer
from oldphoto_core.desk.queue import Queue
from oldphoto_core.restoration import NetworkOptions
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.scans import read_scan
from oldphoto_core.storage import Bucket

HOME = "http://127.0.0.1:8095"
SIZES = [(40, 60), (50, 70), (30, 20)]
"""Height and width of each page."""
PAGES = [scratched(picture(*size, seed=seed)) for seed, size in enumerate(SIZES)]
GREY = 127


@pytest.fixture
def places(tmp_path: Path) -> tuple[Bucket, Bucket]:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    source.write("a.tif", paged(*PAGES))
    source.write("b.png", encoded(scratched(picture()), ".png"))
    restore(source, target, model="detect")
    return source, target


@pytest.fixture
def pictures(places: tuple[Bucket, Bucket]) -> Iterator[Pictures]:
    with Pictures(Queue(places[1]), isolated=False) as opened:
        yield opened


@pytest.fixture
def client(places: tuple[Bucket, Bucket]) -> Iterator[TestClient]:
    queue = Queue(places[1])
    with Pictures(queue, isolated=False) as pictures:
        desk = Desk(queue, pictures, Previewer(NetworkOptions(model="detect")))
        yield TestClient(application(desk, Access()), base_url=HOME, headers={"Origin": HOME})


def opened(client: TestClient, page: object = 1, key: str = "a.tif") -> dict[str, Any]:
    answer = client.get("/api/photo", params={"key": key, "page": page})
    assert answer.status_code == 200, answer.text
    plain: dict[str, Any] = answer.json()
    return plain


def mask_at(client: TestClient, page: int) -> np.ndarray:
    height, width = SIZES[page - 1]
    bits = client.get("/api/mask", params={"id": opened(client, page)["id"]}).content
    return np.unpackbits(np.frombuffer(bits, np.uint8).reshape(height, -1), axis=1, count=width) > 0


def send(client: TestClient, photo: dict[str, Any], sha256: str, **more: Any) -> Any:
    plain = {"key": photo["key"], "verdict": "redo", "reviewer": "Ada", "note": "", "seen": photo["output_sha256"]}
    return client.post("/api/decide", json={**plain, "after": 0, "mask": sha256, "protected": [], "id": "1", **more})


def stored(target: Bucket, page: int) -> np.ndarray:
    return stored_page(folder_of(target), "a.tif", page)


def folder_of(bucket: Bucket) -> Path:
    return Path(bucket.url.removeprefix("file://"))


def random_mask(page: int, seed: int = 5) -> np.ndarray:
    mask: np.ndarray = np.random.default_rng(seed).random(SIZES[page - 1]) < 0.3
    return mask


def test_each_page_is_shown_before_and_after(client: TestClient) -> None:
    for number, (height, width) in enumerate(SIZES, start=1):
        photo = opened(client, number)
        assert (photo["page"], photo["pages"], photo["size"]) == (number, 3, [width, height])
        assert (photo["pictures"], photo["problems"]) == (["after", "before"], [])
        shown = {
            which: cv2.imdecode(
                np.frombuffer(client.get(f"/tiles/{photo['id']}/{which}/0/0_0.jpg").content, np.uint8), cv2.IMREAD_COLOR
            )[..., ::-1].astype(int)
            for which in ("before", "after")
        }
        below = slice(20, None)
        assert np.abs(shown["before"][below] - PAGES[number - 1][below]).max() < 20
        assert np.abs(255 - shown["after"][below] - PAGES[number - 1][below]).max() < 20


def test_the_files_of_a_photo_are_fetched_once_for_all_of_its_pages(
    pictures: Pictures, places: tuple[Bucket, Bucket]
) -> None:
    first = pictures.open("a.tif", 1)
    (folder_of(places[0]) / "a.tif").unlink()
    second = pictures.open("a.tif", 2)
    assert second.problems == []
    assert (first.folder / "before").stat().st_ino == (second.folder / "before").stat().st_ino
    assert first.id != second.id


@pytest.mark.parametrize("page", ["0", "4", "-1", "1.0", "x", "", "١", "9" * 40, "1000000"])
def test_a_page_that_there_is_not_is_refused(client: TestClient, page: str) -> None:
    for asked in ("a.tif", "b.png"):
        answer = client.get("/api/photo", params={"key": asked, "page": page})
        assert (answer.status_code, answer.json()["kind"]) == (400, "UsageError")
        assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("pages", ["0", "4", "2,1", "1,1", "1,", ",", "", "x", "1-2", "1, 2", "-1", "9" * 99])
def test_masks_of_pages_that_there_are_not_are_stored_nowhere(
    client: TestClient, places: tuple[Bucket, Bucket], pages: str
) -> None:
    asked = {"id": opened(client)["id"], "pages": pages}
    answer = client.put("/api/mask", params=asked, content=packed(random_mask(1), random_mask(2)))
    assert (answer.status_code, answer.json()["kind"]) == (400, "UsageError")
    assert list(places[1].list("reviews")) == []


@pytest.mark.parametrize(
    "body",
    [packed(random_mask(1)), packed(random_mask(1), random_mask(3)), packed(*map(random_mask, (1, 2, 3))),
     packed(random_mask(1), random_mask(2))[:-9], b""],
)  # fmt: skip
def test_masks_of_other_sizes_than_their_pages_are_stored_nowhere(
    client: TestClient, places: tuple[Bucket, Bucket], body: bytes
) -> None:
    answer = client.put("/api/mask", params={"id": opened(client)["id"], "pages": "1,2"}, content=body)
    assert (answer.status_code, answer.json()["kind"]) == (400, "UsageError")
    assert list(places[1].list("reviews")) == []


def test_a_corrected_page_comes_back_and_the_others_keep_the_runs_masks(
    client: TestClient, places: tuple[Bucket, Bucket]
) -> None:
    runs = [mask_at(client, page) for page in (1, 2, 3)]
    assert all(mask[12:16].all() and mask.sum() == 4 * mask.shape[1] for mask in runs)
    photo, painted = opened(client, 2), random_mask(2)
    answer = client.put("/api/mask", params={"id": photo["id"], "pages": "2"}, content=packed(painted))
    assert send(client, photo, answer.json()["sha256"]).status_code == 200
    for page, mask in zip((1, 2, 3), (runs[0], painted, runs[2]), strict=True):
        assert (stored(places[1], page) == mask).all()
        assert (mask_at(client, page) == mask).all()
    assert Reviews(places[1]).last("a.tif").uncorrected == places[1].sha256("masks/a.tif.tif")
    assert audit(places[1]).is_clean


def test_a_second_correction_keeps_the_pages_of_the_first(client: TestClient, places: tuple[Bucket, Bucket]) -> None:
    photo = opened(client)
    both = packed(random_mask(1), random_mask(3))
    first = client.put("/api/mask", params={"id": photo["id"], "pages": "1,3"}, content=both).json()["sha256"]
    send(client, photo, first)
    asked = {"id": photo["id"], "pages": "1", "base": first}
    second = client.put("/api/mask", params=asked, content=packed(random_mask(1, seed=6))).json()["sha256"]
    assert send(client, photo, second, after=1, id="2").status_code == 200
    assert (stored(places[1], 1) == random_mask(1, seed=6)).all()
    assert stored(places[1], 2)[12:16].all()
    assert (stored(places[1], 3) == random_mask(3)).all()


def test_of_two_who_correct_pages_at_once_the_second_is_told_and_nothing_is_overwritten(
    client: TestClient, places: tuple[Bucket, Bucket]
) -> None:
    photo = opened(client, 2)
    shas = [
        client.put("/api/mask", params={"id": photo["id"], "pages": page}, content=packed(random_mask(int(page))))
        for page in ("1", "2")
    ]
    mine, other = (answer.json()["sha256"] for answer in shas)
    assert send(client, photo, other, reviewer="Björn").status_code == 200
    refused = send(client, photo, mine, id="2")
    assert (refused.status_code, refused.json()["kind"]) == (409, "DecidedMeanwhile")
    again = client.put("/api/mask", params={"id": photo["id"], "pages": "1"}, content=packed(random_mask(1)))
    assert (again.status_code, again.json()["kind"]) == (409, "DecidedMeanwhile")
    # with the other's mask in sight, the page joins it
    asked = {"id": photo["id"], "pages": "1", "base": opened(client)["decision"]["mask"]}
    joined = client.put("/api/mask", params=asked, content=packed(random_mask(1))).json()["sha256"]
    assert send(client, photo, joined, after=1, id="3").status_code == 200
    assert all((stored(places[1], page) == random_mask(page)).all() for page in (1, 2))


@pytest.mark.parametrize("base", ["../../x", "f" * 64, "x"])
def test_a_mask_that_counts_for_nobody_is_no_base(client: TestClient, places: tuple[Bucket, Bucket], base: str) -> None:
    asked = {"id": opened(client)["id"], "pages": "1", "base": base}
    assert client.put("/api/mask", params=asked, content=packed(random_mask(1))).status_code == 409
    assert list(places[1].list("reviews")) == []


def test_pages_are_restored_by_what_was_painted_at_the_desk(client: TestClient, places: tuple[Bucket, Bucket]) -> None:
    source, target = places
    photo, painted = opened(client, 2), random_mask(2)
    answer = client.put("/api/mask", params={"id": photo["id"], "pages": "2"}, content=packed(painted))
    send(client, photo, answer.json()["sha256"], protected=[[0, 30, 60, 10]])
    assert restore(source, target, model="detect", reviews=True)["restored"] == 1
    for number, master in enumerate(PAGES, start=1):
        mask = painted if number == 2 else np.zeros(SIZES[number - 1], bool)
        if number != 2:
            mask[12:16] = True
        made = read_scan(target.read("photos/a.tif"), page=number).pixels
        expected = np.where(mask[..., np.newaxis], GREY, 255 - master)
        if number == 1:
            expected[30:40] = master[30:40]  # regions are protected on the first page alone
        assert (made == expected).all()
    assert audit(target).is_clean


def test_a_preview_is_of_the_page_that_is_shown(client: TestClient) -> None:
    height, width = SIZES[1]
    asked = {"id": opened(client, 2)["id"], "left": 0, "top": 0, "width": width, "height": height}
    answer = client.post("/api/preview", params=asked, content=packed(np.zeros((height, width), bool)))
    shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (shown == 255 - PAGES[1]).all()


def test_a_photo_whose_run_kept_no_masks_says_so_and_pages_not_painted_are_undamaged(
    client: TestClient, places: tuple[Bucket, Bucket]
) -> None:
    assert opened(client)["masks"]
    places[1].delete("masks/a.tif.tif")
    photo = opened(client)
    assert not photo["masks"]
    answer = client.put("/api/mask", params={"id": photo["id"], "pages": "3"}, content=packed(random_mask(3)))
    send(client, photo, answer.json()["sha256"])
    assert not stored(places[1], 1).any()
    assert (stored(places[1], 3) == random_mask(3)).all()


def test_a_corrected_mask_of_another_number_of_pages_is_named_and_not_built_upon(
    client: TestClient, places: tuple[Bucket, Bucket]
) -> None:
    photo = opened(client)
    lone = io.BytesIO(encoded(np.zeros(SIZES[0], np.uint8), ".png")).getvalue()
    places[1].write("masks/a.tif.tif", lone)
    answers = [
        client.get("/api/mask", params={"id": photo["id"]}),
        client.put("/api/mask", params={"id": photo["id"], "pages": "2"}, content=packed(random_mask(2))),
    ]
    assert [answer.json()["kind"] for answer in answers] == ["MaskMismatch"] * 2
    assert "the mask has 1 pages, its photo 3" in answers[0].json()["error"]
    assert list(places[1].list("reviews")) == []


def test_pages_that_a_run_copies_are_named(tmp_path: Path) -> None:
    source, target = Bucket(tmp_path / "source"), Bucket(tmp_path / "target")
    source.write("a.tif", paged(*PAGES))
    restore(source, target, model="detect", pages="2-")
    with Pictures(Queue(target), isolated=False) as pictures:
        assert [pictures.open("a.tif", page).as_dict()["copied"] for page in (1, 2, 3)] == [True, False, False]


def test_an_altered_derivative_is_shown_on_no_page(pictures: Pictures, places: tuple[Bucket, Bucket]) -> None:
    assert sorted(pictures.open("a.tif", 1).pyramids) == ["after", "before"]
    places[1].write("photos/a.tif", paged(*PAGES[::-1]))
    second = pictures.open("a.tif", 2)
    assert sorted(second.pyramids) == ["before"]
    assert "altered since" in second.problems[0]
