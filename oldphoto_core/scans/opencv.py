"""The seam to OpenCV's decoders, which read formats that libvips' wheel does not."""

from __future__ import annotations

import cv2
import numpy as np

from oldphoto_core.errors import UnreadableScan
from oldphoto_core.scans.scan import Pixels, ScanHeader
from oldphoto_core.scans.views import Data


def decoded(data: Data, header: ScanHeader, title: str, *, in_colour: bool = False) -> Pixels:
    """HWC of a file's pixels: grey, RGB, or RGB and alpha; of the size, channels and depth that its header states.

    Args:
        data: The file; all of it is read into memory.
        header: What is known of it.
        title: Name of its format, for messages.
        in_colour: Ask for 3 channels of 8 bits, where OpenCV would not know that these are colours.

    Raises:
        UnreadableScan: the decoder cannot make sense of it, or makes another picture of it than its header says.
    """
    # the decoder prints what is wrong with a file, and nothing else can be learned from it
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    how = cv2.IMREAD_COLOR if in_colour else cv2.IMREAD_UNCHANGED
    array = cv2.imdecode(np.frombuffer(data[:], np.uint8), how)
    wanted = (header.height, header.width, header.bands)
    if array is None or (*array.shape, 1)[:3] != wanted or array.itemsize * 8 != header.bits:
        raise UnreadableScan(f"damaged data inside a {title}: copy it again, or open it in another program")
    array = array.reshape(wanted)
    return np.ascontiguousarray(array if wanted[2] == 1 else array[..., [2, 1, 0, 3][: wanted[2]]])
