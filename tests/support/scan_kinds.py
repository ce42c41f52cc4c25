"""A whole file of every kind that is read, made once."""

from __future__ import annotations

import numpy as np
from scan_files import encoded, jpeg2000, photo

KINDS = {
    "jpeg": encoded(photo(3, 8), "jpeg"),
    "grey jpeg": encoded(photo(1, 8), "jpeg", Q=95),
    "progressive jpeg": encoded(photo(3, 8), "jpeg", interlace=True),
    "png": encoded(photo(3, 8), "png"),
    "16-bit png": encoded(photo(3, 16), "png"),
    "interlaced png": encoded(photo(4, 8), "png", interlace=True),
    "palette png": encoded(photo(3, 8), "png", palette=True),
    "1-bit png": encoded(photo(1, 8), "png", bitdepth=1),
    "4-bit packbits tiff": encoded(photo(1, 8), "tiff", compression="packbits", bitdepth=4, tile=True, tile_width=16),
    "fax tiff": encoded(photo(1, 8), "tiff", compression="ccittfax4", bitdepth=1, tile_height=8),
    "cmyk jpeg": encoded(photo(4, 8), "jpeg", kind="cmyk"),
    "16-bit cmyk tiff": encoded(photo(4, 16), "tiff", kind="cmyk", compression="lzw", tile=True, tile_width=16),
    "cielab tiff": encoded(photo(3, 8), "tiff", lab="labq", compression="lzw", tile_height=8),
    "16-bit cielab tiff": encoded(photo(3, 8), "tiff", lab="labs", compression="deflate", tile_height=8),
    "float tiff": encoded(photo(3, 8) / np.float32(255), "tiff", tile_height=8),
    "raw tiff": encoded(photo(3, 16), "tiff"),
    "lzw tiff": encoded(photo(3, 8), "tiff", compression="lzw", predictor="horizontal"),
    "tiled deflate bigtiff": encoded(photo(1, 16), "tiff", compression="deflate", tile=True, bigtiff=True),
    "jpeg tiff": encoded(photo(3, 8), "tiff", compression="jpeg"),
    "webp": encoded(photo(3, 8), "webp"),
    "lossless webp": encoded(photo(4, 8), "webp", lossless=True),
    "grey jpeg2000": jpeg2000(photo(1, 8)),
    "16-bit jpeg2000": jpeg2000(photo(3, 16)),
    "tiled jpeg2000": jpeg2000(photo(4, 8), tile_size=(40, 40)),
    "bare jpeg2000": jpeg2000(photo(3, 8), no_jp2=True),
}
