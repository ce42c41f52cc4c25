"""The rows of the paper's table: what costs nothing, rivals without training, trained rivals, ablations, ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

from oldphoto_core.errors import ConfigError
from oldphoto_core.evaluation.baselines import opencv_restore
from oldphoto_core.evaluation.compare import OPENCV_STRENGTHS, Method
from oldphoto_core.evaluation.rivals import RIVALS
from oldphoto_core.training.ablations import ABLATIONS

INPUT = "degraded input"
"""Title of the row that every gain is over."""


@dataclass(frozen=True, slots=True)
class Row:
    """One method of the table."""

    name: str
    """As `--rows` takes it."""
    title: str
    """As the table shows it."""
    kind: Literal["method", "baseline", "ours"]
    """Without training, a baseline that is trained, or the method with or without a part."""
    method: Method | None = None
    """Of a row without training."""

    @property
    def is_trained(self) -> bool:
        """Whether the budget is spent on it."""
        return self.method is None

    @property
    def ablation(self) -> str:
        """Name of the ablation; empty for the whole method and for rivals."""
        return self.name if self.name in ABLATIONS else ""


_ALL = (
    Row("input", INPUT, "method", lambda image, mask: image),
    Row("opencv", "OpenCV", "method", partial(opencv_restore, strength=OPENCV_STRENGTHS[1])),
    *(Row(name, title, "method", method) for name, (title, method) in RIVALS.items()),
    Row("pix2pix", "pix2pix", "baseline"),
    Row("cyclegan", "CycleGAN", "baseline"),
    Row("attention", "operation-wise attention", "baseline"),
    *(Row(name, ablation.row, "ours") for name, ablation in ABLATIONS.items()),
    Row("ours", "ours", "ours"),
)
ROWS: Mapping[str, Row] = MappingProxyType({row.name: row for row in _ALL})
"""All there are, in the table's order."""


def rows_named(names: Sequence[str]) -> list[Row]:
    """The rows of these names in the table's order, and that of the degraded input in any case; all for no name.

    Raises ConfigError for a name that is none.
    """
    for name in names:
        if name not in ROWS:
            raise ConfigError(f"no row is called {name!r}; there are: {', '.join(ROWS)}")
    return [row for row in ROWS.values() if not names or row.name in names or row.name == "input"]
