"""What a file carries besides pixels, in a form that any container can take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oldphoto_core.scans.scan import Encoding, Resolution


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """Everything but the pixels. `metadata` is as in `Scan`."""

    encoding: Encoding
    orientation: int = 1
    resolution: Resolution | None = None
    icc_profile: bytes | None = None
    metadata: Mapping[str, bytes] = field(default_factory=dict)
