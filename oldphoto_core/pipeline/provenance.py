"""What is written down of a photo: its record and its ledger row, from all that its stages found out."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oldphoto_core.detection.finding import found_of
from oldphoto_core.errors import REASONS, FailedReason, ScanError, StorageError
from oldphoto_core.nets.nonlocal_attention import SEED
from oldphoto_core.pipeline.colour_facts import columns, tone_of
from oldphoto_core.pipeline.multipage import MASK_PAGE, DonePage, pages_of_record
from oldphoto_core.reports.record import build_record
from oldphoto_core.storage import LedgerRow

if TYPE_CHECKING:
    from oldphoto_core.pipeline.options import RestoreOptions
    from oldphoto_core.pipeline.photo_task import PhotoTask

_CONVERSIONS = {
    "CMYK": "its colours were converted into sRGB before anything else",
    "CIELab": "its colours were converted into sRGB before anything else",
    "float": "its values from 0 to 1 were made 16 bits before anything else",
}
"""What a record says of a master whose pixels are not the derivative's kind, by `Carried.converted`."""
_SPREAD = "its samples were spread over 16 bits before anything else"
"""The same of 9 to 15 bits."""

MUCH = 0.002
"""Share of a monochrome photo with colours of its own from which a warning says that they are lost."""

_OPTIONS = ("mode", "format", "max_growth", "detect", "max_damage", "colour", "tint")


def record_of(task: PhotoTask, output: str, derivative: bytes | Path) -> dict[str, Any]:
    """The record of a photo whose derivative is about to be put at `photos/<output>`; of a copy, where it failed."""
    place, photo = task.place, task.photo
    chosen = {name: getattr(place.options, name) for name in _OPTIONS}
    pages: list[dict[str, Any]] = []
    if task.error:
        # a copy is its master, byte for byte
        facts = source_facts = _facts_of_copy(task, derivative)
    elif task.multipage is not None:
        pages = pages_of_record(task.multipage, task.files, derivative)
        facts, source_facts = (next(page[part] for page in pages if page[part]) for part in ("derivative", "source"))
    else:
        assert task.source_facts is not None
        # what stands in the file is in part the master's, so decoders read it
        facts, source_facts = asdict(task.files.facts(derivative)), asdict(task.source_facts)
    return build_record(
        status="copied" if task.error else "restored",
        run_id=place.run_id,
        operator=place.operator,
        source={
            "bucket": place.source.url,
            "key": photo.key,
            "version": photo.version,
            "sha256": task.source_sha256,
            "bytes": photo.size,
            **source_facts,
        },
        derivative={**identity(f"photos/{output}", derivative, task.output_sha256), **facts},
        model={
            "name": place.restorer.name,
            "digest": place.restorer.digest,
            # registered networks need no card and choose their arithmetic themselves
            "card_digest": getattr(place.restorer, "card_digest", None),
            "precision": task.arithmetic,
            "seed": SEED,
        },
        options={**chosen, **_given(place.options), "digest": place.digest(photo)},
        mask=_mask(task),
        mask_file=None if task.error else task.mask_file,
        difference=_difference(task),
        colour=None if task.error else _first(pages, "colour") or task.colour,
        tone=None if task.error else _first(pages, "tone") or tone_of(task.measures, task.toning),
        seconds=task.seconds,
        stage_seconds=task.stage_seconds,
        device=place.restorer.device,
        warnings=_warnings(task),
        pages=pages,
        review=photo.review.as_record() if photo.review is not None and not task.error else None,
        changed_share=_known(task.multipage.changed_share) if task.multipage is not None and not task.error else None,
    )


def done_page(task: PhotoTask) -> DonePage:
    """What is to be said of the page that was just encoded."""
    assert task.multipage is not None
    assert task.source_facts is not None
    chosen = task.multipage.is_chosen
    about_page = (MASK_PAGE,) if task.multipage.header.is_mask else ()
    return DonePage(
        number=task.multipage.number,
        restored=chosen,
        megapixels=task.megapixels,
        source=asdict(task.source_facts),
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


def _given(options: RestoreOptions) -> dict[str, Any]:
    """Options that a record names only where they were given."""
    pages = {"pages": options.pages} if options.pages else {}
    chosen = {"sensitivity": options.sensitivity} if options.sensitivity != "normal" else {}
    framed = {"frame": options.frame} if options.frame != "auto" else {}
    return pages | chosen | framed | ({} if options.tone is None else {"tone": options.tone})


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


def _difference(task: PhotoTask) -> dict[str, Any] | None:
    if task.difference is None or task.error:
        return None
    it = task.difference
    return {
        "changed_share": it.changed_share,
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
    return (*said, *about_colours, *_colour_warnings(task), *task.notes)


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


def _colour_warnings(task: PhotoTask) -> tuple[str, ...]:
    """What people must know of the colours of the page that is worked on; nothing where the network's own are kept."""
    colour = task.colour
    if colour is None:
        return ()
    lost: tuple[str, ...] = ()
    if colour["restored_as"] == "monochrome" and colour["off_curve"] > MUCH:
        lost = (
            f"restored as a monochrome photo: {colour['off_curve']:.1%} of it had other colours (a stamp, a target, a"
            " border, a stain), which are lost; --colour colour keeps them",
        )
    if task.toning.get("asked") and not task.toning["network"]:
        lost = (*lost, f"--tone {task.toning['asked']:g} changed nothing: the model has no tone network")
    return (*lost, *(task.measures.warnings if task.measures is not None else ()))
