"""Facts of a derivative, from its making and its container: nothing in it is shown to a decoder again."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from oldphoto_core.scans.formats import HEAD, recognise
from oldphoto_core.scans.headers import reader_of, seen
from oldphoto_core.scans.scan import Scan, SpooledScan
from oldphoto_core.scans.technical_metadata import TechnicalMetadata, facts_of, profile_name
from oldphoto_core.scans.vips import srgb_profile, translated
from oldphoto_core.scans.writer import stated_header


def written_facts(file: bytes | Path, scan: Scan | SpooledScan, master: TechnicalMetadata) -> TechnicalMetadata:
    """What `read_technical_metadata` says of a file that `write_scan` or `write_spooled` made.

    Containers are read by Python that slices bytes. What C libraries would have to interpret is known: the picture is
    our own, and a decoder process has named the profile of the master.

    Args:
        file: In memory, or on this machine; one picture.
        scan: What it is derived from.
        master: Facts of the file that the scan was read from.
    """
    with translated("read"), seen(file) as data:
        format_ = recognise(data[:HEAD])
        reader = reader_of(format_)
        header = reader.read_header(data) if reader.read_header is not None else stated_header(scan, format_)
        container = reader.read_container_metadata(data)
        name = None if container.icc_profile is None else _profile_of(scan, master)
        return facts_of(header, container, name, reader.compression(data))


def _profile_of(scan: Scan | SpooledScan, master: TechnicalMetadata) -> str | None:
    """The name of the profile that goes along with the pixels of a scan."""
    return _srgb() if scan.converted in ("CMYK", "CIELab") else master.profile


@cache
def _srgb() -> str | None:
    """What the profile calls itself that colours are converted into."""
    return profile_name(srgb_profile())
