"""One photo of a run, and what the engine expects of whatever restores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

    from oldphoto_core.storage import ObjectInfo


class RestoresPhotos(Protocol):
    """The contract between the engine and a network: anything that keeps it can be registered as a model."""

    name: str
    digest: str
    device: str
    max_megapixels: float

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """HWC uint8 or uint16 in, the same shape and type out; mask is HW bool, True = damaged."""
        ...


@dataclass(frozen=True, slots=True)
class Photo:
    """A source object to restore, pinned to the version that was listed."""

    key: str
    version: str
    size: int
    """Bytes of the source file."""
    masks: tuple[ObjectInfo, ...] = ()
    """Candidates in the mask bucket: none means unscratched, more than one is this photo's failure."""

    @property
    def mask_version(self) -> str:
        """What pins the mask; empty without one."""
        return ",".join(f"{mask.key}@{mask.version}" for mask in self.masks)
