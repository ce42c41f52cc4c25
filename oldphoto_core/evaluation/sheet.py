"""The paper's figure: photos in rows, the input and each method in columns, enlarged crops below."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.evaluation.named import NamedMethods
from oldphoto_core.evaluation.sampling import read_drawn
from oldphoto_core.names import visible
from oldphoto_core.storage import Bucket

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Photo = NDArray[np.uint8]
Square = tuple[int, int, int]
"""Left, top and side, in pixels."""

INPUT = "input"
FORMATS = (".png", ".pdf")
COLOURS = ("#e4572e", "#2e86ab", "#7fb800", "#a23b72")
"""Of the frames of crops, in turn."""
WIDTH = 2.2
"""Inches of a column."""
SHARE = 4
"""A crop that is chosen here has a side of the photo's shorter side divided by this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetConfig:
    """Which photos and crops a sheet shows."""

    count: int = 4
    """Photos."""
    seed: int = 7
    """By which they are drawn."""
    side: int = 768
    """Photos are shrunk to this many pixels of their longer side before they are restored."""
    crops: tuple[Square, ...] = ()
    """Squares to enlarge; none: those where the methods differ most."""
    chosen: int = 1
    """How many squares are chosen in each photo if `crops` is empty."""

    def __post_init__(self) -> None:
        """Refuses sheets of nothing and squares without pixels."""
        if self.count < 1 or self.side < 32 or not 0 <= self.chosen <= len(COLOURS):
            raise ConfigError(
                f"SheetConfig is count={self.count}, side={self.side}, chosen={self.chosen}; give 1 photo or more, 32"
                f" pixels or more, and 0 to {len(COLOURS)} crops"
            )
        for left, top, side in self.crops:
            if min(left, top) < 0 or side < 1:
                raise ConfigError(f"the crop {left},{top},{side} is no square; write LEFT,TOP,SIDE in pixels")


def check_format(name: str) -> str:
    """Return "png" or "pdf" by the end of a file's name. Raises UsageError for others."""
    for ending in FORMATS:
        if name.lower().endswith(ending):
            return ending[1:]
    raise UsageError(f"{name} is no name of a sheet; end it with {' or '.join(FORMATS)}")


def draw_sheet(
    photos: Bucket,
    methods: NamedMethods,
    form: str,
    config: SheetConfig | None = None,
    on_photo: Callable[[str, str], None] = lambda key, reason: None,
) -> bytes:
    """Return a sheet as PNG or PDF (`form`), the same for the same photos, methods and config.

    `on_photo` is given the key of each photo, with "" or the reason why it was left out.

    Raises:
        SourceMissing: there is no photo.
        UsageError: none can be read, or a crop lies outside a photo.
        ScanError: a method made a picture of another size.
    """
    config = config or SheetConfig()
    rows = []
    for key, image in read_drawn(photos, config.seed, config.count, config.side, on_photo):
        mask = methods.find(image)
        pictures = [image, *(methods.restore(name, image, mask) for name in methods.methods)]
        squares = [_inside(square, image, key) for square in config.crops]
        rows.append((key, pictures, squares or chosen_squares(pictures, config.chosen)))
        on_photo(key, "")
    if not rows:
        raise UsageError(f"no photo of {photos.url} can be read; name a folder or URL of photos")
    return _drawn([INPUT, *methods.methods], rows, form)


def chosen_squares(pictures: Sequence[Photo], count: int) -> list[Square]:
    """Return the squares, apart from each other, in which pictures HWC of one size differ most in detail."""
    height, width = pictures[0].shape[:2]
    side = max(1, min(height, width) // SHARE)
    detail = np.stack([_detail(picture, side) for picture in pictures])
    spread = np.asarray(cv2.blur(detail.std(axis=0), (side, side), borderType=cv2.BORDER_REFLECT))
    half = side // 2
    found: list[Square] = []
    for _ in range(count):
        inner = spread[half : height - side + half + 1, half : width - side + half + 1]
        top, left = (int(place) for place in np.unravel_index(int(inner.argmax()), inner.shape))
        found.append((left, top, side))
        # the next one lies elsewhere
        spread[max(0, top - half) : top + side + half, max(0, left - half) : left + side + half] = -1
    return found


def _detail(picture: Photo, side: int) -> NDArray[np.float32]:
    """The grey picture without its tone: a method that only darkens differs in no detail."""
    grey = picture.astype(np.float32).mean(axis=2)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), max(1.0, side / 8)), np.float32)


def _inside(square: Square, image: Photo, key: str) -> Square:
    left, top, side = square
    height, width = image.shape[:2]
    if left + side > width or top + side > height:
        raise UsageError(
            f"the crop {left},{top},{side} lies outside {visible(key)}, which is {width} x {height} here; name another"
        )
    return square


def _drawn(columns: Sequence[str], rows: Sequence[tuple[str, list[Photo], list[Square]]], form: str) -> bytes:
    # the object interface: pyplot keeps global state, and sheets may be drawn in threads
    from matplotlib.figure import Figure

    heights: list[float] = []
    for _, pictures, squares in rows:
        height, width = pictures[0].shape[:2]
        heights += [height / width, *(1.0 for _ in squares)]
    figure = Figure(figsize=(WIDTH * len(columns), WIDTH * sum(heights) + 0.5), layout="constrained")
    grid = figure.add_gridspec(len(heights), len(columns), height_ratios=heights)
    line = 0
    for number, (key, pictures, squares) in enumerate(rows):
        for column, picture in enumerate(pictures):
            axes = figure.add_subplot(grid[line, column])
            _show(axes, picture, squares)
            if number == 0:
                axes.set_title(visible(columns[column]), fontsize=9, parse_math=False)
            if column == 0:
                axes.set_ylabel(visible(key)[-40:], fontsize=6, parse_math=False)
            _show_crops(figure, grid, line, column, picture, squares)
        line += 1 + len(squares)
    buffer = io.BytesIO()
    # without a date, so that the same sheet is the same file
    figure.savefig(buffer, format=form, dpi=200, metadata={"CreationDate": None} if form == "pdf" else None)
    return buffer.getvalue()


def _show(axes: Axes, picture: Photo, squares: Sequence[Square]) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(picture)
    axes.set_xticks([])
    axes.set_yticks([])
    for square, colour in zip(squares, COLOURS * len(squares), strict=False):
        left, top, side = square
        axes.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=1.2))


def _show_crops(figure: Figure, grid: Any, line: int, column: int, picture: Photo, squares: Sequence[Square]) -> None:
    for number, (left, top, side) in enumerate(squares):
        axes = figure.add_subplot(grid[line + 1 + number, column])
        axes.imshow(picture[top : top + side, left : left + side], interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(edgecolor=COLOURS[number % len(COLOURS)], linewidth=1.5)
