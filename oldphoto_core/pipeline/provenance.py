"""What is written down of a photo: its record and its ledger row, from all that its stages found out."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oldphoto_core.detection.finding import found_of
from oldphoto_core.errors import REASONS, FailedReason, ScanError, StorageError
from oldphoto_core.nets.nonlocal_attention import SEED
from oldphoto_core.pipeline.colour_facts import colour_warnings, columns, tone_of
from oldphoto_core.pipeline.multipage import MASK_PAGE, DonePage, pages_of_record
from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.reports.record import SCHEMA, software_versions
from oldphoto_core.storage import LedgerRow

if TYPE_CHECKING:
    from oldphoto_core.inference.blending import Difference
    from oldphoto_core.pipeline.photo_task import PhotoTask

_CONVERSIONS = {
    "CMYK": "its colours were converted into sRGB before anything else",
    "CIELab": "its colours were converted into sRGB before anything else",
    "float": "its values from 0 to 1 were made 16 bits before anything else",
}
"""What a record says of a master whose pixels are not the derivative's kind, by `ContainerMetadata.converted`."""
_SPREAD = "its samples were spread over 16 bits before anything else"
"""The same of 9 to 15 bits."""

_ALWAYS_NAMED = ("mode", "format", "max_growth", "detect", "max_damage", "colour", "tint")
_NAMED_IF_GIVEN = ("pages", "sensitivity", "frame", "tone", "denoise")
"""Options of a record."""


def record_of(task: PhotoTask, output: str, derivative: bytes | Path) -> dict[str, Any]:
    """The record of a photo whose derivative is about to be put at `photos/<output>`; of a copy, where it failed.

    Plain values, as `reports/schemas/record-2.json` describes them.
    """
    place, photo = task.place, task.photo
    pages = pages_of_record(task.multipage) if task.multipage is not None and not task.error else []
    source_facts, facts = _facts(task, pages, derivative)
    return {
        "schema": SCHEMA,
        "status": "copied" if task.error else "restored",
        "source": {
            "bucket": place.source.url,
            "key": photo.key,
            "version": photo.version,
            "sha256": task.source_sha256,
            "bytes": photo.size,
            **source_facts,
        },
        "derivative": {**identity(f"photos/{output}", derivative, task.output_sha256), **facts},
        "model": _model(task),
        "options": {**_options(place.options), **_strength(task), "digest": place.digest(photo)},
        "mask": _mask(task),
        **_result(task, pages),
        "seconds": round(task.seconds, 3),
        "stage_seconds": {stage: round(spent, 4) for stage, spent in task.stage_seconds.items()},
        "device": place.restorer.device,
        "software": software_versions(),
        "run_id": place.run_id,
        "operator": place.operator or None,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "warnings": list(_warnings(task)),
        **({"review": photo.review.as_record()} if photo.review is not None and not task.error else {}),
        **({"pages": pages} if pages else {}),
    }


def _facts(task: PhotoTask, pages: list[dict[str, Any]], file: bytes | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of master and derivative; of several pages, those of the first one that has them."""
    if task.error:
        copied = _facts_of_copy(task, file)
        return copied, copied  # byte for byte
    if pages:
        source, derivative = (next(page[part] for page in pages if page[part]) for part in ("source", "derivative"))
        return source, derivative
    assert task.source_facts is not None
    assert task.derivative_facts is not None
    return asdict(task.source_facts), asdict(task.derivative_facts)


def _model(task: PhotoTask) -> dict[str, Any]:
    restorer = task.place.restorer
    return {
        "name": restorer.name,
        "digest": restorer.digest,
        # registered networks need no card and choose their arithmetic themselves
        "card_digest": getattr(restorer, "card_digest", None),
        "precision": task.arithmetic,
        "seed": SEED,
    }


def _options(options: RestoreOptions) -> dict[str, Any]:
    """What was asked for; some options are named only where they were given."""
    chosen = {name: getattr(options, name) for name in _ALWAYS_NAMED}
    defaults = RestoreOptions()
    return chosen | {
        name: given for name in _NAMED_IF_GIVEN if (given := getattr(options, name)) != getattr(defaults, name)
    }


def _result(task: PhotoTask, pages: list[dict[str, Any]]) -> dict[str, Any]:
    """What was made of the master; nothing of a copy."""
    if task.error:
        return dict.fromkeys(("mask_file", "changed_share", "difference", "colour", "tone"))
    whole = task.difference.changed_share if task.difference is not None else None
    return {
        "mask_file": task.mask_file,
        "changed_share": whole if task.multipage is None else _known(task.multipage.changed_share),
        "difference": _difference(task.difference),
        "colour": _first(pages, "colour") or task.colour or None,
        "tone": _first(pages, "tone") or tone_of(task.measures, task.toning) or None,
    }


def done_page(task: PhotoTask) -> DonePage:
    """What is to be said of the page that was just encoded."""
    assert task.multipage is not None
    assert task.source_facts is not None
    assert task.derivative_facts is not None
    chosen = task.multipage.is_chosen
    about_page = (MASK_PAGE,) if task.multipage.header.is_mask else ()
    return DonePage(
        number=task.multipage.number,
        restored=chosen,
        megapixels=task.megapixels,
        source=asdict(task.source_facts),
        derivative=asdict(task.derivative_facts),
        mask_coverage=_known(task.mask_coverage) if chosen else None,
        finding=task.finding if chosen else None,
        doubtful=task.doubtful if chosen else (),
        difference=task.difference if chosen else None,
        colour=task.colour if chosen else None,
        measures=task.measures if chosen else None,
        toning=task.toning if chosen else {},
        warnings=(*about_page, *_about(task)),
    )


def sum_up(task: PhotoTask) -> None:
    """What is to be said of all pages together, once they are done."""
    assert task.multipage is not None
    covered = task.multipage.mask_coverage
    task.mask_coverage = math.nan if covered is None else covered
    task.difference = task.multipage.difference
    task.notes += [f"page {page.number}: {warning}" for page in task.multipage.done for warning in page.warnings]


def _first(pages: list[dict[str, Any]], part: str) -> dict[str, Any] | None:
    """Of the first page that has it."""
    return next((page[part] for page in pages if page[part]), None)


def _strength(task: PhotoTask) -> dict[str, float]:
    """The strength that counted, where it is not all."""
    strength = task.tone_options.strength
    return {"strength": strength} if strength != 1 else {}


def identity(key: str, content: bytes | Path, sha256: str = "") -> dict[str, Any]:
    """Key, sha256 and bytes of something in the target."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    return {"key": key, "sha256": sha256 or sha256_of(content), "bytes": size}


def sha256_of(content: bytes | Path) -> str:
    """In hex."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts_of_copy(task: PhotoTask, file: bytes | Path) -> dict[str, Any]:
    """As far as the file tells; whatever it was that failed of it may fail once more, so decoders read it."""
    try:
        return asdict(task.files.facts(file))
    except ScanError:
        return {}


def _difference(it: Difference | None) -> dict[str, Any] | None:
    if it is None:
        return None
    return {
        "levels": it.peak,
        "mean": [round(mean, 6) for mean in it.means],
        "max": list(it.maxima),
        "rms": round(it.rms, 6),
        "psnr": None if math.isinf(it.psnr) else round(it.psnr, 4),
    }


def _warnings(task: PhotoTask) -> tuple[str, ...]:
    """Why it was not restored; of what was, how its pixels differ from the master's before any restoration, and what
    its file could not keep."""
    if task.error:
        return (task.complaint,)
    return tuple(task.notes) if task.multipage is not None else _about(task)


def _is(converted: str) -> str:
    if converted in _CONVERSIONS:
        return f"is {converted}: {_CONVERSIONS[converted]}"
    return f"has {converted} a channel: {_SPREAD}"


def _about(task: PhotoTask) -> tuple[str, ...]:
    converted = task.scan.converted if task.scan else None
    said = () if converted is None else (f"the master {_is(converted)}",)
    about_colours = [task.buffer.about_colours] if task.buffer and task.buffer.about_colours else []
    return (*said, *about_colours, *colour_warnings(task.colour, task.toning, task.measures), *task.notes)


def _mask(task: PhotoTask) -> dict[str, Any] | None:
    """Where the mask is from and how large it is; None where nobody looked for damage."""
    given, coverage = task.given_mask, _known(task.mask_coverage)
    if given is None and coverage is None:
        return None
    return {
        "key": given.key if given else None,
        "version": given.version if given else None,
        "detector": task.place.detector_digest or None if task.detector is not None else None,
        "widened_by": task.margin,
        "coverage": coverage,
        **({"doubtful": list(task.doubtful_pages)} if task.doubtful_pages else {}),
        **_judged(task),
    }


def _judged(task: PhotoTask) -> dict[str, Any]:
    """What the detector says of its mask; of several pages each says it for itself."""
    if task.multipage is not None:
        doubt = task.multipage.doubt
        return {} if doubt is None else {"doubt": round(doubt, 4)}
    return found_of(task.finding)


def _known(share: float) -> float | None:
    return None if math.isnan(share) else share


def ledger_row(task: PhotoTask) -> LedgerRow:
    """The ledger row of a photo that is done with."""
    detected = task.stage_seconds.get("detect", math.nan) if task.detector else math.nan
    return LedgerRow(
        key=task.photo.key,
        version=task.photo.version,
        status="failed" if task.error else "restored",
        reason=_reason(task.error) if task.error else "",
        detail=task.complaint,
        seconds=round(task.seconds, 4),
        detect_seconds=round(detected, 4),
        megapixels=round(task.multipage.megapixels if task.multipage and not task.error else task.megapixels, 6),
        mask_coverage=task.mask_coverage,
        doubt=task.doubt,
        doubtful="; ".join(task.doubtful_pages),
        changed_share=task.changed_share,
        **_colour_columns(task),
        output=task.output,
        output_sha256=task.output_sha256,
        model=task.place.restorer.digest,
        options=task.place.digest(task.photo),
    )


def _reason(error: Exception) -> FailedReason:
    # a network of somebody else's may raise kinds of its own
    if isinstance(error, ScanError | StorageError) and error.reason in REASONS["failed"]:
        return error.reason
    return "out of memory" if isinstance(error, MemoryError) else "unexpected error"


def _colour_columns(task: PhotoTask) -> dict[str, Any]:
    """Columns about colour and tone."""
    if task.error is not None:
        return {}
    done = [page for page in task.multipage.done if page.restored] if task.multipage is not None else [task]
    return columns([page.colour for page in done], [tone_of(page.measures, page.toning) for page in done])
