"""What metadata, label and record of a derivative cost: milliseconds and bytes a photo, beside the network's seconds.

    python benchmarks/metadata_cost.py [--megapixels 2] [--model starter]

The master has a profile, EXIF and an XMP packet of 20 kB. `reading` takes what surrounds the master's pixels, `label`
merges XMP, `metadata` puts everything around encoded pixels, `record` is made and written to a folder. All of it is CPU
time, so that other work beside it counts little: the best of several for these, once for the network, which is shown
the colour photo of 8 bits.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from measuring import enlarged, machine, pixels_of
from PIL import Image, ImageCms

from oldphoto_core import Restorer
from oldphoto_core.reports.record import encode_record
from oldphoto_core.scans import Label, Scan, read_scan, write_scan, writer
from oldphoto_core.scans.formats import png, webp
from oldphoto_core.scans.jpeg import metadata as jpeg_metadata
from oldphoto_core.scans.tiff import tags
from oldphoto_core.storage import Bucket

RUNS = 20
PARSERS: dict[str, Any] = {"jpeg": jpeg_metadata, "png": png, "tiff": tags, "webp": webp}
LABEL = Label(
    software="oldphoto",
    model="starter",
    model_digest="0" * 64,
    run_id="run",
    master_key="a.tif",
    master_sha256="0" * 64,
)
PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:own="http://archive.example/">{}</rdf:Description></rdf:RDF></x:xmpmeta>'
).format("".join(f"<own:n{number}>{'x' * 80}</own:n{number}>" for number in range(200)))


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--megapixels", type=float, default=2.0)
    arguments.add_argument("--model", default="starter")
    chosen = arguments.parse_args()
    wide = pixels_of(enlarged(chosen.megapixels))
    narrow = (wide >> 8).astype(np.uint8)
    restorer = Restorer.load(chosen.model, device="cpu")
    restorer.restore(narrow[:512, :512])
    network = cpu_seconds(lambda: restorer.restore(narrow))
    with tempfile.TemporaryDirectory() as folder:
        record = best(lambda: write_record(Bucket(Path(folder))))
    print(f"{machine('cpu')}; {chosen.megapixels:.1f} MP; the network takes {network:.2f} s of CPU\n")
    print(
        "| format | bits | reading (ms) | label (ms) | metadata (ms) | record (ms) | of the network | label (bytes) |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for format_, pixels in (("jpeg", narrow), ("png", narrow), ("tiff", narrow), ("tiff", wide), ("webp", narrow)):
        master = master_of(format_, pixels)
        scan = read_scan(master)
        parts = [
            best(partial(PARSERS[format_].read_container_metadata, master)),
            best(partial(writer._metadata, scan, format_, LABEL, print)),
            best(partial(put_together, scan, master, format_)),
            record,
        ]
        added = len(write_scan(scan, pixels, label=LABEL)) - len(write_scan(scan, pixels))
        figures = "".join(f" {1000 * part:.2f} |" for part in parts)
        print(f"| {format_} | {scan.bits} |{figures} {sum(parts) / network:.2%} | {added:,} |")


def put_together(scan: Scan, encoded: bytes, format_: Any) -> bytes:
    """A file of encoded pixels and what the scan carries."""
    return b"".join(writer._with_carried(scan, encoded, format_))


def cpu_seconds(call: Callable[[], object]) -> float:
    """Of all threads together."""
    started = time.process_time()
    call()
    return time.process_time() - started


def best(call: Callable[[], object]) -> float:
    """CPU seconds of the cheapest of some calls."""
    return min(cpu_seconds(call) for _ in range(RUNS))


def master_of(format_: str, pixels: np.ndarray) -> bytes:
    """A file of the pixels with profile, EXIF and XMP."""
    height, width, bands = pixels.shape
    wide = pixels.dtype == np.uint16
    image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, bands, "ushort" if wide else "uchar")
    image = image.copy(interpretation="rgb16" if wide else "srgb")
    options = {"tiff": {"compression": "deflate", "predictor": "horizontal"}}.get(format_, {})
    scan: Scan = read_scan(getattr(image, f"{format_}save_buffer")(**options))
    exif = io.BytesIO()
    described = Image.Exif()
    described[315] = "A. Photographer"
    Image.new("L", (1, 1)).save(exif, "PNG", exif=described)
    metadata = {"exif": read_scan(exif.getvalue()).metadata["exif"], "xmp": PACKET.encode()}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return write_scan(replace(scan, icc_profile=profile, metadata=metadata), pixels)


def write_record(target: Bucket) -> None:
    """As long as a run's."""
    target.write("records/a.tif.json", encode_record({f"field {number}": "x" * 60 for number in range(30)}))


if __name__ == "__main__":
    main()
