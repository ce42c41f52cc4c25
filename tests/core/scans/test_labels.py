"""What a derivative says of its making: read back by programs that are not ours."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import DetectingRestorer
from PIL import Image, ImageCms
from scan_files import encoded, photo
from test_scans import described

from oldphoto_core.restoration import Photo, RestoreOptions, restore_photos
from oldphoto_core.scans import Label, Scan, read_scan, spool_scan, write_scan, write_spooled
from oldphoto_core.scans.metadata.xmp import COMPOSITE, LARGEST, with_label
from oldphoto_core.storage import Bucket

LABEL = Label(
    software="oldphoto 0.1.0",
    model="starter",
    model_digest="5a" * 32,
    run_id="20261124-101500-3f2a",
    master_key="album/Æble & <Söhne>.tif",
    master_sha256="c4" * 32,
)
PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
  xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:own="http://archive.example/own/"
  xmp:CreatorTool="Scanner 3" Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/print">
 <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Grandmother, 1912</rdf:li></rdf:Alt></dc:title>
 <own:shelf>B 12/7</own:shelf>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
SAID = {
    "XMP-iptcExt:DigitalSourceType": COMPOSITE,
    "XMP-iptcExt:AISystemUsed": "oldphoto 0.1.0, model starter",
    "XMP-iptcExt:AISystemVersionUsed": "5a" * 32,
    "XMP-oldphoto:Software": "oldphoto 0.1.0",
    "XMP-oldphoto:Model": "starter",
    "XMP-oldphoto:ModelDigest": "5a" * 32,
    "XMP-oldphoto:RunID": "20261124-101500-3f2a",
    "XMP-oldphoto:MasterKey": "album/Æble & <Söhne>.tif",
    "XMP-oldphoto:MasterSHA256": "c4" * 32,
}
OF_THE_MASTER = {"XMP-dc:Title": "Grandmother, 1912", "XMP-xmp:CreatorTool": "Scanner 3", "XMP-own:Shelf": "B 12/7"}
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;'


@pytest.fixture(scope="session")
def exiftool() -> Callable[[bytes | Path], dict[str, Any]]:
    """Reads a file's metadata: group and tag -> value; a file that it warns of fails the test."""
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed: apt-get install libimage-exiftool-perl")

    def read(file: bytes | Path) -> dict[str, Any]:
        data = file if isinstance(file, bytes) else file.read_bytes()
        command = ["exiftool", "-json", "-G1", "-n", "-api", "LargeFileSupport=1", "-"]
        done = subprocess.run(command, input=data, capture_output=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)[0]
        assert not [name for name in found if name.endswith((":Warning", ":Error"))], found
        return found

    return read


def with_packet(scan: Scan, packet: bytes) -> Scan:
    return replace(scan, metadata={**scan.metadata, "xmp": packet})


def master_of(format_: str, packet: bytes = PACKET.encode()) -> bytes:
    """A file with profile, EXIF, resolution, orientation 6 and this XMP."""
    scan = with_packet(read_scan(described(format_, "in")), packet)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return write_scan(replace(scan, icc_profile=profile), scan.pixels)


@pytest.mark.parametrize("format_", ["jpeg", "png", "tiff", "webp"])
def test_another_program_reads_the_label_and_all_that_the_master_says(
    format_: str, exiftool: Callable[..., dict[str, Any]]
) -> None:
    data = master_of(format_)
    master = read_scan(data)
    derivative = write_scan(master, 255 - master.pixels, label=LABEL)
    before, after = exiftool(data), exiftool(derivative)
    assert SAID.items() <= after.items()
    assert OF_THE_MASTER.items() <= before.items()
    assert OF_THE_MASTER.items() <= after.items()
    kept = [name for name in before if name.split(":")[0] in ("IFD0", "ExifIFD", "GPS", "JFIF", "PNG-pHYs")]
    placed = {"StripOffsets", "StripByteCounts", "PhotometricInterpretation", "Compression", "RowsPerStrip"}
    assert len(kept) > 3
    for name in kept:
        assert name.split(":")[1] in placed or after[name] == before[name], name


@pytest.mark.parametrize("format_", ["jpeg", "png", "tiff", "webp"])
@pytest.mark.parametrize("packet", [PACKET.encode(), None], ids=["XMP", "no XMP"])
def test_the_label_changes_no_pixel_and_is_streamed_alike(format_: str, packet: bytes | None, tmp_path: Path) -> None:
    data = master_of(format_, packet) if packet else encoded(photo(3, 8), format_)
    scan = read_scan(data)
    labelled = write_scan(scan, scan.pixels, label=LABEL)
    with (
        Image.open(io.BytesIO(write_scan(scan, scan.pixels))) as plain,
        Image.open(io.BytesIO(labelled)) as derivative,
    ):
        assert np.array_equal(np.asarray(derivative), np.asarray(plain))
        assert derivative.info.get("icc_profile") == plain.info.get("icc_profile")
    (tmp_path / "master").write_bytes(data)
    with spool_scan(tmp_path / "master", tmp_path) as spooled:
        write_spooled(spooled, spooled.pixels, tmp_path / "derivative", label=LABEL)
    assert (tmp_path / "derivative").read_bytes() == labelled


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_packet_is_read_in_any_encoding_that_xmp_may_have(encoding: str) -> None:
    packet = PACKET.replace("\ufeff", "").encode(encoding)
    merged = with_label(packet + bytes(4), LABEL, pytest.fail).decode()
    assert "Grandmother, 1912" in merged
    assert COMPOSITE in merged


def test_a_derivative_that_is_restored_again_has_one_label() -> None:
    again = replace(LABEL, run_id="another run")
    assert with_label(with_label(PACKET.encode(), again, pytest.fail), LABEL, pytest.fail) == with_label(
        PACKET.encode(), LABEL, pytest.fail
    )


def test_all_descriptions_call_their_resource_alike() -> None:
    merged = with_label(PACKET.replace('about=""', 'about="uuid:7"').encode(), LABEL, pytest.fail).decode()
    assert merged.count('rdf:about="uuid:7"') == merged.count("<rdf:Description") == 2


def test_a_key_that_xml_cannot_hold_is_escaped(exiftool: Callable[..., dict[str, Any]]) -> None:
    scan = read_scan(encoded(photo(1, 8), "png"))
    labelled = write_scan(scan, scan.pixels, label=replace(LABEL, master_key="a\x01b\udcff.png"))
    assert exiftool(labelled)["XMP-oldphoto:MasterKey"] == "a\\u0001b\\udcff.png"


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (PACKET[:-80].encode(), "is broken"),
        (b"", "is broken"),
        (b"\xff\xff\xff", "is no UTF-8"),
        (b"<html/>", "is no XMP"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>&undefined;</x:xmpmeta>", "is broken"),
        (BOMB.encode(), "declares a document type"),
        (BOMB.encode("utf-16"), "declares a document type"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a>" * 100_000, "is broken"),
        (b" " * 10_000_000 + PACKET.encode(), "has 10,000,"),
    ],
    ids=["cut", "empty", "bytes", "HTML", "entity", "bomb", "wide bomb", "deep", "10 MB"],
)
@pytest.mark.parametrize("format_", ["tiff", "webp"])
def test_a_packet_that_cannot_be_read_is_replaced_with_a_warning(format_: str, packet: bytes, reason: str) -> None:
    scan = read_scan(encoded(photo(3, 8), format_))
    warnings: list[str] = []
    derivative = read_scan(
        write_scan(with_packet(scan, packet), scan.pixels, label=LABEL, warn=warnings.append),
    )
    assert [reason in warning for warning in warnings] == [True]
    assert derivative.metadata["xmp"] == with_label(None, LABEL, pytest.fail)


def test_a_packet_as_large_as_is_read_stays_whole() -> None:
    padded = PACKET.replace("B 12/7", "B" * (LARGEST - len(PACKET.encode()) + 6))
    assert len(padded.encode()) == LARGEST
    assert len(with_label(padded.encode(), LABEL, pytest.fail)) > LARGEST


LONG_PACKET = PACKET.replace(
    "</rdf:Description>",
    "".join(f"<own:n{number}>{'n' * 1000}</own:n{number}>" for number in range(150)) + "</rdf:Description>",
).encode()


def test_xmp_too_long_for_a_segment_of_a_jpeg_goes_on_in_further_ones(exiftool: Callable[..., dict[str, Any]]) -> None:
    scan = read_scan(master_of("tiff", LONG_PACKET))
    derivative = write_scan(scan, scan.pixels, format="jpeg", label=LABEL, warn=pytest.fail)
    found = exiftool(derivative)
    assert (SAID | OF_THE_MASTER).items() <= found.items()
    assert [found[f"XMP-own:N{number}"] for number in range(150)] == ["n" * 1000] * 150
    # the first part is all that some programs read
    assert b"oldphoto:RunID" in derivative[: derivative.index(b"http://ns.adobe.com/xmp/extension/")]
    assert read_scan(derivative).metadata.keys() == {"exif", "xmp"}


def test_a_jpeg_with_long_xmp_keeps_it_when_it_is_restored_itself(exiftool: Callable[..., dict[str, Any]]) -> None:
    scan = read_scan(master_of("tiff", LONG_PACKET))
    master = read_scan(write_scan(scan, scan.pixels, format="jpeg"))
    found = exiftool(write_scan(master, master.pixels, label=LABEL, warn=pytest.fail))
    assert (SAID | OF_THE_MASTER | {"XMP-own:N149": "n" * 1000}).items() <= found.items()


def test_an_extension_that_is_not_the_packets_own_stays_as_it_is() -> None:
    data = master_of("jpeg")
    payload = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + (4).to_bytes(4, "big") + bytes(4) + b"<a/>"
    scan = read_scan(data[:2] + b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload + data[2:])
    assert payload in scan.metadata.values()
    labelled = read_scan(write_scan(scan, scan.pixels, label=LABEL, warn=pytest.fail))
    assert payload in labelled.metadata.values()
    assert b"Grandmother, 1912" in labelled.metadata["xmp"]


def test_what_a_jpeg_cannot_hold_is_left_out_with_a_warning() -> None:
    scan = read_scan(encoded(photo(3, 8), "tiff"))
    metadata = {"exif": read_scan(described("jpeg", "in")).metadata["exif"] + bytes(70_000), "xmp": b"<x" * 40_000}
    warnings: list[str] = []
    data = write_scan(replace(scan, metadata=metadata), scan.pixels, format="jpeg", warn=warnings.append)
    assert set(read_scan(data).metadata) == set()
    assert len(warnings) == 2
    assert "EXIF of 70," in warnings[0]
    assert "XMP packet is broken" in warnings[1]


def test_compressed_xmp_of_a_png_is_read() -> None:
    data = encoded(photo(3, 8), "png")
    payload = b"XML:com.adobe.xmp\0\1\0de\0XMP\0" + zlib.compress(PACKET.encode())
    chunk = b"iTXt" + payload
    chunk = len(payload).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    scan = read_scan(data[:33] + chunk + data[33:])
    assert scan.metadata["xmp"] == PACKET.encode()
    assert not [name for name in scan.metadata if name.endswith("iTXt")]


@pytest.mark.parametrize("way", [{}, {"in_flight_megapixels": 1e-4}], ids=["in memory", "from disk"])
def test_a_restored_photo_names_its_run_its_model_and_its_master(
    way: dict[str, float], tmp_path: Path, exiftool: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "old/album").mkdir(parents=True)
    (tmp_path / "old/album/a.jpg").write_bytes(master_of("jpeg"))
    (tmp_path / "old/b.tif").write_bytes(master_of("tiff", b"<x:xmpmeta"))
    (tmp_path / "old/c.png").write_bytes(b"no photo at all")
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    photos = [Photo(item.key, item.version, item.size) for item in source.list()]
    options = RestoreOptions(on_failure="copy", **way)  # type: ignore[arg-type]
    restore_photos(DetectingRestorer(), source, target, photos, options, run_id="the run")
    for key in ("album/a.jpg", "b.tif"):
        found = exiftool(tmp_path / "new/photos" / key)
        record = json.loads((tmp_path / f"new/records/{key}.json").read_text())
        assert found["XMP-iptcExt:DigitalSourceType"] == COMPOSITE
        assert found["XMP-oldphoto:RunID"] == record["run_id"] == "the run"
        assert found["XMP-oldphoto:Software"] == f"oldphoto {record['software']['oldphoto']}"
        assert (found["XMP-oldphoto:Model"], found["XMP-oldphoto:ModelDigest"]) == ("detect", "c" * 64)
        assert found["XMP-oldphoto:MasterKey"] == record["source"]["key"] == key
        master = hashlib.sha256((tmp_path / "old" / key).read_bytes()).hexdigest()
        assert found["XMP-oldphoto:MasterSHA256"] == master
        assert [("XMP packet is broken" in warning) for warning in record["warnings"]] == [True] * (key == "b.tif")
    assert (tmp_path / "new/photos/c.png").read_bytes() == b"no photo at all"
