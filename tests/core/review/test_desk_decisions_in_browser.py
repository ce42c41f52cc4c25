"""Decisions at the desk, in a real Chromium: two at once, about what was altered, and while the server is killed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from desk_parts import NAMES, DeskVisit, Server, serving, stored_mask
from fakes import encoded, picture

from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket


@pytest.mark.long
def test_nobody_decides_without_a_name(browser: Any, server: Server, target: Path) -> None:
    visit = DeskVisit(browser, server.url, reviewer="")
    visit.open(NAMES[0])
    visit.page.locator("#canvas").focus()
    visit.page.keyboard.press("a")
    assert "name first" in visit.said()
    assert Reviews(Bucket(target)).count() == 0


@pytest.mark.long
def test_two_reviewers_see_each_other_and_neither_loses_a_decision(browser: Any, server: Server, target: Path) -> None:
    ada, bjorn = DeskVisit(browser, server.url), DeskVisit(browser, server.url, "Björn")
    for visit in (ada, bjorn):
        visit.open(NAMES[3])
    bjorn.until("!document.getElementById('others').hidden")
    assert bjorn.page.locator("#others").inner_text() == "Ada looks at this photo, too."
    bjorn.page.evaluate("desk.photo.decision = null")
    ada.decide("a")
    bjorn.until("document.getElementById('facts').innerText.includes('accepted by Ada')")  # without asking
    bjorn.decide("x")
    history = Reviews(Bucket(target)).history(NAMES[3])
    assert [(each.reviewer, each.verdict) for each in history] == [("Ada", "accept"), ("Björn", "reject")]


@pytest.mark.long
def test_who_decides_at_the_same_time_is_told_and_keeps_what_was_painted(
    browser: Any, server: Server, target: Path
) -> None:
    visit = DeskVisit(browser, server.url)
    visit.open(NAMES[4])
    visit.page.locator("#canvas").focus()
    for key in ("1", "p"):
        visit.page.keyboard.press(key)
    visit.drag((100, 200), (150, 200))
    page = visit.painted()
    photo = visit.page.evaluate("({ key: desk.photo.key, seen: desk.photo.output_sha256 })")
    Reviews(Bucket(target)).add(Decision(**photo, verdict="accept", reviewer="Björn"))
    visit.decide("r")
    if "Björn decided" in visit.said():  # else the page heard of it before
        assert (visit.painted() == page).all()
        visit.decide("r")
    history = Reviews(Bucket(target)).history(NAMES[4])
    assert [(each.reviewer, each.verdict) for each in history] == [("Björn", "accept"), ("Ada", "redo")]
    assert (stored_mask(target, NAMES[4]) == page).all()


@pytest.mark.long
def test_an_altered_derivative_is_not_accepted(browser: Any, server: Server, target: Path) -> None:
    visit = DeskVisit(browser, server.url)
    visit.open(NAMES[5])
    (target / f"photos/{NAMES[5]}").write_bytes(encoded(picture(seed=70), ".png"))
    visit.decide("a")
    assert "altered since the run wrote it" in visit.said()
    assert Reviews(Bucket(target)).count() == 0


@pytest.mark.long
@pytest.mark.parametrize("kills", [3, 20])
def test_no_decision_that_was_acknowledged_is_lost_however_often_the_server_is_killed(
    browser: Any, target: Path, kills: int
) -> None:
    with serving(target) as server:
        visit = DeskVisit(browser, server.url)
        acknowledged: list[tuple[str, str]] = []
        visit.page.locator("[data-filter=all]").click()
        visit.until("desk.queue.filter === 'all' && desk.queue.page.found > 8")
        for number in range(10 * kills):
            key, verdict = NAMES[number % len(NAMES)], "axr"[number % 3]
            if number % 10 == 4:
                server.end(signal.SIGKILL)
                server.start()
            visit.open(key)
            visit.page.locator("#canvas").focus()
            if number % 10 == 8:  # killed between the key and the answer, or just before
                visit.page.keyboard.press(verdict)
                server.end(signal.SIGKILL)
                server.start()
                visit.until("!desk.busy && document.getElementById('said').textContent !== 'storing'")
            else:
                visit.decide(verdict)
            assert visit.said().startswith(key), visit.said()
            acknowledged.append((key, {"a": "accept", "x": "reject", "r": "redo"}[verdict]))
    history = {key: [each.verdict for each in Reviews(Bucket(target)).history(key)] for key in NAMES}
    assert history == {key: [verdict for each, verdict in acknowledged if each == key] for key in NAMES}


@pytest.mark.long
def test_the_server_ends_on_a_signal_and_leaves_no_tiles(
    browser: Any, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with serving(target) as server:
        DeskVisit(browser, server.url).open(NAMES[0])
        assert list(folder.iterdir())
    assert list(folder.iterdir()) == []
