"""The curator's desk as a browser has it: pictures of its page, and what a curator waits for (Chromium, by Playwright).

    python benchmarks/review_in_browser.py --pictures docs/images
    python benchmarks/review_in_browser.py [--photos 10000] [--side 10000]

With `--pictures` the demo's photos are restored and the desk is photographed as docs/review.md shows it. Without, the
queue of so many photos is opened and paged through, a square TIFF of so many pixels a side is zoomed to 1:1 while the
server's memory is watched, and a part of it is restored as a preview by `starter`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.reports.summary import encode
from oldphoto_core.restoration import RestoreJob, close_run, open_run, restore_shard
from oldphoto_core.samples.demo import lay_out
from oldphoto_core.storage import Bucket, LedgerRow, LedgerWriter, merge_ledger

DESKTOP = {"width": 1360, "height": 820}
RUN = "20261101-000000-0000"
LARGE = "large.tif"


def main() -> None:
    """Take the pictures, or measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--photos", type=int, default=10_000)
    arguments.add_argument("--side", type=int, default=10_000)
    arguments.add_argument("--pictures", type=Path, metavar="FOLDER")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as folder:
        if chosen.pictures:
            take_pictures(restored_demo(folder), chosen.pictures)
        else:
            measure(many(folder, chosen.photos, chosen.side))


def restored_demo(folder: str) -> str:
    """The demo's photos, restored; returns the target."""
    places = lay_out(folder)
    job = RestoreJob(source=places.source.url, target=places.restored.url, options=RestoreOptions())
    run = open_run(job)
    for number in range(len(run.shards)):
        restore_shard(run, number)
    close_run(run)
    return places.restored.url


def many(folder: str, photos: int, side: int) -> str:
    """A target whose ledger has so many photos, of which one large scan is there."""
    source, target = Bucket(f"{folder}/source"), Bucket(f"{folder}/target")
    small = np.random.default_rng(0).integers(0, 256, (side // 50, side // 50, 3), np.uint8)
    for place in (Path(source.url, LARGE), Path(target.url, f"photos/{LARGE}")):
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC))
    version = source.info(LARGE)
    assert version is not None
    run = target.join("runs", RUN)
    run.write("run.json", encode({"run_id": RUN, "source": source.url, "target": target.url}))  # type: ignore[arg-type]
    with LedgerWriter(run, "rows", every_rows=10**7) as ledger:
        digest = target.sha256(f"photos/{LARGE}")
        ledger.add(_row(LARGE, version.version, digest, doubt=1.0))
        for number in range(photos):
            ledger.add(_row(f"many/{number:06d}.tif", "1", "", doubt=number % 997 / 1000))
    merge_ledger(run)
    return target.url


def _row(key: str, version: str, digest: str, doubt: float) -> LedgerRow:
    return LedgerRow(
        key=key, version=version, status="restored", output=f"photos/{key}", output_sha256=digest, doubt=doubt
    )


@contextmanager
def served(target: str) -> Iterator[tuple[str, psutil.Process]]:
    """`oldphoto review` in a process of its own: its URL, and the process."""
    command = [sys.executable, "-m", "flows.cli", "review", target, "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def opened(url: str, **context: Any) -> Iterator[Page]:
    """A page of a fresh browser; the page's policy would not let it be asked for anything."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(bypass_csp=True, **context).new_page()
        page.set_default_timeout(600_000)
        page.goto(url)
        yield page
        browser.close()


def drawn(page: Page) -> None:
    """Wait until all tiles in sight are drawn."""
    page.wait_for_function("desk.photo && desk.stage.mask && desk.stage.complete && desk.stage.drawn > 0")


def take_pictures(target: str, folder: Path) -> None:
    """Of a photo between before and after, and of one on which damage is painted."""
    with served(target) as (url, _), opened(url, viewport=DESKTOP) as page:
        page.wait_for_function("document.getElementById('target').textContent !== ''")
        page.evaluate("document.getElementById('target').textContent = 's3://access/restored'")
        page.fill("#reviewer", "Ada")
        page.locator("#rows button", has_text="astronaut").click()
        page.wait_for_function("desk.photo?.key.includes('astronaut')")
        drawn(page)
        page.wait_for_timeout(500)
        page.screenshot(path=folder / "review.jpg", type="jpeg", quality=80)
        page.locator("#canvas").focus()
        for key in ("1", "p"):
            page.keyboard.press(key)
        box = page.locator("#canvas").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] * 0.35, box["y"] + box["height"] * 0.3
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 120, y + 60, steps=8)
        page.mouse.up()
        page.keyboard.press("g")
        page.mouse.move(x + 220, y + 120)
        page.mouse.down()
        page.mouse.move(x + 330, y + 200, steps=4)
        page.mouse.up()
        page.wait_for_timeout(500)
        page.screenshot(path=folder / "review-mask.jpg", type="jpeg", quality=80)


def measure(target: str) -> None:
    """Print what a curator waits for, and what the server holds."""
    with served(target) as (url, process), watched(process) as most, opened(url, viewport=DESKTOP) as page:
        page.wait_for_selector("#rows button")
        print(f"first rows after {page.evaluate('performance.now()') / 1000:.2f} s")
        started = time.perf_counter()
        page.click("#page-next")
        page.wait_for_function("desk.queue.page.begin === 60")
        print(f"next page {time.perf_counter() - started:.2f} s")
        page.click("#page-first")
        page.wait_for_function("desk.queue.page.begin === 0")
        page.wait_for_function("desk.photo !== null")
        drawn(page)
        print(f"large scan opened {page.evaluate('performance.now()') / 1000:.1f} s after the page")
        started = time.perf_counter()
        page.click("#zoom-one")
        page.wait_for_function("desk.stage.level === 0")
        drawn(page)
        print(f"1:1 after {time.perf_counter() - started:.2f} s")
        print(f"the server held {most[0] / 2**20:.0f} MiB at most, with its decoders")
        for what in ("the first preview, with the model's loading", "another"):
            page.evaluate("desk.stage.preview = null")
            started = time.perf_counter()
            page.click("#preview")
            page.wait_for_function("desk.stage.preview !== null")
            print(f"{what}: {time.perf_counter() - started:.2f} s for 512 x 512 pixels")


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[int]]:
    """The most bytes that a process and its children held so far; what they share is counted once."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            try:
                held = sum(each.memory_full_info().pss for each in [process, *process.children(recursive=True)])
            except psutil.Error:
                continue
            most[0] = max(most[0], held)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
