"""How large a derivative's file may become, and what gives way to that."""

from __future__ import annotations

from collections.abc import Callable

from oldphoto_core.scans.container_metadata import ContainerMetadata

LEAST_QUALITY = 50
"""No quality above this is lowered below it, whatever the size: from there on the picture suffers visibly."""

_BIGTIFF_FROM = 3_900_000_000
"""Bytes of a file from which its offsets may not fit into 32 bits, with room for directories."""
_WORST = {"lzw": 1.5, "packbits": 129 / 128}
"""Bytes per byte of what cannot be compressed: LZW takes 12 bits for 8."""


def encode_within(
    encode: Callable[[int], int], quality: int, max_bytes: int | None, container: int, warn: Callable[[str], None]
) -> None:
    """Encodes at this quality, or as little below it as makes the file no larger than it may be.

    Args:
        encode: Takes a quality and returns the bytes of the encoder's file, of which the last one counts.
        quality: Wanted, 1 to 100; 0 for a lossless coder, whose file has the size that it has.
        max_bytes: Of the whole file; None: any.
        container: Bytes of it that are not the picture's.
        warn: Called with what gave way.
    """
    last, size = quality, encode(quality)
    if not quality or max_bytes is None or size + container <= max_bytes:
        return
    chosen = lowest = min(quality, LEAST_QUALITY)
    highest = quality - 1
    while lowest <= highest:
        last = (lowest + highest) // 2
        size = encode(last)
        if size + container <= max_bytes:
            chosen, lowest = last, last + 1
        else:
            highest = last - 1
    if last != chosen:
        size = encode(chosen)
    if chosen < quality:
        warn(f"it is coded at quality {chosen} instead of {quality}, so that its file is no larger than allowed")
    if size + container > max_bytes:
        warn(f"its file is larger than the {max_bytes:,} bytes allowed, even at quality {chosen}")


def container_bytes(container: ContainerMetadata) -> int:
    """An upper bound of what this adds to a JPEG or WebP, heads of segments and chunks included."""
    pieces = [*container.metadata.values(), container.icc_profile or b""]
    return 64 + sum(len(piece) + 64 * (1 + len(piece) // 65_000) for piece in pieces)


def needs_bigtiff(pixels: int, compression: str, container: ContainerMetadata) -> bool:
    """Whether a TIFF of so many bytes of pixels may not fit into one with offsets of 32 bits, by the worst case."""
    return pixels * _WORST.get(compression, 1.0) + container_bytes(container) > _BIGTIFF_FROM
