"""Masks, protected regions and previews at the desk, in a real Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk_parts import NAMES, DeskVisit, Server, stored_mask

from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket


def test_a_painted_mask_comes_back_pixel_for_pixel(browser: Any, server: Server, target: Path) -> None:
    visit = DeskVisit(browser, server.url)
    visit.open(NAMES[0])
    before = visit.painted()
    assert before[40:44].all()
    assert before.sum() == 4 * 400
    visit.page.locator("#canvas").focus()
    visit.page.keyboard.press("1")
    visit.page.keyboard.press("p")
    visit.page.evaluate("desk.tools.size = 1")
    visit.drag((100.5, 150.5), (139.5, 150.5))
    expected = before.copy()
    expected[150, 100:140] = True
    assert (visit.painted() == expected).all()
    visit.page.evaluate("desk.tools.size = 20")
    visit.drag((200, 200), (260, 240))
    visit.page.keyboard.press("e")
    visit.drag((10, 42), (60, 42))
    page = visit.painted()
    assert not page[41:43, 12:58].any()
    assert page.sum() > expected.sum()
    visit.decide("r")
    assert (stored_mask(target, NAMES[0]) == page).all()
    visit.open(NAMES[0])
    assert (visit.painted() == page).all()
    assert visit.wrong == []


@pytest.mark.long
def test_strokes_are_undone_and_marks_erased_whole(browser: Any, server: Server) -> None:
    visit = DeskVisit(browser, server.url)
    visit.open(NAMES[1])
    before = visit.painted()
    visit.page.locator("#canvas").focus()
    for key in ("1", "p"):
        visit.page.keyboard.press(key)
    visit.page.evaluate("desk.tools.size = 6")
    for x in (100, 140, 180):
        visit.drag((x, 200), (x + 8, 200))
    visit.page.keyboard.press("z")
    assert not visit.painted()[180:220, 175:200].any()
    visit.page.keyboard.press("c")
    visit.page.mouse.click(*visit.screen(104, 200))
    assert not visit.painted()[180:220, 95:120].any()
    assert visit.painted()[200, 140:148].all()
    visit.page.keyboard.press("z")
    visit.page.keyboard.down("Shift")
    visit.page.mouse.click(*visit.screen(104, 200))
    visit.page.keyboard.up("Shift")
    # both strokes, which are of one size, and not the scratch, which is larger
    assert (visit.painted() == before).all()
    assert visit.wrong == []


@pytest.mark.long
def test_a_photo_that_lies_on_its_side_is_shown_upright_and_painted_as_it_is_stored(
    browser: Any, server: Server, target: Path
) -> None:
    visit = DeskVisit(browser, server.url)
    visit.open("turned.jpg")
    left_bottom, right_bottom = visit.screen(0, 300), visit.screen(400, 300)
    assert left_bottom[0] == pytest.approx(right_bottom[0])  # its lower edge stands upright at the left
    assert left_bottom[1] < right_bottom[1]
    visit.page.locator("#canvas").focus()
    for key in ("1", "p"):
        visit.page.keyboard.press(key)
    visit.page.evaluate("desk.tools.size = 1")
    visit.drag((150.5, 100.5), (150.5, 119.5))
    visit.decide("r")
    expected = np.zeros((300, 400), bool)
    expected[100:120, 150] = True
    assert (stored_mask(target, "turned.jpg") == expected).all()


@pytest.mark.long
def test_a_protected_region_is_drawn_stored_and_removed_by_a_click(browser: Any, server: Server, target: Path) -> None:
    visit = DeskVisit(browser, server.url)
    visit.open(NAMES[2])
    visit.page.locator("#canvas").focus()
    for key in ("1", "g"):
        visit.page.keyboard.press(key)
    visit.drag((50.2, 100.2), (120.8, 149.8))
    visit.decide("r")
    assert Reviews(Bucket(target)).last(NAMES[2]).protected == ((50, 100, 71, 50),)
    visit.page.locator("[data-filter='sent back']").click()
    visit.until("desk.queue.rows.length === 1")
    visit.open(NAMES[2])
    visit.page.locator("#canvas").focus()
    visit.page.keyboard.press("g")
    visit.page.mouse.click(*visit.screen(80, 120))
    assert visit.page.evaluate("desk.stage.protected.length") == 0


@pytest.mark.long
def test_a_preview_is_drawn_over_the_photo(browser: Any, server: Server) -> None:
    visit = DeskVisit(browser, server.url)
    visit.open(NAMES[6])
    visit.page.locator("#canvas").focus()
    visit.page.keyboard.press("v")
    visit.until("desk.stage.preview !== null")
    assert visit.page.evaluate("desk.stage.preview.image.width") == 400
    visit.page.keyboard.press("Escape")
    assert visit.page.evaluate("desk.stage.preview") is None
    assert visit.wrong == []
