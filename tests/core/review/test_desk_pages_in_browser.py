"""Pages of a multi-page photo at the desk, in a real Chromium: turned, painted one by one and never lost silently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk_parts import HOSTILE, DeskVisit, Server, paged, serving, stored_page
from fakes import picture, scratched
from runs import restore
from visits import Visit

from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket

KEY = f"{HOSTILE[0]}.tif"
SIZES = [(300, 400), (340, 260), (200, 200)]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    source = Bucket(tmp_path / "source")
    pages = [scratched(picture(*size, seed=seed), 40, 44) for seed, size in enumerate(SIZES)]
    source.write(KEY, paged(*pages))
    source.write("z.tif", paged(picture(1200, 1400), picture()))
    restore(source, Bucket(tmp_path / "target"), model="detect")
    return tmp_path / "target"


@pytest.fixture
def server(target: Path) -> Iterator[Server]:
    with serving(target) as started:
        yield started


@pytest.fixture
def visit(browser: Any, server: Server) -> DeskVisit:
    visit = DeskVisit(browser, server.url)
    visit.open(KEY)
    return visit


def paint(visit: DeskVisit, *places: tuple[float, float], size: int = 1) -> None:
    visit.page.locator("#canvas").focus()
    for key in ("1", "p"):
        visit.page.keyboard.press(key)
    visit.page.evaluate("size => { desk.tools.size = size }", size)
    visit.drag(*places)


def of_run(page: int) -> np.ndarray:
    """The mask that the run took."""
    mask = np.zeros(SIZES[page - 1], bool)
    mask[40:44] = True
    return mask


def test_a_mask_painted_on_page_2_comes_back_pixel_for_pixel_and_page_1_keeps_its_own(
    visit: DeskVisit, target: Path
) -> None:
    assert (visit.painted() == of_run(1)).all()
    visit.turn("PageDown", 2)
    assert visit.page.locator("#page-number").input_value() == "2"
    assert (visit.painted() == of_run(2)).all()
    paint(visit, (100.5, 150.5), (139.5, 150.5))
    expected = of_run(2)
    expected[150, 100:140] = True
    assert (visit.painted() == expected).all()
    visit.decide("r")
    for page, mask in enumerate((of_run(1), expected, of_run(3)), start=1):
        assert (stored_page(target, KEY, page) == mask).all()
    assert visit.wrong == []
    assert visit.page.evaluate("window.hit") is None


def test_what_was_painted_on_a_page_stays_while_others_are_shown_and_is_sent_with_one_decision(
    visit: DeskVisit, target: Path
) -> None:
    paint(visit, (50, 100), (90, 130), size=12)
    first = visit.painted()
    visit.turn(".", 2)
    visit.turn("PageDown", 3)
    paint(visit, (50, 100), (90, 130), size=12)
    third = visit.painted()
    assert "page 1, 3 corrected, not sent yet" in visit.page.locator("#state").inner_text()
    visit.turn(",", 2)
    visit.turn("PageUp", 1)
    assert (visit.painted() == first).all()
    visit.decide("r")
    for page, mask in enumerate((first, of_run(2), third), start=1):
        assert (stored_page(target, KEY, page) == mask).all()
    visit.open(KEY)
    assert (visit.painted() == first).all()
    assert "corrected, not sent" not in visit.page.locator("#state").inner_text()


class Staying(DeskVisit):
    """A reviewer who stays with a photo when the page asks."""

    answer = Visit.answer


@pytest.mark.long
def test_leaving_a_photo_asks_before_a_page_that_was_painted_and_turned_is_lost(browser: Any, server: Server) -> None:
    visit = Staying(browser, server.url)
    visit.open(KEY)
    paint(visit, (50, 100), (90, 130), size=12)
    painted = visit.painted()
    visit.turn("PageDown", 2)
    visit.page.keyboard.press("j")
    visit.until("desk.photo !== null && !desk.busy")
    assert [said for said in visit.wrong if "was not sent" in said]
    assert visit.page.evaluate("desk.photo.key") == KEY
    visit.turn("PageUp", 1)
    assert (visit.painted() == painted).all()


@pytest.mark.long
def test_pages_that_two_reviewers_correct_at_once_are_both_kept(
    browser: Any, server: Server, visit: DeskVisit, target: Path
) -> None:
    visit.turn("PageDown", 2)
    paint(visit, (50, 100), (90, 130), size=12)
    mine = visit.painted()
    other = DeskVisit(browser, server.url, "Björn")
    other.open(KEY)
    paint(other, (150, 100), (190, 130), size=12)
    theirs = other.painted()
    other.decide("r")
    reviews = Reviews(Bucket(target))
    visit.decide("r")
    if len(reviews.history(KEY)) == 1:  # unless the window knew of the other's decision already
        assert "Björn decided" in visit.said()
        visit.decide("r")
    assert [decision.reviewer for decision in reviews.history(KEY)] == ["Björn", "Ada"]
    assert (stored_page(target, KEY, 1) == theirs).all()
    assert (stored_page(target, KEY, 2) == mine).all()


@pytest.mark.long
def test_regions_are_protected_on_the_first_page_alone_and_the_page_says_so(visit: DeskVisit, target: Path) -> None:
    visit.page.locator("#canvas").focus()
    for key in ("1", "g"):
        visit.page.keyboard.press(key)
    visit.drag((50.2, 100.2), (120.8, 149.8))
    visit.turn("PageDown", 2)
    assert visit.page.locator("button[data-tool=protect]").is_disabled()
    assert "regions can be protected on the first page alone" in visit.page.locator("#facts").inner_text()
    visit.drag((20, 20), (60, 60))
    visit.decide("r")
    assert Reviews(Bucket(target)).last(KEY).protected == ((50, 100, 71, 50),)


@pytest.mark.long
def test_a_preview_is_drawn_over_the_page_that_is_shown(visit: DeskVisit) -> None:
    visit.turn("PageDown", 2)
    visit.page.keyboard.press("v")
    visit.until("desk.stage.preview !== null")
    size = visit.page.evaluate("[desk.stage.preview.image.width, desk.stage.preview.image.height]")
    assert size == [SIZES[1][1], SIZES[1][0]]
    visit.turn("PageUp", 1)
    assert visit.page.evaluate("desk.stage.preview") is None
    assert visit.wrong == []


@pytest.mark.long
def test_tiles_that_the_server_dropped_for_other_pages_are_made_again(visit: DeskVisit) -> None:
    visit.open("z.tif")
    for key, page in ((KEY, 1), (KEY, 2), (KEY, 3), ("z.tif", 2)):
        assert visit.page.request.get(f"{visit.page.url}api/photo", params={"key": key, "page": page}).ok
    visit.page.locator("#canvas").focus()
    visit.page.keyboard.press("1")
    visit.until("desk.stage.complete && desk.stage.level === 0")
    assert any("404" in said for said in visit.wrong)
