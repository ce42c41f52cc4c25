"""What is done to one photo, stage by stage; the engine decides when and in which thread.

    fetch: bytes and header -> decode: pixels and given mask -> detect: the mask that counts -> restore: the network
    -> deliver: mask, record, derivative

Where the pixels are, in memory or on disk, is the affair of what holds them (`held`, `spool`). A derivative's record is
written just before the derivative: where a derivative lies, its provenance lies too, so a run that was killed between
the two leaves nothing that a rerun cannot recognise.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import MaskMismatch, OldPhotoError, ScanTooLarge, StorageError, TooDamaged
from oldphoto_core.reports.record import build_record, encode_record, software_versions
from oldphoto_core.restoration.blending import margin_of
from oldphoto_core.restoration.held import HeldPhoto, InMemory
from oldphoto_core.restoration.photo import RestoresCanvases
from oldphoto_core.restoration.spool import Spool
from oldphoto_core.scans import Label
from oldphoto_core.storage import Bucket

if TYPE_CHECKING:
    from oldphoto_core.restoration.work import Work
    from oldphoto_core.scans import Scan, SpooledScan


LARGE_FILE = 64 * 2**20
"""Bytes of a file from which it is fetched to disk."""

_CONVERSIONS = {
    "CMYK": "its colours were converted into sRGB before anything else",
    "CIELab": "its colours were converted into sRGB before anything else",
    "float": "its values from 0 to 1 were made 16 bits before anything else",
}
"""What a record says of a master whose pixels are not the derivative's kind, by `Carried.converted`."""


def fetch(work: Work) -> None:
    """Read the pinned version and its header; refuse what is over the network's bound before a pixel is decoded.

    A large file goes to disk at once, a small one of many pixels when its header is known.
    """
    photo, place = work.photo, work.place
    if len(photo.masks) > 1:
        names = " and ".join(mask.key for mask in photo.masks)
        raise MaskMismatch(f"{photo.key} has {len(photo.masks)} masks, {names}; keep one of them")
    if photo.size > LARGE_FILE:
        work.held = spool = Spool()
        work.source_sha256 = place.source.download(photo.key, spool.master, version=photo.version)
        data = b""
    else:
        data = place.source.read(photo.key, version=photo.version)
        work.source_sha256 = hashlib.sha256(data).hexdigest()
        work.held = InMemory(data)
    header = work.held.header()
    work.megapixels = header.width * header.height / 1e6
    bound = place.restorer.max_megapixels
    if work.megapixels > bound:
        raise ScanTooLarge(
            f"{photo.key} has {work.megapixels:.1f} megapixels, and the bound here is {bound:.1f};"
            " reduce the scan or raise the bound"
        )
    _choose_memory_or_disk(work, data)


def _choose_memory_or_disk(work: Work, data: bytes) -> None:
    from_disk = work.megapixels > work.place.in_memory_megapixels and isinstance(work.place.restorer, RestoresCanvases)
    if from_disk and isinstance(work.held, InMemory):
        work.held = Spool()
        work.held.master.write_bytes(data)
    elif isinstance(work.held, Spool) and not from_disk:
        spool, work.held = work.held, InMemory(work.held.master.read_bytes())
        spool.discard()


def decode(work: Work) -> None:
    """Bytes to pixels; the given mask, if there is one, to a plane of the same size."""
    held = _held(work)
    held.decode()
    if work.given_mask is not None and work.place.masks is not None:
        held.take_mask(work.place.masks, work.given_mask)


def detect(work: Work) -> None:
    """What was given and what the detector finds become the mask that counts; refuse what is too damaged.

    On the thread that calls, like the network.
    """
    held, place = _held(work), work.place
    if place.detector is not None:
        held.find_damage(place.detector, partial(place.on_part, work.photo.key))
    work.margin = margin_of(*held.photo.shape[:2]) if place.options.mode == "scratches" else 0
    covered = held.settle_mask(work.margin)
    if place.detector is not None or work.given_mask is not None or not place.options.detect:
        work.mask_coverage = covered
    if covered > place.options.max_damage:
        raise TooDamaged(
            f"{covered:.1%} of {work.photo.key} is damaged, more than the {place.options.max_damage:.1%} that"
            " --max-damage allows; restore it by hand, or raise --max-damage"
        )


def restore(work: Work) -> None:
    """The network, on the thread that calls; in mode scratches only where there is something to fill."""
    held, place = _held(work), work.place
    if place.options.mode == "scratches" and held.mask is None:
        held.keep_master()
    else:
        held.restore(place.restorer, partial(place.on_part, work.photo.key))


def deliver(work: Work) -> None:
    """Pixels to a derivative in the target: mask, then record, then the photo itself."""
    target, key, options, held = work.place.target, work.photo.key, work.place.options, _held(work)
    assert held.scan is not None
    held.bring_back()
    if options.mode == "scratches":
        held.keep_intact()
    work.changed_share = held.changed_share()
    allowed = round(options.max_growth * work.photo.size) or None
    format_ = options.output_format(key, held.scan.format)
    derivative = held.encode(format_, _label(work), allowed, work.notes.append)
    work.output_sha256 = _sha256(derivative)
    if not (work.photo.masks and work.place.mask_is_output):
        mask = held.encode_mask()
        work.mask_file = {"key": f"masks/{key}.png", "sha256": _sha256(mask), "bytes": _size(mask)}
        _put(target, f"masks/{key}.png", mask)
    output = options.output_key(key)
    target.write(f"records/{key}.json", encode_record(_record(work, output, _size(derivative))))
    try:
        _put(target, f"photos/{output}", derivative)
    except StorageError:
        work.output_sha256 = ""
        with suppress(OldPhotoError):
            target.delete(f"records/{key}.json")
        raise
    work.output = f"photos/{output}"


def _held(work: Work) -> HeldPhoto:
    assert work.held is not None
    return work.held


def _label(work: Work) -> Label:
    """What the derivative itself says of its making, without its record."""
    restorer = work.place.restorer
    return Label(
        software=f"oldphoto {software_versions()['oldphoto']}",
        model=restorer.name,
        model_digest=restorer.digest,
        run_id=work.place.run_id,
        master_key=work.photo.key,
        master_sha256=work.source_sha256,
    )


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
    chosen = {name: getattr(place.options, name) for name in ("mode", "format", "max_growth", "max_damage")}
    return build_record(
        status="copied" if work.error else "restored",
        run_id=place.run_id,
        source={"bucket": place.source.url, "key": photo.key, "version": photo.version, "sha256": work.source_sha256},
        derivative={"key": f"photos/{output}", "sha256": work.output_sha256, "bytes": size, **_shape(work.scan)},
        model={"name": place.restorer.name, "digest": place.restorer.digest},
        options={**chosen, "digest": place.digest(photo)},
        mask=_mask(work),
        mask_file=None if work.error else work.mask_file,
        changed_share=_known(work.changed_share),
        seconds=work.seconds,
        stage_seconds=work.stage_seconds,
        device=place.restorer.device,
        warnings=_warnings(work),
    )


def _warnings(work: Work) -> tuple[str, ...]:
    """Why it was not restored; of what was, how its pixels differ from the master's before any restoration, and what
    its file could not keep."""
    if work.error:
        return (work.complaint,)
    converted = work.scan.converted if work.scan else None
    said = () if converted is None else (f"the master is {converted}: {_CONVERSIONS[converted]}",)
    about_colours = [work.held.about_colours] if work.held and work.held.about_colours else []
    return (*said, *about_colours, *work.notes)


def _mask(work: Work) -> dict[str, Any] | None:
    """Where the mask is from and how large it is; None where nobody looked for damage."""
    given, coverage = work.given_mask, _known(work.mask_coverage)
    if given is None and coverage is None:
        return None
    return {
        "key": given.key if given else None,
        "version": given.version if given else None,
        "detector": work.place.detector_digest or None,
        "widened_by": work.margin,
        "coverage": coverage,
    }


def _known(share: float) -> float | None:
    return None if math.isnan(share) else share


def _shape(scan: Scan | SpooledScan | None) -> dict[str, int]:
    if scan is None:
        return {}
    return {"width": scan.width, "height": scan.height, "channels": scan.channels, "bits": scan.bits}
