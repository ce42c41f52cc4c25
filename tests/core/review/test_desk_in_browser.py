"""The desk in a real Chromium, served by the command: by mouse, by keyboard alone, by finger."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import decoded, encoded, picture, scratched
from PIL import Image
from runs import copied, restore
from waiting import wait_until

from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger

ROOT = Path(__file__).parents[3]
HOSTILE = (
    "<img src=x onerror=window.hit=1>.png",
    '"><script>window.hit=1</script>.png',
    "\U0001f4f7 'a' {{ 7 * 7 }}.png",
)
NAMES = [f"album/{number:03d}.png" for number in range(8)]


WINDOWS: list[Any] = []
"""That a test opened."""


@pytest.fixture(autouse=True)
def windows_are_closed() -> Iterator[None]:
    """After each test: a page whose server has ended asks for it again and again."""
    yield
    while WINDOWS:
        WINDOWS.pop().close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with photos of ordinary names, of names that attack, one that lies on its side and one too damaged."""
    folder = tmp_path_factory.mktemp("desk")
    source = Bucket(folder / "source")
    for seed, key in enumerate([*NAMES, *HOSTILE]):
        source.write(key, encoded(scratched(picture(300, 400, seed=seed), 40, 44 + seed), ".png"))
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(300, 400, seed=50)).save(turned, "JPEG", exif=exif)
    source.write("turned.jpg", turned.getvalue())
    source.write("lost.png", encoded(scratched(picture(), 2, 38), ".png"))
    restore(source, Bucket(folder / "target"), model="detect")
    return folder / "target"


@pytest.fixture
def target(original: Path, tmp_path: Path) -> Path:
    """A copy of that target, for one test to decide in."""
    copied(Bucket(original), Bucket(tmp_path / "target"))
    return tmp_path / "target"


class Server:
    """`oldphoto review` in a process that can be killed and started again at the same port."""

    def __init__(self, target: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._target = target
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(ROOT / "tests/fakes.py"), "review", str(self._target), "--port", str(self.port)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [*command, "--no-isolate", "--model", "detect"], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("the desk: "), "the server did not start"

    def end(self, how: int = signal.SIGTERM) -> None:
        self._process.send_signal(how)
        self._process.communicate()


@contextmanager
def serving(target: Path) -> Iterator[Server]:
    server = Server(target)
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def server(target: Path) -> Iterator[Server]:
    with serving(target) as started:
        yield started


class Visit:
    """The page in a window of its own, and what went wrong on it."""

    def __init__(self, browser: Any, url: str, reviewer: str = "Ada", **context: Any) -> None:
        window = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        WINDOWS.append(window)
        self.page = window.new_page()
        self.page.set_default_timeout(120_000)
        self.wrong: list[str] = []
        self.requested: list[str] = []
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(url)
        self.page.wait_for_selector("#rows button")
        self.until("document.getElementById('target').textContent !== ''")
        if reviewer:
            self.page.fill("#reviewer", reviewer)

    def until(self, condition: str) -> None:
        wait_until(lambda: self.page.evaluate(condition), condition)

    def open(self, key: str) -> None:
        self.until("desk.queue.rows.length > 0 && !desk.busy")
        self.page.evaluate("key => desk.queue.button(key).click()", key)
        wait_until(lambda: self.page.evaluate("desk.photo?.key") == key, f"{key} to be open")
        self.until("desk.stage.complete && (!desk.photo.size || desk.photo.pages > 1 || desk.stage.mask !== null)")

    def decide(self, key: str) -> None:
        """Press the key of a verdict and wait until it is stored."""
        self.page.locator("#canvas").focus()
        self.page.keyboard.press(key)
        self.until("!desk.busy && document.getElementById('said').textContent !== 'storing'")

    def said(self) -> str:
        return str(self.page.locator("#said").inner_text())

    def screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the scan is on the screen."""
        return tuple(
            self.page.evaluate(
                "([x, y]) => { const at = desk.stage.matrix.transformPoint(new DOMPoint(x, y)),"
                " box = desk.stage.canvas.getBoundingClientRect(); return [at.x + box.x, at.y + box.y]; }",
                [x, y],
            )
        )

    def drag(self, *places: tuple[float, float], steps: int = 4) -> None:
        """Press at the first place of the scan, move through the others and let go."""
        (x, y), *others = [self.screen(*place) for place in places]
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for x, y in others:
            self.page.mouse.move(x, y, steps=steps)
        self.page.mouse.up()

    def painted(self) -> np.ndarray:
        """The mask as the page has it."""
        width, height = self.page.evaluate("desk.photo.size")
        places = self.page.evaluate("Array.from(desk.stage.mask.levels[0].data).flatMap((v, at) => v ? [at] : [])")
        mask = np.zeros(height * width, bool)
        mask[places] = True
        return mask.reshape(height, width)


def stored_mask(target: Path, key: str) -> np.ndarray:
    return decoded((target / f"reviews/masks/{key}.png").read_bytes()) > 0


def test_it_opens_without_an_error_and_asks_nobody_else(browser: Any, server: Server) -> None:
    visit = Visit(browser, server.url)
    visit.open(NAMES[0])
    for key in ("m", "b", "1", "0", "b"):
        visit.page.keyboard.press(key)
    assert [url for url in visit.requested if not url.startswith((server.url, "data:", "blob:"))] == []
    assert visit.wrong == []


@pytest.mark.long
def test_nothing_of_a_hostile_name_or_note_is_run(browser: Any, server: Server, target: Path) -> None:
    visit = Visit(browser, server.url)
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


def test_a_painted_mask_comes_back_pixel_for_pixel(browser: Any, server: Server, target: Path) -> None:
    visit = Visit(browser, server.url)
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
    visit = Visit(browser, server.url)
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
    visit = Visit(browser, server.url)
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
    visit = Visit(browser, server.url)
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


def test_it_is_used_by_keyboard_alone(browser: Any, server: Server, target: Path) -> None:
    visit = Visit(browser, server.url, reviewer="")
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
def test_nobody_decides_without_a_name(browser: Any, server: Server, target: Path) -> None:
    visit = Visit(browser, server.url, reviewer="")
    visit.open(NAMES[0])
    visit.page.locator("#canvas").focus()
    visit.page.keyboard.press("a")
    assert "name first" in visit.said()
    assert Reviews(Bucket(target)).count() == 0


@pytest.mark.long
def test_two_reviewers_see_each_other_and_neither_loses_a_decision(browser: Any, server: Server, target: Path) -> None:
    ada, bjorn = Visit(browser, server.url), Visit(browser, server.url, "Björn")
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
    visit = Visit(browser, server.url)
    visit.open(NAMES[4])
    visit.page.locator("#canvas").focus()
    for key in ("1", "p"):
        visit.page.keyboard.press(key)
    visit.drag((100, 200), (150, 200))
    page = visit.painted()
    photo = visit.page.evaluate("({ key: desk.photo.key, seen: desk.photo.output_sha256 })")
    from oldphoto_core.reviews.decision import Decision

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
    visit = Visit(browser, server.url)
    visit.open(NAMES[5])
    (target / f"photos/{NAMES[5]}").write_bytes(encoded(picture(seed=70), ".png"))
    visit.decide("a")
    assert "altered since the run wrote it" in visit.said()
    assert Reviews(Bucket(target)).count() == 0


@pytest.mark.long
def test_a_preview_is_drawn_over_the_photo(browser: Any, server: Server) -> None:
    visit = Visit(browser, server.url)
    visit.open(NAMES[6])
    visit.page.locator("#canvas").focus()
    visit.page.keyboard.press("v")
    visit.until("desk.stage.preview !== null")
    assert visit.page.evaluate("desk.stage.preview.image.width") == 400
    visit.page.keyboard.press("Escape")
    assert visit.page.evaluate("desk.stage.preview") is None
    assert visit.wrong == []


@pytest.mark.long
def test_a_phone_shows_it_without_scrolling_sideways_and_decides_by_finger(
    browser: Any, server: Server, target: Path
) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    visit = Visit(browser, server.url, **phone)
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


@pytest.mark.long
@pytest.mark.parametrize("kills", [3, 20])
def test_no_decision_that_was_acknowledged_is_lost_however_often_the_server_is_killed(
    browser: Any, target: Path, kills: int
) -> None:
    with serving(target) as server:
        visit = Visit(browser, server.url)
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
        visit = Visit(browser, server.url)
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


@pytest.mark.long
def test_the_server_ends_on_a_signal_and_leaves_no_tiles(
    browser: Any, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with serving(target) as server:
        Visit(browser, server.url).open(NAMES[0])
        assert list(folder.iterdir())
    assert list(folder.iterdir()) == []
