"""Photos that are looked at: their files fetched, decoded to disk and kept as tiles while somebody needs them.

A page of a multi-page photo is opened like a photo of its own. The pages that are open share the files they come from.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from oldphoto_core.desk.opened import OpenPhoto, Which, check_page, file_of, id_of, linked
from oldphoto_core.desk.pyramid import Pyramid
from oldphoto_core.errors import NotWhatWasSeen, OldPhotoError, ScanError, SourceMissing, StorageError, UsageError
from oldphoto_core.folders import temporary_folder
from oldphoto_core.scans import Decoders, PageSelection, photos_of
from oldphoto_core.scans.metadata.plain_icc import plain_profile
from oldphoto_core.storage import Bucket

if TYPE_CHECKING:
    from oldphoto_core.desk.queue import Queue, QueuedPhoto
    from oldphoto_core.scans import SpooledScan

MOST_OPEN = 4
"""Photos, or pages, whose tiles are kept on disk; one of 100 megapixels takes 0.8 GB."""
_ALTERED = "the derivative was altered since the run wrote it: see oldphoto audit, or take the altered file away"


class Pictures:
    """Opens photos, the last few at a time. Safe between threads; use it as a context manager."""

    def __init__(self, queue: Queue, *, source: Bucket | None = None, isolated: bool = True) -> None:
        """`source`: where masters lie now, if they were moved since the runs; `isolated` as in `Decoders`."""
        self._queue, self._source = queue, source
        self.decoders = Decoders(2, isolated=isolated)
        self._open: OrderedDict[str, OpenPhoto] = OrderedDict()
        self._opening: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def open(self, key: str, page: int = 1) -> OpenPhoto:
        """The photo, or one page of it, decoded and cut into tiles unless it is already.

        Raises:
            SourceMissing: no run knows the key. What is wrong with its files is in `problems`.
            UsageError: the photo has no such page.
        """
        photo = self._queue.photo(key)
        file = file_of(photo)
        name = id_of(file, page)
        with self._lock:
            opening = self._opening.setdefault(file, threading.Lock())
        with opening:
            if (known := self.known(name)) is not None and not self._is_altered(known):
                return known
            opened = self._opened(file, photo, page)
            with self._lock:
                self._close(self._open.pop(name, None))
                self._open[name] = opened
                while len(self._open) > MOST_OPEN:
                    self._close(self._open.popitem(last=False)[1])
                files = {each.file for each in self._open.values()}
                self._opening = {each: lock for each, lock in self._opening.items() if each in files or lock.locked()}
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
        if any(opened.output_version == info.version for opened in self._pages_of(file_of(photo))):
            return
        if self._queue.target.sha256(photo.output, version=info.version) != seen:
            raise NotWhatWasSeen(f"{photo.output}: {_ALTERED}")

    def close(self) -> None:
        """Remove all tiles and end the decoders."""
        with self._lock:
            while self._open:
                self._close(self._open.popitem()[1])
        self.decoders.close()

    def _opened(self, file: str, photo: QueuedPhoto, page: int) -> OpenPhoto:
        with ExitStack() as closing:
            folder = Path(closing.enter_context(temporary_folder("desk")))
            opened = OpenPhoto(file, photo, folder, page)
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
            check_page(opened)
            sizes = {pyramid.size for pyramid in opened.pyramids.values()}
            if len(sizes) > 1:
                opened.problems.append("master and derivative have different sizes: the derivative is not shown")
                del opened.pyramids["after"]
            opened.closing = closing.pop_all()
        return opened

    def _fetch_master(self, opened: OpenPhoto, path: Path) -> None:
        photo = opened.photo
        sound = [each for each in self._pages_of(opened.file) if not each.problems]
        if any(linked(each.folder / path.name, path) for each in sound):
            return
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
        checked = [each for each in self._pages_of(opened.file) if each.output_version == info.version]
        if any(linked(each.folder / path.name, path) for each in checked):
            opened.output_version = info.version
            return
        if target.download(photo.output, path, version=info.version, inside=True) != photo.output_sha256:
            path.unlink()
            raise NotWhatWasSeen(f"{photo.output}: {_ALTERED}")
        opened.output_version = info.version

    def _cut(self, opened: OpenPhoto, which: Which) -> None:
        path, folder = opened.folder / which, opened.folder / f"{which}-tiles"
        folder.mkdir()
        pages = max(self.decoders.read_header(path).pages, 1)
        if "before" not in opened.pyramids:
            opened.pages = pages
            check_page(opened)
        elif pages != opened.pages:
            raise NotWhatWasSeen(f"it has {pages} pages, the master {opened.pages}: restore it again")
        scan: SpooledScan = self.decoders.spool_scan(path, folder, page=opened.page if pages > 1 else None)
        try:
            if "before" not in opened.pyramids:
                self._look_at_pages(opened, path, (scan.width, scan.height))
            if pages == 1:  # of several, the others are still to come
                path.unlink()
            opened.orientation = scan.orientation if "before" not in opened.pyramids else opened.orientation
            pyramid = Pyramid(folder, scan.pixels, plain_profile(scan))
        finally:
            scan.discard()
        opened.pyramids[which] = pyramid

    def _look_at_pages(self, opened: OpenPhoto, path: Path, size: tuple[int, int]) -> None:
        """Notes the sizes of all pages, and which of them the run restores."""
        opened.sizes, opened.restored = (size,), (1,)
        if opened.pages == 1:
            return
        options = self._queue.run_facts(opened.photo.run_id).get("options", {})
        opened.sizes = opened.restored = ()
        try:
            selection = PageSelection.parse(str(options.get("pages", "")))
            headers = self.decoders.read_pages(path, selection)
        except (ScanError, UsageError) as error:
            opened.problems.append(f"no mask can be corrected: {error}")
            return
        opened.sizes = tuple((header.width, header.height) for header in headers)
        opened.restored = photos_of(headers, selection)

    def _is_altered(self, opened: OpenPhoto) -> bool:
        """Whether its derivative is another object by now, or could not be read before."""
        photo = opened.photo
        if opened.problems:
            return True
        with suppress(OldPhotoError):
            info = self._queue.target.info(photo.output) if photo.output else None
            return (info.version if info else "") != opened.output_version
        return True

    def _pages_of(self, file: str) -> list[OpenPhoto]:
        """The pages of a photo that are open."""
        with self._lock:
            return [each for each in self._open.values() if each.file == file]

    def _close(self, opened: OpenPhoto | None) -> None:
        if opened is not None:
            opened.closing.close()

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
