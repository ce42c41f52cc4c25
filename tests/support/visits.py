"""A page opened in a window of its own, and what went wrong on it."""

from __future__ import annotations

from typing import Any

from waiting import wait_until

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class Visit:
    """A page in Chromium: what it asked for, and what its console, its scripts and its dialogs said."""

    def __init__(self, browser: Any, url: str, **context: Any) -> None:
        """`context`: of the window, as Playwright's `new_context` takes it."""
        self.window = browser.new_context(**context)
        self.page = self.window.new_page()
        self.page.set_default_timeout(120_000)
        self.requested: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", self.answer)
        self.page.goto(url)

    def answer(self, dialog: Any) -> None:
        """Dialogs are wrong where a page has no use for them."""
        self.wrong.append(dialog.message)
        dialog.dismiss()

    def until(self, condition: str) -> None:
        """Wait for an expression to be true; Playwright's own waiting evaluates strings, which the pages forbid."""
        wait_until(lambda: self.page.evaluate(condition), condition)
