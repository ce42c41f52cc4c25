"""Photos that are looked at: their files fetched, decoded to disk and kept as tiles while somebody needs them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from oldphoto_core.desk.pyramid import Pyramid
from oldphoto_core.errors import NotWhatWasSeen, OldPhotoError, ScanError, SourceMissing, StorageError
from oldphoto_core.folders import temporary_folder
from oldphoto_core.reports.record import mask_key
from oldphoto_core.reviews.corrected import stored_mask
from oldphoto_core.scans import Decoders, damage_of
from oldphoto_core.scans.metadata.plain_icc import plain_profile
from oldphoto_core.storage import Bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oldphoto_core.desk.queue import Queue, QueuedPhoto
    from oldphoto_core.scans import SpooledScan

Which = Literal["before", "after"]
MOST_OPEN = 4
"""Photos whose tiles are kept on disk; a photo of 100 megapixels takes 0.8 GB."""
_ALTERED = "the derivative was altered since the run wrote it: see oldphoto audit, or take the altered file away"


@dataclass(slots=True)
class OpenPhoto:
    """One photo as it was when somebody began to look at it."""

    id: str
    """Names its tiles: another one whenever a file of it is another one."""
    photo: QueuedPhoto
    folder: Path
    pyramids: dict[Which, Pyramid] = field(default_factory=dict)
    orientation: int = 1
    """EXIF orientation, 1 to 8, in which the page shows what is stored."""
    pages: int = 1
    """Of the master's file; of several, the first one is shown and no mask can be corrected."""
    problems: list[str] = field(default_factory=list)
    """Why a picture is missing, for people."""
    output_version: str = ""
    """Of the derivative's object, as it was checked."""
    closing: ExitStack = field(default_factory=ExitStack)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the scan as it is stored, or None where no picture of it could be made."""
        return next((pyramid.size for pyramid in self.pyramids.values()), None)

    def as_dict(self) -> dict[str, Any]:
        """What the page must know of it."""
        return {
            "id": self.id,
            "size": self.size,
            "pictures": sorted(self.pyramids),
            "orientation": self.orientation,
            "pages": self.pages,
            "problems": self.problems,
        }


class Pictures:
    """Opens photos, the last few at a time. Safe between threads; use it as a context manager."""

    def __init__(self, queue: Queue, *, source: Bucket | None = None, isolated: bool = True) -> None:
        """`source`: where masters lie now, if they were moved since the runs; `isolated` as in `Decoders`."""
        self._queue, self._source = queue, source
        self._decoders = Decoders(2, isolated=isolated)
        self._open: OrderedDict[str, OpenPhoto] = OrderedDict()
        self._opening: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def open(self, key: str) -> OpenPhoto:
        """The photo, decoded and cut into tiles unless it is already.

        Raises:
            SourceMissing: no run knows the key. What is wrong with its files is in `problems`.
        """
        photo = self._queue.photo(key)
        name = _id_of(photo)
        with self._lock:
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            if (known := self.known(name)) is not None and not self._is_altered(known):
                return known
            opened = self._opened(name, photo)
            with self._lock:
                self._close(self._open.pop(name, None))
                self._open[name] = opened
                while len(self._open) > MOST_OPEN:
                    self._close(self._open.popitem(last=False)[1])
                self._opening = {
                    each: lock for each, lock in self._opening.items() if each in self._open or lock.locked()
                }
        return opened

    def known(self, name: str) -> OpenPhoto | None:
        """A photo that is open, by its id."""
        with self._lock:
            if name in self._open:
                self._open.move_to_end(name)
            return self._open.get(name)

    def check_derivative(self, photo: QueuedPhoto, seen: str, *, may_be_gone: bool = False) -> None:
        """Raises NotWhatWasSeen unless the derivative that lies there has the digest that the reviewer saw."""
        if seen != photo.output_sha256:
            raise NotWhatWasSeen(f"{photo.key} was restored again since you looked at it: look at the new result")
        if not photo.output:
            return
        info = self._queue.target.info(photo.output)
        if info is None:
            if may_be_gone:
                return
            raise NotWhatWasSeen(f"{photo.output} is gone: send it back, or reject it")
        opened = self.known(_id_of(photo))
        if opened is not None and opened.output_version == info.version:
            return
        if self._queue.target.sha256(photo.output, version=info.version) != seen:
            raise NotWhatWasSeen(f"{photo.output}: {_ALTERED}")

    def mask(self, opened: OpenPhoto) -> NDArray[np.bool_]:
        """The mask that counts now, HW in stored order: the corrected one, else what the run took as damaged.

        Raises:
            ScanError, StorageError: it cannot be read, or has another size.
        """
        assert opened.size is not None
        width, height = opened.size
        decision = self._queue.decision(opened.photo.key)
        if decision is not None and decision.mask:
            return stored_mask(self._queue.target, opened.photo.key, decision.mask, (height, width))
        place = mask_key(opened.photo.key, paged=opened.pages > 1)
        if opened.pages > 1 or self._queue.target.info(place) is None:
            return np.zeros((height, width), bool)
        data = self._queue.target.read_inside(place)
        return damage_of(self._decoders.read_scan(data, max_pixels=width * height), (height, width))

    def close(self) -> None:
        """Remove all tiles and end the decoders."""
        with self._lock:
            while self._open:
                self._close(self._open.popitem()[1])
        self._decoders.close()

    def _opened(self, name: str, photo: QueuedPhoto) -> OpenPhoto:
        with ExitStack() as closing:
            folder = Path(closing.enter_context(temporary_folder("desk")))
            opened = OpenPhoto(name, photo, folder)
            for which, fetch in (("before", self._fetch_master), ("after", self._fetch_derivative)):
                try:
                    fetch(opened, folder / which)
                    if (folder / which).exists():
                        self._cut(opened, which)  # type: ignore[arg-type] # one of the two
                except (ScanError, StorageError, NotWhatWasSeen) as error:
                    opened.problems.append(f"{'master' if which == 'before' else 'derivative'}: {error}")
                except OSError as error:
                    opened.problems.append(
                        f"no room for the tiles of {photo.key}: {error.strerror}; name another TMPDIR"
                    )
            sizes = {pyramid.size for pyramid in opened.pyramids.values()}
            if len(sizes) > 1:
                opened.problems.append("master and derivative have different sizes: the derivative is not shown")
                del opened.pyramids["after"]
            opened.closing = closing.pop_all()
        return opened

    def _fetch_master(self, opened: OpenPhoto, path: Path) -> None:
        photo = opened.photo
        source = self._source or Bucket(self._queue.run_facts(photo.run_id).get("source") or self._queue.target.url)
        # elsewhere versions are others, and what was restored is told by its record
        source.download(photo.key, path, version=None if self._source else photo.version)

    def _fetch_derivative(self, opened: OpenPhoto, path: Path) -> None:
        photo, target = opened.photo, self._queue.target
        if not photo.output:
            return
        info = target.info(photo.output)
        if info is None:
            raise SourceMissing(f"{photo.output} is gone: restore it again")
        if target.download(photo.output, path, version=info.version, inside=True) != photo.output_sha256:
            path.unlink()
            raise NotWhatWasSeen(f"{photo.output}: {_ALTERED}")
        opened.output_version = info.version

    def _cut(self, opened: OpenPhoto, which: Which) -> None:
        folder = opened.folder / f"{which}-tiles"
        folder.mkdir()
        header = self._decoders.read_header(opened.folder / which)
        page = 1 if header.pages > 1 else None
        scan: SpooledScan = self._decoders.spool_scan(opened.folder / which, folder, page=page)
        (opened.folder / which).unlink()
        try:
            pyramid = Pyramid(folder, scan.pixels, plain_profile(scan))
        finally:
            scan.discard()
        opened.pyramids[which] = pyramid
        if which == "before" or "before" not in opened.pyramids:
            opened.orientation, opened.pages = scan.orientation, max(header.pages, 1)

    def _is_altered(self, opened: OpenPhoto) -> bool:
        """Whether its derivative is another object by now, or could not be read before."""
        photo = opened.photo
        if opened.problems:
            return True
        with suppress(OldPhotoError):
            info = self._queue.target.info(photo.output) if photo.output else None
            return (info.version if info else "") != opened.output_version
        return True

    def _close(self, opened: OpenPhoto | None) -> None:
        if opened is not None:
            opened.closing.close()

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _id_of(photo: QueuedPhoto) -> str:
    text = "\0".join((photo.key, photo.run_id, photo.version, photo.output_sha256))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
