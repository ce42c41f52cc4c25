"""`oldphoto restore --check`: what would be done, as a table or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from flows.commands.terminal import in_words, show, show_json, table

if TYPE_CHECKING:
    from oldphoto_core.runs.dry_run import Check, Outlook
    from oldphoto_core.runs.job import RestoreJob


def show_check(job: RestoreJob, *, as_json: bool) -> None:
    """Look, and say what would be done; ends with 3 when some photos would fail."""
    from flows.progress import CountProgress
    from oldphoto_core.runs.dry_run import check

    with CountProgress("looking") as progress:
        checked = check(job, progress)
    if as_json:
        show_json(json.dumps(checked.as_dict(), indent=2, ensure_ascii=False))
    else:
        _show(checked)
    if checked.of("failed"):
        raise typer.Exit(3)


def _show(checked: Check) -> None:
    # what needs a human comes first: of many files the last ones are not shown
    order = [*checked.of("failed"), *checked.of("restored"), *checked.of("skipped")]
    order.sort(key=lambda file: (file.status != "failed", not file.detail or file.status == "skipped"))
    table(("would be", "file", "pixels", "size", "why"), [_row(file) for file in order])
    counts = checked.counts
    doubtful = sum(bool(file.detail) for file in checked.of("restored"))
    show(
        f"{counts['found']} files found: {counts['restored']} would be restored, {counts['skipped']} skipped,"
        f" {counts['failed']} would fail{f'; {doubtful} with a doubt' if doubtful else ''};"
        f" {checked.megapixels:.1f} megapixels"
    )
    for name, count in checked.masks.items():
        if count:
            show(f"masks {name}: {count}" if name != "photos without a mask" else f"{name}: {count}")
    seconds, size = checked.seconds, checked.output_bytes
    show(f"estimated time: {'not known' if seconds.value is None else _duration(seconds.value)} ({seconds.basis})")
    show(f"estimated output: {'not known' if size.value is None else in_words(size.value)} ({size.basis})")
    show("nothing was written")


def _row(file: Outlook) -> tuple[str, str, str, str, str]:
    pixels = f"{file.width} x {file.height}" if file.width else ""
    if file.pages > 1:
        pixels = f"{pixels}, {file.pages} pages"
    why = ": ".join(part for part in (file.reason, file.detail) if part)
    return file.status, file.key, pixels, in_words(file.bytes), why


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
