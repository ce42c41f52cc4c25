"""What is done to one photo, stage by stage; the engine decides when and in which thread.

    fetch: bytes and header -> decode: pixels and given mask -> detect: the mask that counts -> restore: the network
    -> deliver: mask, record, derivative

`STAGES`, at the end, is that list. Of a master of several pages (`multipage`) each page goes from decode to deliver by
itself, and the last one delivers all. Where the pixels are, in memory or on disk, is the affair of `buffers`; what is
written in which order that of `outputs`.
"""

from __future__ import annotations

import hashlib
import math
from functools import partial
from pathlib import Path

from oldphoto_core.detection.doubtful import doubtful_of
from oldphoto_core.errors import TooDamaged
from oldphoto_core.inference.blending import margin_of
from oldphoto_core.inference.contracts import RestoresCanvases
from oldphoto_core.pipeline.buffers import PageOf, PhotoBuffer
from oldphoto_core.pipeline.colour_facts import decision_of, toning_of
from oldphoto_core.pipeline.disk_buffer import DiskBuffer
from oldphoto_core.pipeline.memory_buffer import MemoryBuffer
from oldphoto_core.pipeline.multipage import MultipageMaster, check_holds
from oldphoto_core.pipeline.outputs import copy_original, label_of, put
from oldphoto_core.pipeline.photo import check_size
from oldphoto_core.pipeline.photo_task import PhotoTask, Stage
from oldphoto_core.pipeline.provenance import done_page, sum_up
from oldphoto_core.pipeline.thumbnails import show
from oldphoto_core.scans import photos_of, written_facts

LARGE_FILE = 64 * 2**20
"""Bytes of a file from which it is fetched to disk."""


def fetch(task: PhotoTask) -> None:
    """Read the pinned version and its header; refuse what is over the network's bound before a pixel is decoded.

    A large file goes to disk at once, a small one of many pixels when its header is known.
    """
    photo, place = task.photo, task.place
    photo.check_masks()
    if photo.size > LARGE_FILE:
        task.buffer = spool = DiskBuffer()
        task.source_sha256 = place.source.download(photo.key, spool.master, version=photo.version)
        data = b""
    else:
        data = place.source.read(photo.key, version=photo.version)
        task.source_sha256 = hashlib.sha256(data).hexdigest()
        task.buffer = MemoryBuffer(data)
    header = task.buffer.header(task.files)
    if header.pages > 1:
        _open_multipage(task, data)
    else:
        task.megapixels = header.megapixels
        check_size(photo.key, header, place.restorer, place.options)
        _choose_memory_or_disk(task, data)


def _open_multipage(task: PhotoTask, data: bytes) -> None:
    """A master of several pages: all of them are judged, and the first one that must be decoded is next."""
    spool = task.buffer if isinstance(task.buffer, DiskBuffer) else DiskBuffer()
    if spool is not task.buffer:
        task.buffer = spool
        spool.master.write_bytes(data)
    options, key = task.place.options, task.photo.key
    headers = task.files.pages(spool.master, options.selection)
    check_holds(len(headers), options.output_format(key, "tiff"))
    chosen = photos_of(headers, options.selection)
    for number in chosen:
        check_size(f"page {number} of {key}", headers[number - 1], task.place.restorer, options)
    task.multipage = MultipageMaster(headers, chosen, with_masks=not task.mask_is_output)
    spool.master.replace(task.multipage.master)
    _turn_page(task)


def _turn_page(task: PhotoTask) -> None:
    """On to the next page that must be decoded, if there is any; those before it are taken over as they are."""
    assert task.multipage is not None
    if task.buffer is not None:
        task.buffer.discard()
        task.buffer = None
    task.multipage.take_over(task.files)
    if not task.multipage.number:
        return
    page = PageOf(task.multipage.master, task.multipage.number, task.multipage.header)
    task.megapixels = page.header.megapixels
    task.buffer = DiskBuffer(page) if _is_for_disk(task) else MemoryBuffer(page)


def _choose_memory_or_disk(task: PhotoTask, data: bytes) -> None:
    from_disk = _is_for_disk(task)
    if from_disk and isinstance(task.buffer, MemoryBuffer):
        task.buffer, stated = DiskBuffer(), task.buffer.stated
        task.buffer.master.write_bytes(data)
        task.buffer.stated = stated
    elif isinstance(task.buffer, DiskBuffer) and not from_disk:
        spool, task.buffer = task.buffer, MemoryBuffer(task.buffer.master.read_bytes())
        task.buffer.stated = spool.stated
        spool.discard()


def _is_for_disk(task: PhotoTask) -> bool:
    too_large = task.megapixels > task.place.in_memory_megapixels
    return too_large and isinstance(task.place.restorer, RestoresCanvases)


def decode(task: PhotoTask) -> None:
    """Bytes to pixels; the given mask, if there is one, to a plane of the same size."""
    buffer = _buffer(task)
    buffer.decode(task.files)
    task.source_facts = buffer.facts
    if task.is_left_alone:
        return
    if task.given_mask is not None and task.mask_bucket is not None:
        buffer.take_mask(task.mask_bucket, task.given_mask, task.files)


def detect(task: PhotoTask) -> None:
    """What was given and what the detector finds become the mask that counts; refuse what is too damaged.

    On the thread that calls, like the network.
    """
    buffer, place = _buffer(task), task.place
    if task.is_left_alone:
        return
    if task.detector is not None:
        task.finding = buffer.find_damage(task.detector, place.options.detection_options, partial(_on_part, task))
    task.margin = margin_of(*buffer.photo.shape[:2]) if place.options.mode == "scratches" else 0
    covered = buffer.settle_mask(task.margin, task.protected)
    if task.detector is not None or task.given_mask is not None or not place.options.detect:
        task.mask_coverage = covered
    task.doubtful = doubtful_of(buffer.mask, task.finding.doubt if task.finding else math.nan)
    if covered > place.options.max_damage:
        show(task)
        raise TooDamaged(
            f"{covered:.1%} of {task.photo.key} is damaged, more than the {place.options.max_damage:.1%} that"
            " --max-damage allows; restore it by hand, or raise --max-damage"
        )


def restore(task: PhotoTask) -> None:
    """The network, on the thread that calls; in mode scratches only where there is something to fill."""
    buffer, place = _buffer(task), task.place
    if task.is_left_alone or (place.options.mode == "scratches" and buffer.mask is None):
        buffer.keep_master()
    else:
        buffer.judge_colours(place.restorer, task.tone_options)
        buffer.restore(place.restorer, partial(_on_part, task))
        task.arithmetic = buffer.arithmetic(place.restorer)
        task.colour, task.toning = decision_of(buffer.colours), toning_of(buffer.colours)


def _on_part(task: PhotoTask, done: int, total: int) -> None:
    """A part is done: the network cannot be stopped within one, but is between them."""
    task.check_time()
    if isinstance(task.buffer, DiskBuffer):
        task.place.callbacks.on_part(task.photo.key, done, total)


def deliver(task: PhotoTask) -> None:
    """Pixels to a derivative in the target: mask, then record, then the photo itself; or to a page of one."""
    buffer = _buffer(task)
    assert buffer.scan is not None
    buffer.bring_back()
    if task.place.options.mode == "scratches":
        buffer.keep_intact()
    buffer.keep_regions(task.protected)
    task.difference = buffer.difference()
    if not task.is_left_alone:
        task.measures = buffer.measures()
    task.notes += (*buffer.scan.remarks, *buffer.scan.left_out)
    if task.multipage is not None:
        _keep_page(task)
        _turn_page(task)
        if task.is_unfinished:
            return
        task.multipage.close_files()
        derivative: bytes | Path = task.multipage.derivative
        mask: bytes | Path | None = task.multipage.masks if task.multipage.with_masks else None
        sum_up(task)
    else:
        derivative = _encoded(task)
        mask = None if task.mask_is_output else buffer.encode_mask()
    put(task, derivative, mask)
    if task.multipage is None:
        show(task)


def _encoded(task: PhotoTask) -> bytes | Path:
    """The file of a derivative, or of a page of one."""
    buffer, options = _buffer(task), task.place.options
    assert buffer.scan is not None
    allowed = round(options.max_growth * task.photo.size) or None
    format_ = options.output_format(task.photo.key, buffer.scan.format)
    label = None if task.is_left_alone else label_of(task)
    file = buffer.encode(format_, label, allowed, task.notes.append)
    assert task.source_facts is not None
    task.derivative_facts = written_facts(file, buffer.scan, task.source_facts)
    return file


def _keep_page(task: PhotoTask) -> None:
    """Puts a page that is done into the multi-page derivative, with the facts for its record."""
    assert task.multipage is not None
    content = _encoded(task)
    mask = _buffer(task).encode_mask("tiff") if task.multipage.with_masks and task.multipage.is_chosen else None
    if task.multipage.number == task.multipage.chosen[0]:
        show(task, restored=True)
    task.multipage.keep(done_page(task), content, mask)
    task.notes.clear()
    task.mask_coverage, task.difference, task.colour, task.measures = math.nan, None, None, None
    task.finding, task.doubtful = None, ()
    task.toning = {}


def _buffer(task: PhotoTask) -> PhotoBuffer:
    assert task.buffer is not None
    return task.buffer


STAGES = (
    Stage(name="fetch", run=fetch, opens="file"),
    Stage(name="decode", run=decode, opens="pixels", priority=1),
    Stage(name="detect", run=detect, thread="network"),
    Stage(name="restore", run=restore, thread="network"),
    Stage(name="deliver", run=deliver, priority=2),
)
"""The way of every photo. After the last stage a photo may have pages left, which begin where pixels are opened."""
COPY_ORIGINAL = Stage(name="copy_original", run=copy_original, priority=2)
"""What happens to a photo that failed, where its master is to be in its place."""
