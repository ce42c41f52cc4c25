"""How commands speak (progress and notes on stderr, results on stdout) and what their options share."""

from __future__ import annotations

import re
import sys

import typer


def say(line: str) -> None:
    """A note about what is happening."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def show(line: str = "") -> None:
    """A result."""
    print(line, flush=True)  # noqa: T201


def known_device(name: str) -> str:
    """Callback of `--device`: refuses what is no device before anything heavy is imported."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise typer.BadParameter(f"{name!r} is no device: choose auto, cpu, cuda or cuda:N")
    return name
