"""What all photos of one call of the engine have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oldphoto_core.inference.contracts import FindsDamage, RestoresPhotos, detector_of
from oldphoto_core.reports.page.thumbnails import REPORT

if TYPE_CHECKING:
    from oldphoto_core.pipeline.callbacks import ShardCallbacks
    from oldphoto_core.pipeline.options import RestoreOptions
    from oldphoto_core.pipeline.photo import Photo
    from oldphoto_core.scans import Decoders
    from oldphoto_core.storage import Bucket

DECODED_BYTES = 30
"""Per pixel of a photo in memory: 16-bit colour before and after, planes of damage, and the encoder's copies."""
DECODED_SHARE = 0.25
"""Of the memory that a restoration may take, what lies around the network decoded."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Everything that the photos of one call have in common."""

    restorer: RestoresPhotos
    source: Bucket
    target: Bucket
    options: RestoreOptions
    decoders: Decoders
    callbacks: ShardCallbacks
    run_id: str = ""
    masks: Bucket | None = None
    operator: str = ""
    """Who is named in the records."""

    @property
    def in_memory_megapixels(self) -> float:
        """Larger photos are decoded to disk. What is decoded at once is at most a share of the memory allowed."""
        allowed = getattr(self.restorer, "memory", math.inf) if self.restorer.device == "cpu" else math.inf
        return min(self.options.in_flight_megapixels, DECODED_SHARE * allowed / DECODED_BYTES / 1e6)

    @property
    def detector(self) -> FindsDamage | None:
        """What looks for damage; None: nobody does, or given masks alone count."""
        return detector_of(self.restorer) if self.options.detect else None

    @property
    def detector_digest(self) -> str:
        """Of the detector, or empty."""
        return self.detector.detector_digest if self.detector else ""

    @property
    def mask_is_output(self) -> bool:
        """Whether given masks already lie where this run would write them."""
        if self.masks is None:
            return False
        ours = self.target.join("masks")
        return ours.contains(self.masks) and self.masks.contains(ours)

    @property
    def report(self) -> Bucket | None:
        """Where thumbnails go; None: nowhere."""
        return self.target.join("runs", self.run_id, REPORT) if self.run_id and self.options.report else None

    def digest(self, photo: Photo) -> str:
        """Of the options, the mask and the detector that shape this photo's derivative."""
        return self.options.digest(photo.mask_version, self.detector_digest)
