"""The desk in a real Chromium, served by the command: opened, attacked, by keyboard, by finger, 10,000 photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from desk_parts import HOSTILE, NAMES, DeskVisit, Server, serving
from runs import copied
from visits import PHONE

from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger


def test_it_opens_without_an_error_and_asks_nobody_else(browser: Any, server: Server) -> None:
    visit = DeskVisit(browser, server.url)
    visit.open(NAMES[0])
    for key in ("m", "b", "1", "0", "b"):
        visit.page.keyboard.press(key)
    assert [url for url in visit.requested if not url.startswith((server.url, "data:", "blob:"))] == []
    assert visit.wrong == []


@pytest.mark.long
def test_nothing_of_a_hostile_name_or_note_is_run(browser: Any, server: Server, target: Path) -> None:
    visit = DeskVisit(browser, server.url)
    for key in HOSTILE:
        visit.open(key)
        assert visit.page.locator("#key").inner_text() == key
        visit.page.fill("#note", "<img src=x onerror=window.hit=1>")
        visit.decide("a")
        assert Reviews(Bucket(target)).last(key).verdict == "accept"
    visit.page.locator("[data-filter=accepted]").click()
    visit.until("desk.queue.rows.length === 3")
    visit.open(HOSTILE[0])
    assert "<img src=x" in visit.page.locator("#facts").inner_text()
    assert visit.page.evaluate("window.hit") is None
    assert visit.wrong == []


def test_it_is_used_by_keyboard_alone(browser: Any, server: Server, target: Path) -> None:
    visit = DeskVisit(browser, server.url, reviewer="")
    visit.until("desk.photo !== null && desk.stage.mask !== null")
    keys = [row["key"] for row in visit.page.evaluate("desk.queue.rows")]
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.type("Ada")
    visit.page.keyboard.press("Escape")
    for verdict in ("x", "a", "r"):
        visit.page.keyboard.press(verdict)
        visit.until(f"!desk.busy && desk.photo.key !== {json.dumps(keys['xar'.index(verdict)])}")
    decisions = [Reviews(Bucket(target)).last(key) for key in keys[:3]]
    assert [(each.verdict, each.reviewer) for each in decisions] == [
        (verdict, "Ada") for verdict in ("reject", "accept", "redo")
    ]
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("album/00")
    visit.until("desk.queue.page.found > 0 && desk.queue.rows.every((row) => row.key.startsWith('album/00'))")
    visit.page.keyboard.press("Escape")
    visit.page.keyboard.press("j")
    visit.until("desk.photo.key.startsWith('album/00')")
    nameless = "[...document.querySelectorAll('button')].filter(b => !b.textContent.trim() && !b.ariaLabel).length"
    assert visit.page.evaluate(nameless) == 0


@pytest.mark.long
def test_a_phone_shows_it_without_scrolling_sideways_and_decides_by_finger(
    browser: Any, server: Server, target: Path
) -> None:
    visit = DeskVisit(browser, server.url, **PHONE)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.page.locator("#rows button").first.tap()
    visit.until("desk.photo !== null && desk.stage.mask !== null")
    key = visit.page.evaluate("desk.photo.key")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.page.locator("[data-tool=paint]").tap()
    before = visit.painted().sum()
    x, y = visit.screen(*(side / 2 for side in visit.page.evaluate("desk.photo.size")))
    visit.page.touchscreen.tap(x, y)
    visit.until(f"desk.stage.mask.dirty || {before} === 0")
    visit.page.locator("[data-verdict=redo]").tap()
    visit.until("!desk.busy && document.getElementById('said').textContent !== 'storing'")
    assert Reviews(Bucket(target)).last(key).verdict == "redo"


@pytest.fixture(scope="module")
def large(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The target as if its run had had 10,000 photos more."""
    target = copied(Bucket(original), Bucket(tmp_path_factory.mktemp("large")))
    run = target.join("runs", next(target.folders("runs")))
    with LedgerWriter(run, "more", every_rows=10**6) as ledger:
        for number in range(10_000):
            key = f"many/{number:05d}.png"
            ledger.add(
                LedgerRow(key=key, version="1", status="restored", output=f"photos/{key}", doubt=number % 97 / 97)
            )
    merge_ledger(run)
    return Path(target.url)


@pytest.mark.long
def test_of_ten_thousand_photos_the_page_holds_one_page(browser: Any, large: Path) -> None:
    with serving(large) as server:
        visit = DeskVisit(browser, server.url)
        visit.until("desk.queue.page.found > 10000")
        assert visit.page.locator("#rows button").count() == 60
        assert visit.page.evaluate("document.querySelectorAll('*').length") < 800
        first = visit.page.evaluate("desk.queue.rows[0].key")
        visit.page.locator("#page-next").click()
        visit.until("desk.queue.page.begin === 60")
        assert visit.page.locator("#count").inner_text().startswith("61 to 120 of 10,0")
        visit.page.locator("#page-first").click()
        visit.until(f"desk.queue.rows[0].key === {json.dumps(first)}")
        visit.page.fill("#search", "many/00007")
        visit.until("desk.queue.page.found === 1")
