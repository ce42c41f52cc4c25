"""A source object to restore, pinned to its version, and the bound on its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oldphoto_core.errors import MaskMismatch, ScanTooLarge

if TYPE_CHECKING:
    from oldphoto_core.inference.contracts import RestoresPhotos
    from oldphoto_core.pipeline.options import RestoreOptions
    from oldphoto_core.reviews.wishes import PhotoReview
    from oldphoto_core.scans import ScanHeader
    from oldphoto_core.storage import ObjectInfo


def check_size(name: str, header: ScanHeader, restorer: RestoresPhotos, options: RestoreOptions) -> None:
    """Raises ScanTooLarge, which names `name`, when a picture is over the network's or the user's bound."""
    bound = min(restorer.max_megapixels, options.max_megapixels)
    if header.megapixels > bound:
        raise ScanTooLarge(
            f"{name} has {header.megapixels:.1f} megapixels, and the bound here is {bound:.1f};"
            " reduce the scan, or raise --max-megapixels"
        )


@dataclass(frozen=True, slots=True)
class Photo:
    """A source object to restore, pinned to the version that was listed."""

    key: str
    version: str
    size: int
    """Bytes of the source file."""
    masks: tuple[ObjectInfo, ...] = ()
    """Candidates in the mask bucket: none means that no mask was given, more than one is this photo's failure.
    Where a curator corrected the mask: that one, in the target."""
    review: PhotoReview | None = None
    """What a curator decided about it; None: nobody did, or decisions do not count."""

    def check_masks(self) -> None:
        """Raises MaskMismatch when there are several."""
        if len(self.masks) > 1:
            names = " and ".join(mask.key for mask in self.masks)
            raise MaskMismatch(f"{self.key} has {len(self.masks)} masks, {names}; keep one of them")

    @property
    def mask_version(self) -> str:
        """What pins the mask, and what else a curator decided; empty without either."""
        pin = self.review.pin if self.review is not None else ""
        return pin if self.is_corrected else ",".join(f"{mask.key}@{mask.version}" for mask in self.masks) + pin

    @property
    def is_corrected(self) -> bool:
        """Whether a curator corrected its mask, which then counts alone."""
        return self.review is not None and bool(self.review.mask)
