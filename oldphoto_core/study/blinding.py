"""What one participant is shown: photos and results in an order of their own, under names that say nothing.

Orders and names follow from the study's key and the participant, so nothing of them needs to be kept, and a server
that was killed shows a participant the same again. Two participants cannot compare names of pictures.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from dataclasses import dataclass

from oldphoto_core.study.study import Study


@dataclass(frozen=True, slots=True)
class Shown:
    """One photo as a participant sees it."""

    photo: int
    """Its number in the study."""
    original: str
    """What the picture of the photo as it is is called on the page."""
    results: dict[str, int]
    """What the results are called on the page, in the order in which they are shown -> number of the method."""

    def file(self, study: Study, name: str) -> str | None:
        """Return the file in `pictures/` that the page calls `name`; None if it calls none so."""
        photo = study.photos[self.photo]
        if name == self.original:
            return photo.shown
        method = self.results.get(name)
        return None if method is None else photo.results[method]


def photo_order(study: Study, participant: str) -> list[int]:
    """Return the numbers of all photos in the order in which this participant ranks them."""
    order = list(range(len(study.photos)))
    _dice(study, participant, "photos").shuffle(order)
    return order


def shown(study: Study, participant: str, place: int) -> Shown:
    """Return the photo at this place of the participant's order, 0 = first."""
    photo = photo_order(study, participant)[place]
    order = list(range(len(study.methods)))
    _dice(study, participant, f"results {photo}").shuffle(order)
    names = {_name(study, participant, f"{photo} {method}"): method for method in order}
    return Shown(photo, _name(study, participant, f"{photo} original"), names)


def _digest(study: Study, participant: str, what: str) -> bytes:
    message = f"{study.id}/{participant}/{what}".encode()
    return hmac.digest(bytes.fromhex(study.blinding_key), message, hashlib.sha256)


def _name(study: Study, participant: str, what: str) -> str:
    return _digest(study, participant, f"picture {what}").hex()[:32]


def _dice(study: Study, participant: str, what: str) -> random.Random:
    return random.Random(_digest(study, participant, f"order of {what}"))  # noqa: S311 # the seed is secret
