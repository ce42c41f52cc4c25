"""How far float16 and bfloat16 are from float32, on the demo's photos by the starter weights: PSNR and levels of 255.

    python benchmarks/precision.py [--device auto] [--model starter] [--photos 8]

Photos are shown to the network with 16 bits, and compared with 16 bits, so that rounding to 8 hides nothing and adds
nothing. Scratched ones go with their masks.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measuring import each, machine
from numpy.typing import NDArray

from oldphoto_core import Restorer
from oldphoto_core.devices import resolve_device
from oldphoto_core.samples import make_collection
from oldphoto_core.scans import read_mask, read_scan
from oldphoto_core.scans.convert import to_rgb8
from oldphoto_core.storage import Bucket

REDUCED = ("float16", "bfloat16")
LEVELS = 257
"""Of 16 bits per level of 8."""
HEADER = (
    "| device | arithmetic | photos | PSNR to float32 (dB) | least of a photo | largest difference (levels of 255) |",
    "|---|---|---|---|---|---|",
)
Picture = tuple[NDArray[np.uint16], NDArray[np.bool_] | None]


def demo_photos(count: int) -> list[Picture]:
    """RGB with 16 bits, and masks of what is scratched."""
    with tempfile.TemporaryDirectory() as folder:
        source, masks = Bucket(Path(folder) / "source"), Bucket(Path(folder) / "masks")
        samples = make_collection(source, masks)[:count]
        photos = [to_rgb8(read_scan(source.read(one.key)).pixels).astype(np.uint16) * LEVELS for one in samples]
        given = [masks.read(f"{one.key}.png") if masks.info(f"{one.key}.png") else None for one in samples]
    return [
        (photo, None if data is None else read_mask(data, photo.shape[:2]))
        for photo, data in zip(photos, given, strict=True)
    ]


def restored(photos: list[Picture], model: str, device: str, precision: Any) -> list[NDArray[np.float64]]:
    """In levels of 255."""
    restorer = Restorer.load(model, device=device, precision=precision, memory=4e9)
    return [restorer.restore(*picture).astype(np.float64) / LEVELS for picture in photos]


def psnr(squares: NDArray[np.float64]) -> float:
    """Of squared differences in levels of 255."""
    return float(10 * np.log10(255**2 / max(float(squares.mean()), 1e-12)))


def distance(device: str, precision: str, exact: list[Any], given: list[Any]) -> dict[str, Any]:
    """All photos' pixels together, the worst photo, the worst pixel."""
    squares = [((one - other) ** 2).ravel() for one, other in zip(given, exact, strict=True)]
    return {
        "device": device,
        "precision": precision,
        "photos": len(exact),
        "psnr": psnr(np.concatenate(squares)),
        "worst_photo_psnr": min(psnr(one) for one in squares),
        "largest_levels": float(max(np.sqrt(one.max()) for one in squares)),
    }


def compare(device: str, model: str, count: int) -> list[dict[str, Any]]:
    """One result for each reduced precision."""
    photos = demo_photos(count)
    exact = restored(photos, model, device, "float32")
    return [distance(device, one, exact, restored(photos, model, device, one)) for one in REDUCED]


def table(results: list[dict[str, Any]]) -> str:
    """As Markdown."""
    rows = [
        f"| {machine(one['device'])} | {one['precision']} | {one['photos']} | {one['psnr']:.1f} |"
        f" {one['worst_photo_psnr']:.1f} | {one['largest_levels']:.2f} |"
        for one in results
    ]
    return "\n".join([*HEADER, *rows])


def main() -> None:
    """Prints one row a precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--photos", type=int, default=8)
    options = parser.parse_args()
    device = resolve_device(options.device)
    for results in each([("float32, float16, bfloat16", lambda: compare(device, options.model, options.photos))]):
        print(table(results))


if __name__ == "__main__":
    main()
