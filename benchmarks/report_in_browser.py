"""The report as a browser has it: pictures of its page, and how smoothly 10,000 photos go (Chromium, by Playwright).

    python benchmarks/report_in_browser.py --pictures docs/images [--all]
    python benchmarks/report_in_browser.py [--photos 10000]

With `--pictures` the demo's photos and a file that is cut short are restored, and their report is photographed as
docs/report.md shows it; with `--all` also its failures, damage marked, and the page on a phone. Without, a report of so
many photos is opened and measured: elements of the page, seconds until the first cards, of a page turned and of a
filter, milliseconds of a frame while it scrolls.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Page, sync_playwright
from report import RUN, build, thumbnails

from oldphoto_core.reports.page.thumbnails import thumbnail_stem
from oldphoto_core.restoration import RestoreJob, RestoreOptions, close_run, open_run, restore_shard
from oldphoto_core.samples.collection import SAMPLES
from oldphoto_core.samples.demo import lay_out
from oldphoto_core.storage import Bucket

DESKTOP, PHONE = {"width": 1240, "height": 900}, {"width": 390, "height": 844}
FRAMES = """async () => {
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < 120; step++) {
    await new Promise((next) => requestAnimationFrame(next));
    const now = performance.now();
    frames.push(now - last);
    last = now;
    scrollBy(0, 30);
  }
  return frames;
}"""
FILTERS = ("failed", "changed")
CARDS = "document.querySelectorAll('.card').length > 0"


def main() -> None:
    """Take the pictures, or measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--photos", type=int, default=10_000)
    arguments.add_argument("--pictures", type=Path, metavar="FOLDER")
    arguments.add_argument("--all", action="store_true")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
        if chosen.pictures:
            chosen.pictures.mkdir(parents=True, exist_ok=True)
            take_pictures(report_of_the_demo(folder), chosen.pictures, everything=chosen.all)
        else:
            measure(report_of_many(folder, chosen.photos), chosen.photos)


def report_of_the_demo(folder: str) -> str:
    """The URL of the report of the demo's photos and one that is cut short."""
    places = lay_out(folder)
    whole = places.source.read(SAMPLES[1].key)
    places.source.write("portraits/copied-by-hand.png", whole[: len(whole) // 3])
    places.source.write("notes.txt", b"found in the attic")
    job = RestoreJob(
        source=places.source.url, target=places.restored.url, masks=places.masks.url, options=RestoreOptions()
    )
    run = open_run(job)
    for number in range(len(run.shards)):
        restore_shard(run, number)
    close_run(run)
    return Path(run.bucket.url, "report/index.html").as_uri()


def report_of_many(folder: str, photos: int) -> str:
    """The URL of a report whose photos have the thumbnails of the demo's first."""
    made = Bucket(f"{folder}/made")
    thumbnails(made, megapixels=2.0)
    stem = Path(made.url, thumbnail_stem(SAMPLES[0].key))

    def put(path: Path) -> None:
        os.link(f"{stem}-{path.name.rpartition('-')[2]}", path)

    target = Bucket(f"{folder}/target")
    build(target, photos, put)
    return Path(target.url, f"runs/{RUN}/report/index.html").as_uri()


@contextmanager
def opened(url: str, **context: Any) -> Iterator[Page]:
    """A page of a fresh browser, with its first cards; the page's policy would not let it be asked for anything."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(bypass_csp=True, **context).new_page()
        page.goto(url)
        page.wait_for_function(CARDS)
        yield page
        browser.close()


def take_pictures(url: str, folder: Path, *, everything: bool) -> None:
    """Of the page and of one photo; of more, and on a phone, if everything is wanted."""

    def shoot(page: Page, name: str, *, always: bool = False) -> None:
        if always or everything:
            page.wait_for_function("[...document.images].every((image) => image.complete)")
            page.wait_for_timeout(500)
            page.screenshot(path=folder / f"{name}.jpg", type="jpeg", quality=75)

    with opened(url, viewport=DESKTOP) as page:
        shoot(page, "report", always=True)
        page.click("[data-filter=failed]")
        page.wait_for_function("document.querySelectorAll('.card').length === 1")
        shoot(page, "report-failed")
        page.click("[data-filter=restored]")
        page.click("[title='portraits/astronaut.jpg']")
        shoot(page, "report-photo", always=True)
        page.keyboard.press("m")
        shoot(page, "report-damage")
    with opened(url, viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True) as page:
        shoot(page, "report-phone")
        page.tap("[title='places/motorcycle.png']")
        shoot(page, "report-phone-photo")


def measure(url: str, photos: int) -> None:
    """Print what a reader waits for, and what the browser holds."""
    with opened(url, viewport=DESKTOP) as page:
        first = page.evaluate("performance.now()") / 1000
        elements = page.evaluate("document.querySelectorAll('*').length")
        turned = timed(page, lambda: page.get_by_label("Next page").click())
        frames = sorted(page.evaluate(FRAMES)[1:])
        first_filter, other_filter = (timed(page, partial(page.click, f"[data-filter={name}]")) for name in FILTERS)
        heap = page.evaluate("performance.memory.usedJSHeapSize") / 2**20
        after = page.evaluate("document.querySelectorAll('*').length")
    print(f"{photos:,} photos: {elements} elements, {after} after filters, {heap:.0f} MiB of JavaScript's memory")
    print(f"first cards after {first:.2f} s, next page {turned:.2f} s")
    print(f"filter: the first, which loads everything, {first_filter:.2f} s, another {other_filter:.2f} s")
    print(
        f"a frame while scrolling: median {median(frames):.0f} ms, 95 % under {frames[len(frames) * 95 // 100]:.0f} ms"
    )


def timed(page: Page, act: Callable[[], None]) -> float:
    """Seconds until other cards are there."""
    page.evaluate("document.querySelector('.card').classList.add('old')")
    started = time.perf_counter()
    act()
    page.wait_for_function("!document.querySelector('.card.old') && document.querySelector('.card')")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
