"""How commands speak (progress and notes on stderr, results on stdout) and what their options share."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from oldphoto_core.inference.network_options import is_device
from oldphoto_core.names import visible, visible_json

RegistryOption = Annotated[
    str | None, typer.Option("--registry", metavar="URL", envvar="OLDPHOTO_REGISTRY", help="Registry of models.")
]

DaskOption = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="A running Dask scheduler (tcp://..., tls://...)."),
]


def say(line: str) -> None:
    """Print a note about what is happening: one line, whatever the names in it contain."""
    print(visible(line), file=sys.stderr, flush=True)  # noqa: T201


def show(line: str = "") -> None:
    """Print a result: one line, whatever the names in it contain."""
    print(visible(line), flush=True)  # noqa: T201


def show_text(text: str) -> None:
    """Print lines that oldphoto composed; names in them went through `visible` before."""
    for line in text.split("\n"):
        show(line)


def show_json(text: str) -> None:
    """Print JSON text whose values stay exact: what acts on a terminal becomes a JSON escape."""
    print(visible_json(text), flush=True)  # noqa: T201


def in_words(bytes: float) -> str:  # noqa: A002
    """Bytes as "820 kB" or "2.1 GB"."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if bytes >= size:
            return f"{bytes / size:.1f} {unit}"
    return f"{bytes / 1e3:.1f} kB"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], most: int = 100) -> None:
    """Rows in columns, as a result; of many the first ones."""
    lines = [header, *([visible(cell) for cell in row] for row in rows[:most])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        show("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if len(rows) > most:
        show(f"... and {len(rows) - most} more")


def parsed_size(text: str) -> int:
    """Bytes of "2G", "800M" or a plain number; the units are powers of ten."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(?:[bB])?", text.strip())
    if not match or not float(match[1]):
        raise typer.BadParameter(f"{text!r} is no amount of memory: write it as 800M or 2G")
    return int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " "))


def names_of(listed: str) -> list[str]:
    """Return the names in "A,B,...", without blanks around them."""
    return [name.strip() for name in listed.split(",") if name.strip()]


def above_zero(number: float | None) -> float | None:
    """Callback of options whose number must be above 0, where there is one."""
    if number is not None and not number > 0:
        raise typer.BadParameter(f"{number:g} is not above 0")
    return number


def known_device(name: str) -> str:
    """Callback of `--device`: refuses what is no device before anything heavy is imported."""
    if not is_device(name):
        raise typer.BadParameter(f"{name!r} is no device: choose auto, cpu, cuda or cuda:N")
    return name
