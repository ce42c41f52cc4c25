"""Pictures side by side on one sheet, with a word above each column and beside each row."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 300
MARGIN = 12
LINE = 26
PAPER, INK = (250, 249, 246), (40, 40, 40)


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row: its label, and one picture a column (HWC uint8 or uint16, grey or RGB; None leaves a gap)."""

    label: str
    pictures: Sequence[np.ndarray | None]


def contact_sheet(columns: Sequence[str], rows: Sequence[SheetRow], *, cell: int = CELL, jpeg: bool = False) -> bytes:
    """A PNG, or a JPEG of a tenth of its size; every picture is shrunk to fit a square of `cell` pixels, never
    stretched or enlarged.
    """
    tiles = [[_tile(picture, cell) for picture in row.pictures] for row in rows]
    heights = [max([tile.height for tile in line if tile], default=cell) for line in tiles]
    width = MARGIN + len(columns) * (cell + MARGIN)
    sheet = Image.new("RGB", (width, 2 * MARGIN + LINE + sum(heights) + len(rows) * (LINE + MARGIN)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for number, title in enumerate(columns):
        draw.text((MARGIN + number * (cell + MARGIN), MARGIN), title, INK, font)
    top = MARGIN + LINE
    for row, line, height in zip(rows, tiles, heights, strict=True):
        for number, tile in enumerate(line):
            if tile:
                sheet.paste(tile, (MARGIN + number * (cell + MARGIN), top))
        draw.text((MARGIN, top + height + 2), row.label, INK, font)
        top += height + LINE + MARGIN
    out = io.BytesIO()
    if jpeg:
        sheet.save(out, "JPEG", quality=85, subsampling=0)
    else:
        sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def _tile(picture: np.ndarray | None, cell: int) -> Image.Image | None:
    if picture is None:
        return None
    eight = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    tile = Image.fromarray(np.broadcast_to(eight, (*eight.shape[:2], 3)).copy() if eight.shape[2] == 1 else eight)
    tile.thumbnail((cell, cell), Image.Resampling.LANCZOS)
    return tile
