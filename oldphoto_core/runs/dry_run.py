"""What a restoration would do with each file, from headers alone; nothing is written, neither here nor there."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import ScanError, StorageError
from oldphoto_core.folders import temporary_folder
from oldphoto_core.inference.contracts import detector_of
from oldphoto_core.pipeline.buffers import check_mask_pages
from oldphoto_core.pipeline.multipage import check_holds
from oldphoto_core.pipeline.photo import check_size
from oldphoto_core.pipeline.threads import default_threads
from oldphoto_core.runs.estimates import BYTES_BASIS, Estimate, estimated_bytes, estimated_seconds
from oldphoto_core.runs.job import RestoreJob, check_places, restorer_of
from oldphoto_core.runs.recovery import lost_rows
from oldphoto_core.runs.run import plan_job
from oldphoto_core.scans import Decoders, HeaderProbe, ScanHeader, SparseCopy, TooScattered, photos_of
from oldphoto_core.scans.masks import check_mask_size
from oldphoto_core.scans.selection import ALL_PAGES, PageSelection
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects

if TYPE_CHECKING:
    from oldphoto_core.inference.contracts import RestoresPhotos
    from oldphoto_core.pipeline.photo import Photo
    from oldphoto_core.storage import LedgerRow
    from oldphoto_core.storage.ledger import Status

SECONDS = 60.0
"""That looking at one file may take, fetching left out, where the job allows no less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What would become of one file."""

    key: str
    """Of the source."""
    bytes: int
    status: Status
    reason: str = ""
    """As in the ledger; "not looked at" where the header alone does not tell."""
    detail: str = ""
    """For people; of a photo that would be restored, what speaks against it."""
    format: str = ""
    width: int = 0
    """Of the first page that would be restored, like the next."""
    height: int = 0
    pages: int = 1
    """Of the file, restored or not."""
    pixels: int = 0
    """Of all pages that would be restored; 0 where the header was not read."""
    output: str = ""
    """Key of the derivative in the target."""
    output_bytes: float | None = None
    """Estimated; None: not known, or none."""

    @property
    def megapixels(self) -> float:
        """Millions of pixels that would be restored."""
        return self.pixels / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What a whole restoration would do."""

    source: str
    target: str
    model: str
    device: str
    files: list[Outlook]
    seconds: Estimate
    output_bytes: Estimate
    masks: dict[str, int] = field(default_factory=dict)
    """used, without a photo; photos without a mask, where nobody but masks says what is damaged."""

    def of(self, status: Status) -> list[Outlook]:
        """The files with this outlook."""
        return [file for file in self.files if file.status == status]

    @property
    def counts(self) -> dict[str, int]:
        """found = restored + skipped + failed."""
        each = {status: len(self.of(status)) for status in ("restored", "skipped", "failed")}
        return {"found": len(self.files), **each}

    @property
    def megapixels(self) -> float:
        """Of what would be restored, as far as it is known."""
        return sum(file.megapixels for file in self.of("restored"))

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.counts, "megapixels": round(self.megapixels, 3), **asdict(self)}


def check(job: RestoreJob, on_photo: Callable[[int, int], None] = lambda _done, _total: None) -> Check:
    """Plans the job as `open_run` does and reads the header of each photo that it would restore.

    Of a file, its two ends and what its directory names are fetched, some hundred KiB; `on_photo` is called with how
    many photos were looked at, of how many. Whether the target can be written is not tried.

    Raises:
        UsageError, SourceMissing, NoCredentials, UnknownModel, DamagedWeights, RunStopped: as `open_run`.
    """
    check_places(job, writable=False)
    restorer = restorer_of(job)
    target = Bucket(job.target)
    manifest, plan = plan_job(job, restorer, lost_rows(target))
    sizes = dict(manifest[["key", "size"]].itertuples(index=False, name=None))
    files = [_settled(row, sizes[row.key]) for row in (*plan.skipped, *plan.failed)]
    with (
        temporary_folder("check") as folder,
        Decoders(default_threads(), isolated=job.options.isolate) as decoders,
    ):
        look = Look(job, restorer, Path(folder), decoders)
        for number, outlook in enumerate(map_objects(look.at, plan.photos, SMALL_THREADS), start=1):
            files.append(outlook)
            on_photo(number, len(plan.photos))
    files.sort(key=lambda file: file.key)
    return Check(
        source=Bucket(job.source).url,
        target=target.url,
        model=restorer.name,
        device=restorer.device,
        files=files,
        seconds=_seconds(target, restorer, job, files),
        output_bytes=_output_bytes(files),
        masks={
            "used": plan.masks_used,
            "without a photo": len(plan.masks_unclaimed),
            "photos without a mask": _unmasked(job, restorer, plan.photos),
        },
    )


class Look:
    """Looks at one photo after another, on several threads."""

    def __init__(self, job: RestoreJob, restorer: RestoresPhotos, folder: Path, decoders: Decoders) -> None:
        self._options, self._restorer, self._folder, self._decoders = job.options, restorer, folder, decoders
        self._source = Bucket(job.source)
        self._masks = Bucket(job.masks) if job.masks is not None else None
        self._target = Bucket(job.target)

    def at(self, photo: Photo) -> Outlook:
        """What would become of it."""
        output = f"photos/{self._options.output_key(photo.key)}"
        outlook = partial(Outlook, key=photo.key, bytes=photo.size)
        try:
            seen = self._foreseen(self._source, photo.key, photo.version, photo.size, self._options.selection)
            chosen = self._chosen(photo, seen.pages)
            self._check_masks(photo, seen.pages, chosen)
        except TooScattered as reason:
            return outlook(status="restored", reason="not looked at", detail=str(reason), output=output)
        except (ScanError, StorageError) as error:
            return outlook(status="failed", reason=error.reason, detail=" ".join(str(error).split()))
        header = seen.pages[chosen[0] - 1]
        written = self._options.output_format(photo.key, header.format)
        return outlook(
            status="restored",
            detail=seen.doubt,
            format=header.format,
            width=header.width,
            height=header.height,
            pages=len(seen.pages),
            pixels=sum(seen.pages[number - 1].width * seen.pages[number - 1].height for number in chosen),
            output=output,
            output_bytes=estimated_bytes(written, header, photo.size),
        )

    def _chosen(self, photo: Photo, pages: tuple[ScanHeader, ...]) -> tuple[int, ...]:
        """Numbers of the pages that would be restored; raises ScanError as a run would."""
        written = self._options.output_format(photo.key, pages[0].format)
        if len(pages) > 1:
            check_holds(len(pages), written)
        chosen = photos_of(pages, self._options.selection) if len(pages) > 1 else (1,)
        for number in chosen:
            name = f"page {number} of {photo.key}" if len(pages) > 1 else photo.key
            check_size(name, pages[number - 1], self._restorer, self._options)
        return chosen

    def _check_masks(self, photo: Photo, pages: tuple[ScanHeader, ...], chosen: tuple[int, ...]) -> None:
        photo.check_masks()
        for mask in photo.masks:
            place = self._target if photo.is_corrected else self._masks
            assert place is not None
            found = self._foreseen(place, mask.key, mask.version, mask.size).pages
            check_mask_pages(len(found), len(pages))
            for one, header in ((found[number - 1], pages[number - 1]) for number in chosen):
                check_mask_size(one, (header.height, header.width))

    def _foreseen(
        self, bucket: Bucket, key: str, version: str, size: int, selection: PageSelection = ALL_PAGES
    ) -> HeaderProbe:
        if not version:
            bucket.read(key, version=version)  # it was named, and could not be looked up: reading it says why
        fetch = partial(bucket.read_range, key, version=version)
        path = self._folder / secrets.token_hex(8)
        most = round(self._options.max_megapixels * 1e6)
        seconds = min(SECONDS, self._options.photo_timeout or SECONDS)
        try:
            with SparseCopy(path, size, fetch) as copy:
                return self._decoders.probe_header(copy, selection, max_pixels=most, seconds=seconds)
        finally:
            path.unlink(missing_ok=True)


def _settled(row: LedgerRow, size: int) -> Outlook:
    return Outlook(key=row.key, bytes=size, status=row.status, reason=row.reason, detail=row.detail, output=row.output)


def _seconds(target: Bucket, restorer: RestoresPhotos, job: RestoreJob, files: list[Outlook]) -> Estimate:
    if any(file.reason == "not looked at" for file in files):
        return Estimate(None, "the size of some photos is not known")
    return estimated_seconds(target, restorer, job.options, sum(file.megapixels for file in files))


def _output_bytes(files: list[Outlook]) -> Estimate:
    each = [file.output_bytes for file in files if file.status == "restored"]
    known = [size for size in each if size is not None]
    if len(known) < len(each):
        some = len(each) - len(known)
        return Estimate(None, f"{some} derivatives get a lossy format that their masters have not")
    return Estimate(sum(known), BYTES_BASIS)


def _unmasked(job: RestoreJob, restorer: RestoresPhotos, photos: list[Photo]) -> int:
    """Photos for which nobody would say what is damaged, where somebody should."""
    if job.masks is None or (job.options.detect and detector_of(restorer)):
        return 0
    return sum(not photo.masks for photo in photos)
