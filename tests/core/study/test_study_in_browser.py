"""A study in a real Chromium: ranked by mouse, drag, keys and finger, interrupted, attacked, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_parts import LEVELS, serving, study_in
from visits import PHONE, Visit
from waiting import wait_until

from oldphoto_core.study.answers import read_answers
from oldphoto_core.study.participants import invite
from oldphoto_core.study.results import count
from oldphoto_core.study.study import read_study

PIXELS = """() => Object.fromEntries([...document.querySelectorAll('#panes figcaption button')].map(button => {
    const image = button.closest('figure').querySelector('img');
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext('2d');
    canvas.drawImage(image, 0, 0);
    return [button.getAttribute('aria-keyshortcuts'), canvas.getImageData(9, 9, 1, 1).data[0]];
}))"""
"""Letter of each result -> the grey that its method paints with."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study_in(tmp_path)
    return tmp_path / "study"


class Person(Visit):
    """A participant in a browser of their own."""

    def begin(self) -> Person:
        self.page.locator("#begin").click()
        return self.until_photo(1)

    def until_photo(self, number: int) -> Person:
        self.page.wait_for_url("**/p/*")
        self.until(f"document.getElementById('where').textContent.startsWith('Photo {number} of')")
        self.until("[...document.querySelectorAll('#panes img')].every(i => i.complete && i.naturalWidth > 0)")
        return self

    def letters(self) -> dict[str, str]:
        """Method -> letter on this page."""
        named = {level: name for name, level in LEVELS.items()}
        return {named[level]: letter for letter, level in self.page.evaluate(PIXELS).items()}

    def order(self) -> list[str]:
        return self.page.locator("#ranking .letter").all_inner_texts()

    def submit(self) -> None:
        self.page.locator("#submit").click()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()


def by_keys(person: Person, order: list[str]) -> None:
    for letter in order:
        person.page.keyboard.press(letter.lower())


def by_clicks(person: Person, order: list[str]) -> None:
    for letter in order:
        person.page.locator(f"figcaption button[aria-keyshortcuts={letter}]").click()


@pytest.mark.parametrize(("people", "photos"), [(5, 1), pytest.param(22, 3, marks=pytest.mark.long)])
def test_participants_of_known_preference_give_the_table_that_follows(
    browser: Any, tmp_path: Path, people: int, photos: int
) -> None:
    """All rank the methods in one order, but for two, who find the second best one best in every photo."""
    study_in(tmp_path, photos)
    folder, usual = tmp_path / "study", list(LEVELS)
    odd = ["good", "best", "fair", "poor"]
    with serving(folder) as url:
        for number in range(people):
            person = Person(browser, url).begin()
            for place in range(1, photos + 1):
                person.until_photo(place)
                letters = person.letters()
                wanted = [letters[method] for method in (odd if number in (0, people - 1) else usual)]
                (by_clicks if number % 5 == 0 else by_keys)(person, wanted)
                assert person.order() == wanted
                person.submit()
            person.until("!document.getElementById('thanks').hidden")
            assert person.wrong == []
            assert [asked for asked in person.requested if not asked.startswith(url)] == []
            person.window.close()
    study = read_study(folder)
    results = count(study, read_answers(folder, study))
    assert (results.rankings, results.participants, results.complete) == (photos * people, people, people)
    table = results.table.set_index("method")
    assert list(table.index) == usual
    assert table["top_1"].to_dict() == pytest.approx(
        {"best": (people - 2) / people, "good": 2 / people, "fair": 0, "poor": 0}
    )
    assert table["top_2"].to_dict() == {"best": 1, "good": 1, "fair": 0, "poor": 0}
    assert table["mean_rank"].to_dict() == pytest.approx(
        {"best": 1 + 2 / people, "good": 2 - 2 / people, "fair": 3, "poor": 4}
    )
    n, odd_ones = photos * people, photos * 2
    sums = [n + odd_ones, 2 * n - odd_ones, 3 * n, 4 * n]
    w = 12 * sum((each - 2.5 * n) ** 2 for each in sums) / (n**2 * 60)
    assert (results.agreement, results.agreement_within) == (pytest.approx(w), pytest.approx(w))


def test_a_drag_ranks_and_reorders(browser: Any, folder: Path) -> None:
    with serving(folder) as url:
        person = Person(browser, url).begin()
        for letter in "AB":
            button = person.page.locator(f"figcaption button[aria-keyshortcuts={letter}]")
            button.drag_to(person.page.locator("#ranking"))
        by_keys(person, ["C", "D"])
        assert sorted(person.order()) == ["A", "B", "C", "D"]
        before = person.order()
        last, first = (person.page.locator("#ranking li").nth(at) for at in (3, 0))
        last.locator(".letter").drag_to(first, target_position={"x": 40, "y": 2})
        assert person.order() == [before[3], *before[:3]]
        assert person.wrong == []


def test_it_is_ranked_by_keyboard_alone(browser: Any, folder: Path) -> None:
    with serving(folder) as url:
        person = Person(browser, url)
        keyboard = person.page.keyboard
        person.until("document.activeElement === document.body")
        while person.page.evaluate("document.activeElement.id") != "begin":
            keyboard.press("Tab")
        keyboard.press("Enter")
        person.until_photo(1)
        by_keys(person, ["B", "A", "D", "C"])
        while not person.page.evaluate("document.activeElement.matches('#ranking li')"):
            keyboard.press("Tab")
        keyboard.press("ArrowDown")
        assert person.order() == ["A", "B", "D", "C"]
        assert person.page.evaluate("document.activeElement.querySelector('.letter').textContent") == "B"
        assert person.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        keyboard.press("Delete")
        assert person.order() == ["A", "D", "C"]
        assert person.page.locator("#submit").is_disabled()
        by_keys(person, ["B"])
        while person.page.evaluate("document.activeElement.id") != "submit":
            keyboard.press("Tab")
        keyboard.press("Enter")
        person.until_photo(2)
        assert person.page.evaluate("document.activeElement.id") == "title"
        nameless = "[...document.querySelectorAll('button')].filter(b => !b.textContent.trim() && !b.ariaLabel).length"
        assert person.page.evaluate(nameless) == 0
        assert person.wrong == []


TRANSFORMS = "[...new Set([...document.querySelectorAll('#panes img')].map(i => i.style.transform))]"


def test_all_pictures_zoom_and_move_together(browser: Any, folder: Path) -> None:
    with serving(folder) as url:
        person = Person(browser, url).begin()
        box = person.page.locator("#panes .picture").first.bounding_box()
        person.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        person.page.mouse.wheel(0, -300)
        person.until("document.getElementById('zoom-fit').textContent === '122%'")
        person.page.locator("#zoom-in").click()
        person.page.locator("#panes").focus()
        person.page.keyboard.press("+")
        zoomed = person.page.evaluate(TRANSFORMS)
        assert len(zoomed) == 1
        person.page.mouse.move(box["x"] + 100, box["y"] + 80)
        person.page.mouse.down()
        person.page.mouse.move(box["x"] + 60, box["y"] + 50, steps=4)
        person.page.mouse.up()
        moved = person.page.evaluate(TRANSFORMS)
        assert len(moved) == 1
        assert moved != zoomed
        person.page.locator("#panes").focus()
        person.page.keyboard.press("ArrowRight")
        assert person.page.evaluate(TRANSFORMS) not in (moved, zoomed)
        person.page.keyboard.press("0")
        assert person.page.evaluate(TRANSFORMS) == ["translate(0%, 0%) scale(1)"]
        assert person.wrong == []


def touch(person: Person, kind: str, *points: tuple[float, float]) -> None:
    if not hasattr(person, "devtools"):
        person.devtools = person.window.new_cdp_session(person.page)
    touched = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    person.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})


def test_a_phone_ranks_by_finger_and_pinches(browser: Any, folder: Path) -> None:
    with serving(folder) as url:
        person = Person(browser, url, **PHONE).begin()
        assert person.page.evaluate("document.documentElement.scrollWidth") <= 390
        box = person.page.locator("#panes .picture").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch(person, "touchStart", (x - 20, y), (x + 20, y))
        touch(person, "touchMove", (x - 30, y), (x + 30, y))
        touch(person, "touchMove", (x - 40, y), (x + 40, y))
        touch(person, "touchEnd")
        person.until("parseInt(document.getElementById('zoom-fit').textContent) > 150")
        for letter in "DCBA":
            person.page.locator(f"figcaption button[aria-keyshortcuts={letter}]").tap()
        assert person.order() == ["D", "C", "B", "A"]
        rows = [person.page.locator("#ranking li").nth(at) for at in range(4)]
        rows[0].scroll_into_view_if_needed()
        rows[3].scroll_into_view_if_needed()
        boxes = [row.bounding_box() for row in rows]
        x = boxes[0]["x"] + 90
        touch(person, "touchStart", (x, boxes[3]["y"] + 20))
        for height in (boxes[2]["y"] + 20, boxes[1]["y"] + 20, boxes[0]["y"] + 5):
            touch(person, "touchMove", (x, height))
        touch(person, "touchEnd")
        assert person.order() == ["A", "D", "C", "B"]
        person.page.locator("#submit").tap()
        person.until_photo(2)
        assert person.wrong == []


def test_a_participant_stops_and_comes_back_by_the_link(browser: Any, folder: Path) -> None:
    with serving(folder) as url:
        person = Person(browser, url).begin()
        by_keys(person, ["A", "B", "C", "D"])
        person.submit()
        person.until_photo(2)
        shown = person.letters()
        link = person.page.url
        person.page.goto(url)
        person.until("!document.getElementById('continue').hidden")
        person.page.locator("#continue-link").click()
        assert person.until_photo(2).page.url == link
        person.window.close()
        path = link.removeprefix(url)
    with serving(folder) as url:
        person = Person(browser, url + path).until_photo(2)
        assert person.letters() == shown


def test_going_back_neither_asks_twice_nor_counts_twice(browser: Any, folder: Path) -> None:
    with serving(folder) as url:
        person = Person(browser, url).begin()
        by_keys(person, ["A", "B", "C", "D"])
        person.submit()
        person.until_photo(2)
        person.page.go_back()
        assert not person.page.url.startswith(f"{url}/p/")
        person.page.go_forward()
        person.until_photo(2)
        other = person.window.new_page()
        other.goto(person.page.url)
        by_keys(person, ["B", "A", "C", "D"])
        person.submit()
        person.until_photo(3)
        wait_until(lambda: other.locator("#panes figcaption button").count() == 4, "the other tab")
        # a tab that was left open at the second photo does not know that it was ranked
        other.reload()
        wait_until(lambda: other.locator("#where").inner_text() == "Photo 3 of 3", "the other tab")
        assert person.wrong == []
    study = read_study(folder)
    assert len(read_answers(folder, study)) == 2


def test_a_tab_that_is_behind_is_told_and_led_on(browser: Any, folder: Path) -> None:
    with serving(folder) as url:
        person = Person(browser, url).begin()
        behind = person.window.new_page()
        behind.goto(person.page.url)
        wait_until(lambda: behind.locator("#panes figcaption button").count() == 4, "the other tab")
        by_keys(person, ["A", "B", "C", "D"])
        person.submit()
        person.until_photo(2)
        for letter in "dcba":
            behind.keyboard.press(letter)
        behind.locator("#submit").click()
        wait_until(lambda: "the first answer counts" in behind.locator("#message").inner_text(), "the message")
        assert behind.locator("#where").inner_text() == "Photo 2 of 3"
        assert behind.locator("#ranking li").count() == 0
    study = read_study(folder)
    assert len(read_answers(folder, study)) == 1


def test_a_ranking_outlives_a_server_that_is_away(browser: Any, folder: Path) -> None:
    with serving(folder) as url:
        person = Person(browser, url).begin()
        by_keys(person, ["A", "B", "C", "D"])
    person.submit()
    person.until("document.getElementById('message').textContent.includes('send it again')")
    assert person.order() == ["A", "B", "C", "D"]
    assert not person.page.locator("#submit").is_disabled()


def test_markup_in_names_is_text_and_no_method_reaches_the_page(browser: Any, tmp_path: Path) -> None:
    hostile = {"<img src=x onerror=window.hit=1>": 200, '"><script>window.hit=1</script>': 100}
    study_in(tmp_path, 1, hostile)
    run_by = "<script>window.hit=1</script> the archive's lab"
    with serving(tmp_path / "study", run_by=run_by, open_access=False) as url:
        token = invite(tmp_path / "study")[0]
        person = Person(browser, url)
        assert "<script>window.hit=1</script> the archive's lab" in person.text("main")
        assert person.page.locator("#begin").count() == 0
        person.page.goto(f"{url}/p/{token}")
        person.until_photo(1)
        assert run_by in person.text("main#task")
        assert person.page.evaluate("window.hit") is None
        content = person.page.content() + " ".join(person.requested)
        assert "onerror" not in content
        by_keys(person, ["A", "B"])
        person.submit()
        person.until("!document.getElementById('thanks').hidden")
        assert person.wrong == []
    study = read_study(tmp_path / "study")
    assert set(count(study, read_answers(tmp_path / "study", study)).table["method"]) == set(hostile)


def test_orders_differ_between_people_and_names_between_all(browser: Any, folder: Path) -> None:
    seen, names = set(), []
    with serving(folder) as url:
        for _ in range(6):
            person = Person(browser, url).begin()
            seen.add(tuple(sorted(person.letters().items())))
            names += [asked.rpartition("/")[2] for asked in person.requested if "/pictures/" in asked]
            person.window.close()
    assert len(seen) > 1
    assert len(names) == len(set(names)) == 6 * 10
