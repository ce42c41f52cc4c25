"""What is put into a target for one photo, and in which order.

A derivative's record is written just before the derivative: where a derivative lies, its provenance lies too, so a run
that was killed between the two leaves nothing that a rerun cannot recognise.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from oldphoto_core.errors import Occupied, OldPhotoError, StorageError, UnsafeLink
from oldphoto_core.pipeline.provenance import identity, record_of, sha256_of
from oldphoto_core.reports.record import encode_record, mask_key, software_versions
from oldphoto_core.scans import Label

if TYPE_CHECKING:
    from oldphoto_core.pipeline.photo_task import PhotoTask


def put(task: PhotoTask, derivative: bytes | Path, mask: bytes | Path | None) -> None:
    """Mask (unless None), record and derivative into the target.

    Raises:
        Occupied: another process may be writing there; nothing more is written or removed.
        StorageError: no record stays then.
    """
    target, key = task.place.target, task.photo.key
    task.output_sha256 = sha256_of(derivative)
    if mask is not None:
        place = mask_key(key, paged=task.multipage is not None)
        task.mask_file = identity(place, mask)
        _put(task, place, mask)
    output = task.place.options.output_key(key)
    _put(task, f"records/{key}.json", encode_record(record_of(task, output, derivative)))
    try:
        _put(task, f"photos/{output}", derivative)
    except Occupied:
        raise  # the record may be the other one's by now
    except StorageError:
        task.output_sha256 = ""
        with suppress(OldPhotoError):
            target.delete(f"records/{key}.json")
        raise
    task.output = f"photos/{output}"


def copy_original(task: PhotoTask) -> None:
    """Puts the untouched original where the derivative would be, unless something is there already.

    What a link leads to outside the source is only copied where the options say so: it may be anything that this user
    may read, and was not decoded as a picture.
    """
    target, key = task.place.target, task.photo.key
    if target.info(f"photos/{key}") is not None:
        return
    source = task.place.source
    read = source.read if task.place.options.copy_linked else source.read_inside
    try:
        data = read(key, version=task.photo.version)
    except UnsafeLink as error:
        task.not_copied = f"its original is not copied, since {error}; --copy-linked copies it"
        return
    task.source_sha256 = task.output_sha256 = hashlib.sha256(data).hexdigest()
    _put(task, f"records/{key}.json", encode_record(record_of(task, key, data)))
    _put(task, f"photos/{key}", data)
    task.output = f"photos/{key}"


def label_of(task: PhotoTask) -> Label:
    """What the derivative itself says of its making, without its record."""
    restorer = task.place.restorer
    return Label(
        software=f"oldphoto {software_versions()['oldphoto']}",
        model=restorer.name,
        model_digest=restorer.digest,
        run_id=task.place.run_id,
        master_key=task.photo.key,
        master_sha256=task.source_sha256,
    )


def _put(task: PhotoTask, key: str, content: bytes | Path) -> None:
    target = task.place.target
    task.place.callbacks.check()  # a process that was stopped meanwhile may have been replaced
    if isinstance(content, Path):
        target.upload(key, content)
    else:
        target.write(key, content)
