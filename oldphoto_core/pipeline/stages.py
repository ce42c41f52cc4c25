"""What is done to one photo, stage by stage; the engine decides when and in which thread.

    fetch: bytes and header -> decode: pixels and given mask -> detect: the mask that counts -> restore: the network
    -> deliver: mask, record, derivative

Of a master of several pages (`book`) each page goes from decode to deliver by itself, and the last one delivers all.

Where the pixels are, in memory or on disk, is the affair of what holds them (`held`, `spool`), what is written in which
order that of `delivery`.
"""

from __future__ import annotations

import hashlib
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from oldphoto_core.errors import TooDamaged
from oldphoto_core.inference.blending import margin_of
from oldphoto_core.inference.contracts import RestoresCanvases
from oldphoto_core.pipeline.buffers import HeldPhoto, PageOf
from oldphoto_core.pipeline.colour_facts import decision_of, toning_of
from oldphoto_core.pipeline.disk_buffer import Spool
from oldphoto_core.pipeline.memory_buffer import InMemory
from oldphoto_core.pipeline.multipage import Book, check_holds
from oldphoto_core.pipeline.outputs import label_of, put
from oldphoto_core.pipeline.photo import check_size
from oldphoto_core.pipeline.provenance import done_page, sum_up
from oldphoto_core.pipeline.thumbnails import show
from oldphoto_core.scans import photos_of

if TYPE_CHECKING:
    from oldphoto_core.pipeline.photo_task import Work

LARGE_FILE = 64 * 2**20
"""Bytes of a file from which it is fetched to disk."""


def fetch(work: Work) -> None:
    """Read the pinned version and its header; refuse what is over the network's bound before a pixel is decoded.

    A large file goes to disk at once, a small one of many pixels when its header is known.
    """
    photo, place = work.photo, work.place
    photo.check_masks()
    if photo.size > LARGE_FILE:
        work.held = spool = Spool()
        work.source_sha256 = place.source.download(photo.key, spool.master, version=photo.version)
        data = b""
    else:
        data = place.source.read(photo.key, version=photo.version)
        work.source_sha256 = hashlib.sha256(data).hexdigest()
        work.held = InMemory(data)
    header = work.held.header(work.files)
    if header.pages > 1:
        _open_book(work, data)
    else:
        work.megapixels = header.megapixels
        check_size(photo.key, header, place.restorer, place.options)
        _choose_memory_or_disk(work, data)


def _open_book(work: Work, data: bytes) -> None:
    """A master of several pages: all of them are judged, and the first one that must be decoded is next."""
    spool = work.held if isinstance(work.held, Spool) else Spool()
    if spool is not work.held:
        work.held = spool
        spool.master.write_bytes(data)
    options, key = work.place.options, work.photo.key
    headers = work.files.pages(spool.master, options.selection)
    check_holds(len(headers), options.output_format(key, "tiff"))
    chosen = photos_of(headers, options.selection)
    for number in chosen:
        check_size(f"page {number} of {key}", headers[number - 1], work.place.restorer, options)
    work.book = Book(headers, chosen, with_masks=not (work.photo.masks and work.place.mask_is_output))
    spool.master.replace(work.book.master)
    _turn_page(work)


def _turn_page(work: Work) -> None:
    """On to the next page that must be decoded, if there is any; those before it are taken over as they are."""
    assert work.book is not None
    if work.held is not None:
        work.held.discard()
        work.held = None
    work.book.take_over(work.files)
    if not work.book.number:
        return
    page = PageOf(work.book.master, work.book.number, work.book.header)
    work.megapixels = page.header.megapixels
    work.held = Spool(page) if _is_for_disk(work) else InMemory(page)


def _choose_memory_or_disk(work: Work, data: bytes) -> None:
    from_disk = _is_for_disk(work)
    if from_disk and isinstance(work.held, InMemory):
        work.held = Spool()
        work.held.master.write_bytes(data)
    elif isinstance(work.held, Spool) and not from_disk:
        spool, work.held = work.held, InMemory(work.held.master.read_bytes())
        spool.discard()


def _is_for_disk(work: Work) -> bool:
    too_large = work.megapixels > work.place.in_memory_megapixels
    return too_large and isinstance(work.place.restorer, RestoresCanvases)


def decode(work: Work) -> None:
    """Bytes to pixels; the given mask, if there is one, to a plane of the same size."""
    held = _held(work)
    held.decode(work.files)
    work.source_facts = held.facts
    if work.is_left_alone:
        return
    if work.given_mask is not None and work.place.masks is not None:
        held.take_mask(work.place.masks, work.given_mask, work.files)


def detect(work: Work) -> None:
    """What was given and what the detector finds become the mask that counts; refuse what is too damaged.

    On the thread that calls, like the network.
    """
    held, place = _held(work), work.place
    if work.is_left_alone:
        return
    if place.detector is not None:
        work.finding = held.find_damage(place.detector, place.options.detection_options, partial(_hear, work))
    work.margin = margin_of(*held.photo.shape[:2]) if place.options.mode == "scratches" else 0
    covered = held.settle_mask(work.margin)
    if place.detector is not None or work.given_mask is not None or not place.options.detect:
        work.mask_coverage = covered
    if covered > place.options.max_damage:
        show(work)
        raise TooDamaged(
            f"{covered:.1%} of {work.photo.key} is damaged, more than the {place.options.max_damage:.1%} that"
            " --max-damage allows; restore it by hand, or raise --max-damage"
        )


def restore(work: Work) -> None:
    """The network, on the thread that calls; in mode scratches only where there is something to fill."""
    held, place = _held(work), work.place
    if work.is_left_alone or (place.options.mode == "scratches" and held.mask is None):
        held.keep_master()
    else:
        held.judge_colours(place.restorer, place.options.tone_options)
        held.restore(place.restorer, partial(_hear, work))
        work.colour, work.toning = decision_of(held.colours), toning_of(held.colours)


def _hear(work: Work, done: int, total: int) -> None:
    """A part is done: the network cannot be stopped within one, but is between them."""
    work.check_time()
    if isinstance(work.held, Spool):
        work.place.on_part(work.photo.key, done, total)


def deliver(work: Work) -> None:
    """Pixels to a derivative in the target: mask, then record, then the photo itself; or to a page of one."""
    held = _held(work)
    assert held.scan is not None
    held.bring_back()
    if work.place.options.mode == "scratches":
        held.keep_intact()
    work.difference = held.difference()
    if not work.is_left_alone:
        work.measures = held.measures()
    work.notes += (*held.scan.remarks, *held.scan.left_out)
    if work.book is not None:
        _keep_page(work)
        _turn_page(work)
        if work.is_unfinished:
            return
        work.book.close_files()
        derivative: bytes | Path = work.book.derivative
        mask: bytes | Path | None = work.book.masks if work.book.with_masks else None
        sum_up(work)
    else:
        derivative = _encoded(work)
        mask = None if work.photo.masks and work.place.mask_is_output else held.encode_mask()
    put(work, derivative, mask)
    if work.book is None:
        show(work)


def _encoded(work: Work) -> bytes | Path:
    """The file of a derivative, or of a page of one."""
    held, options = _held(work), work.place.options
    assert held.scan is not None
    allowed = round(options.max_growth * work.photo.size) or None
    format_ = options.output_format(work.photo.key, held.scan.format)
    label = None if work.is_left_alone else label_of(work)
    return held.encode(format_, label, allowed, work.notes.append)


def _keep_page(work: Work) -> None:
    """Puts a page that is done into the book, and what is to be said of it."""
    assert work.book is not None
    content = _encoded(work)
    mask = _held(work).encode_mask("tiff") if work.book.with_masks and work.book.is_chosen else None
    if work.book.number == work.book.chosen[0]:
        show(work, restored=True)
    work.book.keep(done_page(work), content, mask)
    work.notes.clear()
    work.mask_coverage, work.difference, work.colour, work.measures = math.nan, None, None, None
    work.finding = None
    work.toning = {}


def _held(work: Work) -> HeldPhoto:
    assert work.held is not None
    return work.held
