"""HEIF: the row, and its files and those of AVIF: boxes around the pixels, and the pixels.

AV1 is decoded by libvips. Its wheel comes without a decoder for HEVC, which is what phones write as HEIC: pi-heif
decodes that, where it is installed. Nothing is written.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import re
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import UnreadableScan, UnsupportedScan
from oldphoto_core.scans.container_metadata import ContainerMetadata, Encoding
from oldphoto_core.scans.formats import samples
from oldphoto_core.scans.formats.file_format import FileFormat, Sample
from oldphoto_core.scans.formats.one_piece import TO_SAVE, one_piece_reader
from oldphoto_core.scans.formats.reading import Reader, cut
from oldphoto_core.scans.metadata import exif as exif_blocks
from oldphoto_core.scans.views import Data

if TYPE_CHECKING:
    from oldphoto_core.scans.scan import Pixels, ScanHeader

_AVIF, _HEIF = {b"avif", b"avis"}, {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AUXILIARY = re.compile(rb"auxC\0\0\0\0([!-~]{4,200})\0")
"""What the property of an auxiliary picture says that it is."""
_LARGEST_META = 16 * 2**20
_BANDS = {"L": 1, "RGB": 3, "RGBA": 4}
"""Channels, by the modes of pi-heif."""


def format_of(head: bytes) -> str | None:
    """Which of the two a file is that begins with these bytes; None: neither."""
    if head[4:8] != b"ftyp":
        return None
    brands = head[8 : min(len(head), max(16, struct.unpack(">I", head[:4])[0]))]
    found = {brands[:4], *(brands[at : at + 4] for at in range(8, len(brands), 4))}
    return "avif" if found & _AVIF else "heif" if found & _HEIF else None


def check_whole(data: Data) -> None:
    """Raises TruncatedScan when a box ends behind the file's end, UnreadableScan when the boxes make no sense."""
    if not {b"ftyp", b"meta"} <= {kind for kind, _, _ in _boxes(data)}:
        raise cut(data)


def _boxes(data: Data) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of every box of the file. Raises as `check_whole`."""
    at = 0
    while at < len(data):
        head = data[at : at + 16]
        if len(head) < 8:
            raise cut(data)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        elif length == 0:
            length = len(data) - at
        if length < 8:
            raise UnreadableScan(f"damaged: the box at byte {at} has {length} bytes: copy it again")
        if at + length > len(data):
            raise cut(data)
        yield kind, at, at + length
        at += length


def _left_out(data: Data) -> tuple[str, ...]:
    """What is in the file besides its picture and its transparency, for people."""
    found: dict[str, None] = {}
    for kind, start, end in _boxes(data):
        if kind == b"mpvd":
            found[f"a video (of a motion photo) ({end - start:,} bytes)"] = None
        if kind == b"meta" and end - start < _LARGEST_META:
            kinds = [named[1].decode("ascii", "replace").lower() for named in _AUXILIARY.finditer(data[start:end])]
            found |= {name: None for kind in kinds if (name := _auxiliary_name(kind))}
    return tuple(f"{name} beside the picture was left out" for name in found)


def _auxiliary_name(kind: str) -> str:
    """What an auxiliary picture is, by the URN that it states; "" for transparency, which is read."""
    if kind.endswith(("alpha", "auxid:1")):
        return ""
    if "depth" in kind or "disparity" in kind or kind.endswith("auxid:2"):
        return "a depth map"
    return "a gain map (HDR)" if "gainmap" in kind else f"an auxiliary picture ({kind})"


def read_header(data: Data) -> ScanHeader:
    """Size, channels and depth, as decoded, without decoding a pixel. Raises ScanError."""
    return _header(data, lambda image: 16 if image.format == "ushort" else 8)


def stored_header(data: Data) -> ScanHeader:
    """The same with the depth that the file has, 8, 10 or 12 bits."""
    return _header(data, _bits)


def _header(data: Data, bits: Callable[[Any], int]) -> ScanHeader:
    from oldphoto_core.scans.scan import ScanHeader

    image = _opened(data)
    return ScanHeader(format_of(data[:256]) or "heif", image.width, image.height, image.bands, bits(image))


def check_kind(data: Data) -> None:
    """Raises UnsupportedScan for several pictures and where nothing decodes it."""
    image = _opened(data)
    if _field(image, "n-pages", 1) > 1:
        raise UnsupportedScan(f"a HEIF of {image.get('n-pages')} pictures: save the one that matters by itself")
    if not _by_libvips(image) and not has_hevc():
        raise UnsupportedScan(f"a HEIC file, and pi-heif is missing: pip install 'oldphoto[heif]', or {TO_SAVE}")


def has_hevc() -> bool:
    """Whether the package that decodes HEVC is installed."""
    return importlib.util.find_spec("pi_heif") is not None


def decode(data: Data) -> Pixels:
    """HWC, uint8 or uint16 (also of 10 and 12 bits, spread over 16): RGB, or RGB and alpha; upright.

    Raises:
        UnreadableScan: the decoder cannot make sense of it, or makes another picture of it than its header says.
    """
    import numpy as np

    from oldphoto_core.scans.depths import spread
    from oldphoto_core.scans.vips import translated

    image = _opened(data)
    bits, wanted = _bits(image), (image.height, image.width, image.bands)
    with translated("decoded"):
        array = image.numpy() if _by_libvips(image) else _by_pi_heif(data, wanted[2])
    if array.shape != wanted or array.dtype != (np.uint8 if bits == 8 else np.uint16):
        raise UnreadableScan("damaged data inside a HEIF: copy it again, or open it in another program")
    # decoders put the bits of a sample into the upper ones of 16
    return spread(array >> (16 - bits), bits) if 8 < bits < 16 else np.ascontiguousarray(array)


def read_container_metadata(data: Data) -> ContainerMetadata:
    """Everything but the pixels, which are upright already, whatever EXIF says."""
    from oldphoto_core.scans.depths import bits_as_kind

    image = _opened(data)
    names = {"exif": "exif-data", "xmp": "xmp-data"}
    metadata = {name: bytes(image.get(field)) for name, field in names.items() if field in image.get_fields()}
    if "exif" in metadata:
        metadata["exif"] = exif_blocks.without_thumbnail(metadata["exif"].removeprefix(b"Exif\0\0"))
    profile = _field(image, "icc-profile-data", None)
    return ContainerMetadata(
        encoding=Encoding(lossless=False),
        left_out=_left_out(data),
        resolution=exif_blocks.resolution_of(exif_blocks.entries_of(metadata.get("exif", b""))),
        icc_profile=None if profile is None else bytes(profile),
        converted=bits_as_kind(_bits(image)),
        metadata=metadata,
    )


def compression_of(data: Data) -> str:
    """ "av1" or "hevc", or what else libheif calls it."""
    return str(_field(_opened(data), "heif-compression", "unknown"))


def _opened(data: Data) -> Any:
    from oldphoto_core.scans.vips import open_image

    return open_image(data, "heif")


def _by_libvips(image: Any) -> bool:
    return bool(_field(image, "heif-compression", "") == "av1")


def _bits(image: Any) -> int:
    return int(_field(image, "bits-per-sample", 8))


def _field(image: Any, name: str, otherwise: Any) -> Any:
    return image.get(name) if name in image.get_fields() else otherwise


def _by_pi_heif(data: Data, bands: int) -> Pixels:
    import numpy as np
    import pi_heif

    file = pi_heif.open_heif(io.BytesIO(data[:]), convert_hdr_to_8bit=False)
    picture = file[file.primary_index]
    kind, _, _ = picture.mode.partition(";")
    if kind not in _BANDS:
        raise UnsupportedScan(f"a HEIC of kind {picture.mode}: {TO_SAVE}")
    # a copy: its own memory goes with the file
    array = np.array(picture).reshape(picture.size[1], picture.size[0], _BANDS[kind])
    return np.repeat(array, bands, axis=2) if kind == "L" else array


_READER = one_piece_reader(
    "HEIF",
    check_whole=check_whole,
    read_header=read_header,
    stored_header=stored_header,
    check_kind=check_kind,
    decode=decode,
    read_container_metadata=read_container_metadata,
    compression=compression_of,
)
_SAMPLE = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAACwAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNs"
    "eAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf///9AAAAAC////0AAAAAIAAAAQcGl4"
    "aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAANG1kYXQAAAAoKAGvGSEyku4iXV+0M2PeC6/oE6C8Zue/3BvbiuLq"
    "oLMioxmQsg8S4Q=="
)
"""16 x 16 pixels, in base64: nothing that is always there makes such a file."""


def reader() -> Reader:
    """How HEIF and AVIF are read."""
    return _READER


ROW = FileFormat(
    name="heif",
    title="HEIF",
    extensions=("heic", "heif", "hif"),
    media_type="image/heic",
    recognise=lambda head: format_of(head) == "heif",
    reader=reader,
    states_length=True,
    samples=(
        Sample(
            name="HEIC",
            encode=lambda: base64.b64decode(_SAMPLE),
            instead=samples.ONLY_READ,
            wants="pi_heif heif",
        ),
    ),
)
