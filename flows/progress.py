"""Progress in the terminal: what bars have in common, and that of a restoration; silent where there is no terminal."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from oldphoto_core.names import visible

if TYPE_CHECKING:
    from oldphoto_core.storage import LedgerRow


class TerminalBar:
    """A bar that runs while it is used as a context manager."""

    _bar: Progress

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def note(self, line: str) -> None:
        """A line above the bar, also where there is none."""
        self._bar.console.print(visible(line), markup=False, highlight=False)


class CountProgress(TerminalBar):
    """A bar on stderr of how many of how many are done; use it as a context manager."""

    def __init__(self, doing: str, total: int | None = None) -> None:
        """`total` may be told later, or never."""
        self._bar = Progress(
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(doing, total=total)

    def __call__(self, done: int, total: int) -> None:
        """Show this much."""
        self._bar.update(self._task, completed=done, total=total)

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self._bar.advance(self._task, count)


class RestoreProgress(TerminalBar):
    """A bar on stderr with the photos done, megapixels and failures; use it as a context manager."""

    def __init__(self, photos: int) -> None:
        self._bar = Progress(
            TextColumn("restoring"),
            BarColumn(),
            TextColumn("{task.fields[part]}", markup=False),
            MofNCompleteColumn(),
            TextColumn("{task.fields[megapixels]:.1f} MP"),
            TextColumn("{task.fields[failures]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not (photos and sys.stderr.isatty()),
        )
        self._failed = 0
        self._megapixels = 0.0
        self._task = self._bar.add_task("restoring", total=photos, megapixels=0.0, failures="", part="")

    def advance(self, row: LedgerRow) -> None:
        """Count one photo that is done with."""
        self._failed += row.status == "failed"
        self._megapixels += row.megapixels if row.status == "restored" else 0.0
        failures = f"[red]{self._failed} failed" if self._failed else ""
        self._bar.update(self._task, advance=1, megapixels=self._megapixels, failures=failures, part="")

    def part(self, key: str, done: int, total: int) -> None:
        """Show how far a large photo is."""
        self._bar.update(self._task, part=f"{visible(PurePosixPath(key).name)} {100 * done // total} %")
