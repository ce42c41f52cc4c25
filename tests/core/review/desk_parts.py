"""The desk as tests of its page use it: the server as a process, and its page in a window."""

from __future__ import annotations

import io
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
from fakes import decoded
from PIL import Image
from places import SUPPORT
from visits import Visit
from waiting import wait_until

from oldphoto_core.scans import read_scan

HOSTILE = (
    "<img src=x onerror=window.hit=1>.png",
    '"><script>window.hit=1</script>.png',
    "\U0001f4f7 'a' {{ 7 * 7 }}.png",
)
NAMES = [f"album/{number:03d}.png" for number in range(8)]
WINDOWS: list[Any] = []
"""That a test opened."""


class Server:
    """`oldphoto review` in a process that can be killed and started again at the same port."""

    def __init__(self, target: Path, *options: object, scheme: str = "http") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/"
        self._target, self._options = target, list(map(str, options))
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            str(SUPPORT / "fakes.py"),
            "review",
            str(self._target),
            "--port",
            str(self.port),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [*command, "--no-isolate", "--model", "detect", *self._options],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("the desk: "), "the server did not start"

    def end(self, how: int = signal.SIGTERM) -> None:
        self._process.send_signal(how)
        self._process.communicate()


@contextmanager
def serving(target: Path, *options: object, scheme: str = "http") -> Iterator[Server]:
    server = Server(target, *options, scheme=scheme)
    try:
        yield server
    finally:
        server.end()


class DeskVisit(Visit):
    """The desk in a window of its own."""

    def __init__(self, browser: Any, url: str, reviewer: str = "Ada", token: str = "", **context: Any) -> None:
        super().__init__(browser, url, **{"viewport": {"width": 1280, "height": 800}, **context})
        WINDOWS.append(self.window)
        if token:
            self.page.fill("input[name=token]", token)
            self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#rows button")
        self.until("document.getElementById('target').textContent !== ''")
        if reviewer:
            self.page.fill("#reviewer", reviewer)

    def answer(self, dialog: Any) -> None:
        """The page asks before something that was painted is left."""
        dialog.accept()

    def open(self, key: str) -> None:
        self.until("desk.queue.rows.length > 0 && !desk.busy")
        # a photo that is open would be opened again while the test goes on
        self.page.evaluate("key => { if (desk.photo?.key !== key) desk.queue.button(key).click(); }", key)
        wait_until(lambda: self.page.evaluate("desk.photo?.key") == key, f"{key} to be open")
        self.until("desk.stage.complete && (!desk.photo.correctable || desk.stage.mask !== null)")

    def turn(self, key: str, page: int) -> None:
        """Press a key that turns pages and wait until the page is shown."""
        self.page.locator("#canvas").focus()
        self.page.keyboard.press(key)
        wait_until(lambda: self.page.evaluate("desk.photo.page") == page, f"page {page} to be open")
        self.until("desk.stage.complete && desk.stage.mask !== null")

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


def paged(*pages: np.ndarray) -> bytes:
    """A multi-page TIFF."""
    buffer = io.BytesIO()
    first, *others = map(Image.fromarray, pages)
    first.save(buffer, "TIFF", save_all=True, append_images=others)
    return buffer.getvalue()


def stored_mask(target: Path, key: str) -> np.ndarray:
    return decoded((target / f"reviews/masks/{key}.png").read_bytes()) > 0


def stored_page(target: Path, key: str, page: int) -> np.ndarray:
    """The corrected mask of a page."""
    pixels: np.ndarray = read_scan(target / f"reviews/masks/{key}.png", page=page).pixels
    return pixels[..., 0] > 0
