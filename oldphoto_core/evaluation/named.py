"""Methods by name, as studies and sheets take them: `opencv`, a rival, or a model by name, folder or URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.errors import ScanError, UsageError
from oldphoto_core.evaluation.baselines import opencv_restore
from oldphoto_core.evaluation.compare import OPENCV_STRENGTHS, Method
from oldphoto_core.evaluation.rivals import RIVALS
from oldphoto_core.inference.contracts import FindsDamage, RestoresPhotos
from oldphoto_core.inference.models import load_restorer
from oldphoto_core.inference.network_options import NetworkOptions

Photo = NDArray[np.uint8]
FindMask = Callable[[Photo], NDArray[np.bool_]]
"""image_HWC -> mask_HW, True = damaged."""

OPENCV = "opencv"


@dataclass(frozen=True, slots=True)
class NamedMethods:
    """Methods side by side, and the one detector whose mask all of them are given."""

    methods: dict[str, Method]
    find: FindMask
    detector: str
    """Name of the model whose detector finds the damage; empty: none does, and nothing is filled."""

    def restore(self, name: str, image: Photo, mask: NDArray[np.bool_]) -> Photo:
        """Return what a method makes of `image_HWC`. Raises ScanError if that has another size or type."""
        made = self.methods[name](image, mask)
        if made.shape != image.shape or made.dtype != np.uint8:
            raise ScanError(f"{name} made {made.dtype} {made.shape} of a photo of {image.shape}; leave that method out")
        return made


def named_methods(names: Sequence[str]) -> NamedMethods:
    """Load the methods of these names.

    All are given the same mask: what the detector of the first model that has one finds in a photo.

    Raises:
        UsageError: a name is given twice, or none is given.
        UnknownModel, DamagedWeights: a name is neither a method nor a model that can be loaded.
    """
    if not names or len(set(names)) < len(names):
        raise UsageError(f"the methods are {', '.join(names) or 'none'}; name each once, and at least one")
    methods: dict[str, Method] = {}
    find, detector = _nothing, ""
    for name in names:
        if name == OPENCV:
            methods[name] = partial(opencv_restore, strength=OPENCV_STRENGTHS[1])
        elif name in RIVALS:
            methods[name] = RIVALS[name][1]
        else:
            restorer = load_restorer(NetworkOptions(model=name))
            methods[name] = partial(_restored, restorer)
            if not detector and isinstance(restorer, FindsDamage) and restorer.detector_digest:
                find, detector = partial(_found, restorer), name
    return NamedMethods(methods, find, detector)


def _restored(restorer: RestoresPhotos, image: Photo, mask: NDArray[np.bool_]) -> Photo:
    return restorer.restore(image, mask if mask.any() else None)


def _found(restorer: FindsDamage, image: Photo) -> NDArray[np.bool_]:
    marks = np.zeros((*image.shape[:2], 1), np.uint8)
    restorer.find_damage(ArrayCanvas(image), ArrayCanvas(marks), _nobody)
    return marks[..., 0].astype(bool)


def _nothing(image: Photo) -> NDArray[np.bool_]:
    return np.zeros(image.shape[:2], bool)


def _nobody(_done: int, _total: int) -> None:
    """Progress that nobody looks at."""
