"""What is done to one photo, stage by stage; the engine decides when and in which thread.

    fetch: bytes and header -> decode: pixels and mask -> restore: the network -> deliver: mask, record, derivative

A derivative's record is written just before the derivative: where a derivative lies, its provenance lies too, so a run
that was killed between the two leaves nothing that a rerun cannot recognise.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oldphoto_core.errors import MaskMismatch, OldPhotoError, ScanError, ScanTooLarge, StorageError
from oldphoto_core.reports.record import build_record, encode_record
from oldphoto_core.restoration.options import RestoreOptions
from oldphoto_core.restoration.photo import Photo, RestoresCanvases, RestoresPhotos
from oldphoto_core.restoration.spool import Spool
from oldphoto_core.scans import read_header, read_mask, read_scan, write_mask, write_scan
from oldphoto_core.storage import Bucket, LedgerRow

if TYPE_CHECKING:
    from oldphoto_core.scans import Scan, SpooledScan


LARGE_FILE = 64 * 2**20
"""Bytes of a file from which it is fetched to disk."""
DECODED_BYTES = 30
"""Per pixel of a photo in memory: 16-bit colour before and after, their difference, and the encoder's copies."""
DECODED_SHARE = 0.25
"""Of the memory that a restoration may take, what lies around the network decoded."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Everything that the photos of one call have in common."""

    restorer: RestoresPhotos
    source: Bucket
    target: Bucket
    options: RestoreOptions
    run_id: str = ""
    masks: Bucket | None = None
    on_part: Callable[[str, int, int], None] = lambda _key, _done, _total: None
    """Hears how many parts of a photo are restored, of how many."""

    @property
    def in_memory_megapixels(self) -> float:
        """Larger photos are decoded to disk. What is decoded at once is at most a share of the memory allowed."""
        allowed = getattr(self.restorer, "memory", math.inf) if self.restorer.device == "cpu" else math.inf
        return min(self.options.in_flight_megapixels, DECODED_SHARE * allowed / DECODED_BYTES / 1e6)

    @property
    def mask_is_output(self) -> bool:
        """Whether given masks already lie where this run would write them."""
        if self.masks is None:
            return False
        ours = self.target.join("masks")
        return ours.contains(self.masks) and self.masks.contains(ours)


@dataclass(slots=True)
class Work:
    """One photo on its way through the stages."""

    photo: Photo
    place: Workplace
    data: bytes = b""
    source_sha256: str = ""
    megapixels: float = 0.0
    spool: Spool | None = None
    """Where the photo lies instead of in `data`, `scan`, `mask` and `restored`, if it is too large for memory."""
    scan: Scan | None = None
    mask: np.ndarray | None = None
    restored: np.ndarray | None = None
    seconds: float = 0.0
    mask_coverage: float = math.nan
    changed_share: float = math.nan
    output: str = ""
    output_sha256: str = ""
    error: Exception | None = None

    def run(self, stage: Callable[[Work], None]) -> None:
        """Do one stage; what goes wrong becomes this photo's error and nobody else's."""
        started = time.perf_counter()
        try:
            stage(self)
        except Exception as error:
            self.error = self.error or error
        self.seconds += time.perf_counter() - started

    def let_go(self) -> None:
        """Drop pixels and bytes: after this the photo weighs nothing."""
        self.data, self.scan, self.mask, self.restored = b"", None, None, None
        if self.spool is not None:
            self.spool.discard()
            self.spool = None

    def row(self) -> LedgerRow:
        """This photo's line in the ledger."""
        return LedgerRow(
            key=self.photo.key,
            version=self.photo.version,
            status="failed" if self.error else "restored",
            reason=_reason(self.error) if self.error else "",
            detail=_detail(self.error) if self.error else "",
            seconds=round(self.seconds, 4),
            megapixels=round(self.megapixels, 6),
            mask_coverage=self.mask_coverage,
            changed_share=self.changed_share,
            output=self.output,
            output_sha256=self.output_sha256,
            model=self.place.restorer.digest,
            options=self.place.options.digest(self.photo.mask_version),
        )


def fetch(work: Work) -> None:
    """Read the pinned version and its header; refuse what is over the network's bound before a pixel is decoded.

    A large file goes to disk at once, a small one of many pixels when its header is known.
    """
    photo, place = work.photo, work.place
    if len(photo.masks) > 1:
        names = " and ".join(mask.key for mask in photo.masks)
        raise MaskMismatch(f"{photo.key} has {len(photo.masks)} masks, {names}; keep one of them")
    if photo.size > LARGE_FILE:
        work.spool = Spool()
        work.source_sha256 = place.source.download(photo.key, work.spool.master, version=photo.version)
        header = work.spool.header()
    else:
        work.data = place.source.read(photo.key, version=photo.version)
        work.source_sha256 = hashlib.sha256(work.data).hexdigest()
        header = read_header(work.data)
    work.megapixels = header.width * header.height / 1e6
    bound = place.restorer.max_megapixels
    if work.megapixels > bound:
        raise ScanTooLarge(
            f"{photo.key} has {work.megapixels:.1f} megapixels, and the bound here is {bound:.1f};"
            " reduce the scan or raise the bound"
        )
    _choose_memory_or_disk(work)


def _choose_memory_or_disk(work: Work) -> None:
    from_disk = work.megapixels > work.place.in_memory_megapixels and isinstance(work.place.restorer, RestoresCanvases)
    if from_disk and work.spool is None:
        work.spool = Spool()
        work.spool.master.write_bytes(work.data)
        work.data = b""
    elif work.spool is not None and not from_disk:
        work.data = work.spool.master.read_bytes()
        work.spool.discard()
        work.spool = None


def decode(work: Work) -> None:
    """Bytes to pixels; the mask, if there is one, to a plane of the same size."""
    given = work.photo.masks[0] if work.photo.masks and work.place.masks is not None else None
    if work.spool is not None:
        work.spool.decode()
        if given is not None and work.place.masks is not None:
            path = work.spool.folder / "given-mask"
            work.place.masks.download(given.key, path, version=given.version)
            work.mask_coverage = work.spool.decode_mask(path)
        return
    work.scan = read_scan(work.data)
    if given is not None and work.place.masks is not None:
        data = work.place.masks.read(given.key, version=given.version)
        work.mask = read_mask(data, (work.scan.height, work.scan.width))
        work.mask_coverage = float(work.mask.mean())
    work.data = b""


def restore(work: Work) -> None:
    """The network, on the thread that calls."""
    if work.spool is not None:
        restorer = work.place.restorer
        assert isinstance(restorer, RestoresCanvases)
        work.spool.restore(restorer, partial(work.place.on_part, work.photo.key))
        return
    assert work.scan is not None
    pixels = work.scan.pixels
    restored = work.place.restorer.restore(pixels, work.mask)
    if restored.shape != pixels.shape or restored.dtype != pixels.dtype:
        raise ValueError(f"the network made {restored.shape} {restored.dtype} of {pixels.shape} {pixels.dtype}")
    work.restored = restored


def deliver(work: Work) -> None:
    """Pixels to a derivative in the target: mask, then record, then the photo itself."""
    target, key, format_ = work.place.target, work.photo.key, work.place.options.format
    derivative: bytes | Path
    mask: bytes | Path | None = None
    wants_mask = not (work.photo.masks and work.place.mask_is_output)
    if work.spool is not None:
        work.changed_share = work.spool.changed_share()
        derivative = work.spool.encode(format_)
        if wants_mask:
            mask = work.spool.encode_mask()
    else:
        assert work.scan is not None
        assert work.restored is not None
        changed = (work.scan.pixels != work.restored).any(axis=2)
        work.changed_share = float(changed.mean())
        derivative = write_scan(work.scan, work.restored, format=format_)
        if wants_mask:
            mask = write_mask(work.mask if work.mask is not None else np.zeros(changed.shape, bool))
    output = work.place.options.output_key(key)
    work.output_sha256 = _sha256(derivative)
    if mask is not None:
        _put(target, f"masks/{key}.png", mask)
    target.write(f"records/{key}.json", encode_record(_record(work, output, _size(derivative))))
    try:
        _put(target, f"photos/{output}", derivative)
    except StorageError:
        work.output_sha256 = ""
        with suppress(OldPhotoError):
            target.delete(f"records/{key}.json")
        raise
    work.output = f"photos/{output}"


def _put(target: Bucket, key: str, content: bytes | Path) -> None:
    if isinstance(content, Path):
        target.upload(key, content)
    else:
        target.write(key, content)


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(content: bytes | Path) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def copy_original(work: Work) -> None:
    """Put the untouched original where the derivative would be, unless something is there already."""
    target, key = work.place.target, work.photo.key
    if target.info(f"photos/{key}") is not None:
        return
    data = work.place.source.read(key, version=work.photo.version)
    work.source_sha256 = work.output_sha256 = hashlib.sha256(data).hexdigest()
    target.write(f"records/{key}.json", encode_record(_record(work, key, len(data))))
    target.write(f"photos/{key}", data)
    work.output = f"photos/{key}"


def _record(work: Work, output: str, size: int) -> dict[str, Any]:
    place, photo = work.place, work.photo
    scan = work.spool.scan if work.spool else work.scan
    given = photo.masks[0] if len(photo.masks) == 1 else None
    return build_record(
        status="copied" if work.error else "restored",
        run_id=place.run_id,
        source={"bucket": place.source.url, "key": photo.key, "version": photo.version, "sha256": work.source_sha256},
        derivative={"key": f"photos/{output}", "sha256": work.output_sha256, "bytes": size, **_shape(scan)},
        model={"name": place.restorer.name, "digest": place.restorer.digest},
        options={"format": place.options.format, "digest": place.options.digest(photo.mask_version)},
        mask={"key": given.key, "version": given.version, "coverage": work.mask_coverage} if given else None,
        changed_share=None if math.isnan(work.changed_share) else work.changed_share,
        seconds=work.seconds,
        device=place.restorer.device,
        warnings=(_detail(work.error),) if work.error else (),
    )


def _shape(scan: Scan | SpooledScan | None) -> dict[str, int]:
    if scan is None:
        return {}
    return {"width": scan.width, "height": scan.height, "channels": scan.channels, "bits": scan.bits}


def _reason(error: Exception) -> str:
    if isinstance(error, ScanError | StorageError):
        return error.reason
    return "out of memory" if isinstance(error, MemoryError) else "unexpected error"


def _detail(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, OldPhotoError) else f"{type(error).__name__}: {text}"
