"""What a model's detector marks on photos as they are, in red, as a contact sheet to be looked at.

python benchmarks/overlays.py PHOTOS SHEET [--model starter] [--first 24]

PHOTOS   folder or URL of photos; the first --first of them in name order are shown
SHEET    the sheet, PNG or JPEG
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from oldphoto_core import Restorer
from oldphoto_core.reports.overlays import overlay_sheet
from oldphoto_core.storage import Bucket, is_image_key
from oldphoto_core.training.photos.batches import PhotoSet

JPEG_QUALITY = 88


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description="What a model's detector marks on photos, as a contact sheet.")
    parser.add_argument("photos")
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--first", type=int, default=24)
    options = parser.parse_args()
    restorer, bucket = Restorer.load(options.model), Bucket(options.photos)
    keys = sorted(entry.key for entry in bucket.list() if is_image_key(entry.key))[: options.first]
    photos = PhotoSet(bucket, keys)
    marked = []
    for key in track(keys, "photos"):
        photo = photos.photo(key)
        marked.append((Path(key).stem, photo, restorer.find(photo)))
    sheet = cv2.imdecode(np.frombuffer(overlay_sheet(marked), np.uint8), cv2.IMREAD_COLOR)
    if not cv2.imwrite(str(options.sheet), sheet, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        parser.error(f"{options.sheet} cannot be written; name a .png or .jpg in a folder that is there")
    print(f"sheet: {options.sheet}")


if __name__ == "__main__":
    main()
