"""Samples of 9 to 15 bits, which scanners and phones make and no TIFF reader expects, as 16 bits."""

from __future__ import annotations

import numpy as np

from oldphoto_core.scans.scan import Pixels


def spread(samples: Pixels, bits: int) -> Pixels:
    """uint16 from 0 to 2^bits - 1 -> uint16 from 0 to 65535, to the nearest level: black and white stay so."""
    most = 2**bits - 1
    levels = ((np.arange(2**bits, dtype=np.uint32) * 65_535 + most // 2) // most).astype(np.uint16)
    # of a damaged file the decoder may give more than its header allows
    spread_out: Pixels = levels[np.minimum(samples, most)]
    return spread_out


def bits_as_kind(bits: int) -> str | None:
    """What `ContainerMetadata.converted` says of samples of so many bits; None: they are kept as they are."""
    return f"{bits} bits" if 8 < bits < 16 else None
