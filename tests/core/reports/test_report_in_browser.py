"""The report in a real Chromium: from a disk and from a bucket, with hostile names, by mouse, keyboard and finger."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import boto3
import pytest
from fakes import encoded, picture, register, scratched
from runs import copied, restore
from visits import PHONE, Visit

from oldphoto_core.reports.page.build import write_report
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.runs.run_report import make_report
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger

register()

HOSTILE = (
    "<img src=x onerror=window.hit=1>.png",
    '"><script>window.hit=1</script>.png',
    "javascript:window.hit=1.png",
    "\U0001f4f7 \"quoted\" 'twice' {{ 7 * 7 }}.png",
    "%2e%2e/%2e%2e/100%.png",
    "line\nbreak\u2028.png",
)
PLANTED = LedgerRow(
    key="../../../etc/passwd", version="1", status="failed", reason="unreadable",
    detail="</script><script>window.hit=1</script>",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 50 photos with ordinary names, one broken and one too damaged, and some with names that attack."""
    folder = tmp_path_factory.mktemp("report")
    for number, key in enumerate([*(f"album/{n:03d}.png" for n in range(50)), *HOSTILE]):
        path = folder / "source" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(scratched(picture(seed=number)), ".png"))
    (folder / "source/album/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "source/album/lost.png").write_bytes(encoded(scratched(picture(), 2, 38), ".png"))
    target = Bucket(folder / "target")
    run_id = restore(Bucket(folder / "source"), target, model="detect")["run_id"]
    with LedgerWriter(target.join("runs", run_id), "planted") as ledger:
        ledger.add(PLANTED)
    merge_ledger(target.join("runs", run_id))
    return folder / "target" / make_report(target, run_id)


class ReportVisit(Visit):
    """The report in a window."""

    def __init__(self, browser: Any, url: str, **context: Any) -> None:
        super().__init__(browser, url, **context)
        self.page.wait_for_selector(".card")

    def keys(self) -> list[str]:
        return [name.strip() for name in self.page.locator(".card .name").all_inner_texts()]

    def filter(self, name: str, value: str = "") -> list[str]:
        self.page.locator(f"[data-filter='{name}']").click()
        self.page.fill("#search", value)
        self.until("document.getElementById('grid').getAttribute('aria-busy') === 'false'")
        return self.keys()

    def open(self, place: int) -> None:
        self.page.locator(f"[data-place='{place}']").click()
        self.until("document.getElementById('before').complete && before.naturalWidth > 0")

    def shown(self) -> str:
        return self.page.locator("#viewer-place").inner_text()


@pytest.fixture
def reviewed(report: Path, tmp_path: Path) -> Path:
    """The report of the same run after three of its photos were decided about."""
    target = copied(Bucket(report.parents[3]), Bucket(tmp_path / "target"))
    reviews = Reviews(target)
    for number, verdict in enumerate(("accept", "reject", "redo")):
        key = f"album/{number:03d}.png"
        seen = target.sha256(f"photos/{key}")
        reviews.add(Decision(key=key, verdict=verdict, reviewer="<b>Ada</b>", seen=seen, note="as {{ 7 * 7 }}"))
    return tmp_path / "target" / make_report(target, report.parents[1].name)


@pytest.fixture(params=["disk", "bucket"])
def url(request: pytest.FixtureRequest, report: Path) -> str:
    if request.param == "disk":
        return report.as_uri()
    endpoint, place = request.getfixturevalue("s3_endpoint"), request.getfixturevalue("s3_bucket_url")
    name = place.removeprefix("s3://").partition("/")[0]
    # a browser that is not signed in sees what anybody may read
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    boto3.client("s3", endpoint_url=endpoint).put_bucket_policy(Bucket=name, Policy=policy)
    copied(Bucket(report.parents[3] / "runs"), Bucket(place).join("target", "runs"))
    return f"{endpoint}/{place.removeprefix('s3://')}/target/{report.relative_to(report.parents[3])}"


def test_it_opens_without_an_error_and_asks_nobody_else(browser: Any, url: str) -> None:
    visit = ReportVisit(browser, url)
    visit.open(0)
    assert visit.page.locator("#charts svg").count() == 3
    assert visit.wrong == []
    ours = url.rpartition("/")[0]
    assert [other for other in visit.requested if not other.startswith(ours)] == []


def test_nothing_of_a_hostile_name_is_run(browser: Any, report: Path) -> None:
    visit = ReportVisit(browser, report.as_uri())
    failed = visit.filter("failed")
    assert "../../../etc/passwd" in failed
    for place in range(len(failed)):
        visit.page.locator(f"[data-place='{place}']").click()
        visit.until("document.getElementById('viewer').open")
        visit.page.keyboard.press("Escape")
    names = " ".join([*failed, *visit.filter("all", "<"), *visit.filter("all", "hit"), *visit.filter("all", "7 * 7")])
    assert all(part in names for part in ("<img src=x onerror=window.hit=1>", "<script>", "{{ 7 * 7 }}", "javascript:"))
    visit.open(0)
    file = visit.page.locator("#file").evaluate("link => link.href")
    assert file.startswith(report.parents[3].as_uri() + "/photos/")
    assert visit.page.evaluate("window.hit") is None
    assert visit.wrong == []


def test_filters_and_search_show_what_they_name(browser: Any, report: Path) -> None:
    visit = ReportVisit(browser, report.as_uri())
    assert len(visit.keys()) == 48
    visit.page.get_by_label("Next page").click()
    visit.until("document.querySelectorAll('.card').length < 48")
    assert visit.filter("damaged") == ["album/lost.png"]
    assert "album/broken.png" in visit.filter("failed")
    assert visit.filter("all", "ALBUM/03") == [f"album/03{n}.png" for n in range(10)]
    assert visit.filter("skipped") == []
    assert visit.page.locator("#count").inner_text() == "No photo is of this kind."
    shares = [
        float(text.split()[0]) for text in (visit.filter("changed"), visit.page.locator(".badge").all_inner_texts())[1]
    ]
    assert len(shares) == 48
    assert shares == sorted(shares, reverse=True)


def test_the_slider_moves_by_mouse_and_by_key(browser: Any, report: Path) -> None:
    visit = ReportVisit(browser, report.as_uri())
    visit.filter("all", "album/001")
    visit.open(0)
    box = visit.page.locator("#picture").bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
    assert abs(int(visit.page.input_value("#split")) - 25) <= 1
    left = visit.page.locator("#handle").bounding_box()["x"]
    assert abs(left - box["x"] - box["width"] * 0.25) < box["width"] * 0.02
    visit.page.focus("#split")
    visit.page.keyboard.press("ArrowRight")
    assert abs(int(visit.page.input_value("#split")) - 26) <= 1
    assert (
        visit.page.locator("#after").evaluate("e => getComputedStyle(e).clipPath").startswith("inset(0px 0px 0px 26%")
    )
    visit.page.keyboard.press("m")
    assert visit.page.locator("#mask").is_visible()
    visit.page.keyboard.press("+")
    assert visit.page.locator("#zoom-fit").inner_text() == "150%"


def test_it_is_used_by_keyboard_alone(browser: Any, report: Path) -> None:
    visit = ReportVisit(browser, report.as_uri())
    visit.page.focus("[data-place='0']")
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("Enter")
    visit.until("document.getElementById('viewer-place').textContent.startsWith('2 of')")
    visit.page.keyboard.press("ArrowRight")
    visit.until("document.getElementById('viewer-place').textContent.startsWith('3 of')")
    visit.page.keyboard.press("Escape")
    visit.until("document.activeElement.dataset.place === '2'")
    assert visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert not visit.page.locator("#viewer").is_visible()
    nameless = "[...document.querySelectorAll('button')].filter(b => !b.textContent.trim() && !b.ariaLabel).length"
    assert visit.page.evaluate(nameless) == 0


def test_a_phone_shows_it_without_scrolling_sideways(browser: Any, report: Path) -> None:
    visit = ReportVisit(browser, report.as_uri(), **PHONE)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.page.locator("[data-place='0']").tap()
    visit.until("document.getElementById('viewer-place').textContent.startsWith('1 of')")
    visit.page.locator("#next").tap()
    visit.until("document.getElementById('viewer-place').textContent.startsWith('2 of')")
    buttons = visit.page.locator("dialog button:visible, dialog input:visible").all()
    boxes = [button.bounding_box() for button in buttons]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844 for box in boxes)
    assert visit.wrong == []


def test_decisions_are_counted_filtered_and_shown_as_text(browser: Any, reviewed: Path) -> None:
    visit = ReportVisit(browser, reviewed.as_uri())
    counts = visit.page.locator("#decisions").inner_text()
    assert counts.startswith("Reviewed: 1 accepted, 1 rejected, 1 sent back, 5")
    filters = ("accepted", "rejected", "sent back")
    assert [visit.filter(name) for name in filters] == [[f"album/{number:03d}.png"] for number in range(3)]
    assert visit.page.locator(".badge.review").inner_text() == "sent back"
    visit.open(0)
    details = visit.page.locator("#details").inner_text()
    assert "sent back by <b>Ada</b> on 2" in details
    assert "as {{ 7 * 7 }}" in details
    visit.page.keyboard.press("Escape")
    assert "album/003.png" in visit.filter("open")
    assert visit.wrong == []


def test_where_nobody_decided_the_report_says_nothing_of_decisions(browser: Any, report: Path) -> None:
    visit = ReportVisit(browser, report.as_uri())
    assert visit.page.locator("#decisions, [data-filter=accepted], .badge.review").count() == 0


DOUBTED = (310, 77, 604)
"""Of the photos more: those that the detector was not sure of, by so many thousandths."""


@pytest.fixture(scope="module")
def large(report: Path) -> Path:
    """The report of the same run, as if it had had 10,000 photos more."""
    folder = report.parents[3]
    copied(Bucket(folder), Bucket(folder.parent / "large"))
    run = Bucket(folder.parent / "large").join("runs", report.parents[1].name)
    with LedgerWriter(run, "more") as ledger:
        for number in range(10_000):
            status, reason = ("failed", "truncated") if number % 50 == 0 else ("skipped", "already restored")
            doubt = number / 1000 if number in DOUBTED else math.nan
            key = f"many/{number:05d}.png"
            ledger.add(LedgerRow(key=key, version="1", status=status, reason=reason, doubt=doubt))
    merge_ledger(run)
    write_report(Bucket(folder.parent / "large"), json.loads(run.read("summary.json")))
    return Path(run.url, "report/index.html")


def test_of_ten_thousand_photos_the_page_holds_those_in_sight(browser: Any, large: Path) -> None:
    visit = ReportVisit(browser, large.as_uri())
    elements = "document.querySelectorAll('*').length"
    data = [url for url in visit.requested if "/photos-" in url]
    assert (len(visit.keys()), len(data)) == (48, 1)
    at_first = visit.page.evaluate(elements)
    assert at_first < 1000
    assert len(visit.filter("failed", "many/")) == 48
    assert visit.page.locator("#count").inner_text() == "1 to 48 of 200"
    visit.filter("all")
    visit.page.get_by_label("Page 210 of 210").click()
    visit.until("document.getElementById('count').textContent.startsWith('10,0')")
    assert visit.page.evaluate(elements) <= at_first
    assert visit.wrong == []


def test_photos_are_sorted_by_how_unsure_the_detector_was(browser: Any, large: Path) -> None:
    visit = ReportVisit(browser, large.as_uri())
    assert visit.filter("doubt") == ["many/00604.png", "many/00310.png", "many/00077.png"]
    visit.page.locator("[data-place='0']").click()  # these photos have no pictures to wait for
    visit.until("document.getElementById('details').innerText.includes('60 %')")
