"""What a restoration would do with each file, from headers alone; nothing is written, neither here nor there."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import MaskMismatch, ScanError, ScanTooLarge, StorageError
from oldphoto_core.restoration.forecast import BYTES_BASIS, Estimate, estimated_bytes, estimated_seconds
from oldphoto_core.restoration.job import RestoreJob, check_places
from oldphoto_core.restoration.models import restorer_of
from oldphoto_core.restoration.photo import detector_of
from oldphoto_core.restoration.recovery import lost_rows
from oldphoto_core.restoration.run import plan_job
from oldphoto_core.scans import ScanHeader, SparseCopy, TooScattered, foresee
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import map_objects

if TYPE_CHECKING:
    from oldphoto_core.restoration.photo import Photo, RestoresPhotos
    from oldphoto_core.storage import LedgerRow
    from oldphoto_core.storage.ledger import Status

THREADS = 16


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
    height: int = 0
    output: str = ""
    """Key of the derivative in the target."""
    output_bytes: float | None = None
    """Estimated; None: not known, or none."""

    @property
    def megapixels(self) -> float:
        """Millions of pixels; 0 where the header was not read."""
        return self.width * self.height / 1e6


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

    Of a file, its two ends and what its directory names are fetched, some hundred KiB; `on_photo` hears how many photos
    were looked at, of how many. Whether the target can be written is not tried.

    Raises:
        UsageError, SourceMissing, NoCredentials, UnknownModel, DamagedWeights, RunStopped: as `open_run`.
    """
    check_places(job, writable=False)
    restorer = restorer_of(job)
    target = Bucket(job.target)
    manifest, plan = plan_job(job, restorer, lost_rows(target))
    sizes = dict(manifest[["key", "size"]].itertuples(index=False, name=None))
    files = [_settled(row, sizes[row.key]) for row in plan.skipped]
    with tempfile.TemporaryDirectory(prefix="oldphoto-check-") as folder:
        look = Look(job, restorer, Path(folder))
        for number, outlook in enumerate(map_objects(look.at, plan.photos, THREADS), start=1):
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

    def __init__(self, job: RestoreJob, restorer: RestoresPhotos, folder: Path) -> None:
        self._options, self._folder = job.options, folder
        self._source = Bucket(job.source)
        self._masks = Bucket(job.masks) if job.masks is not None else None
        self._most = min(restorer.max_megapixels, job.options.max_megapixels)

    def at(self, photo: Photo) -> Outlook:
        """What would become of it."""
        output = f"photos/{self._options.output_key(photo.key)}"
        outlook = partial(Outlook, key=photo.key, bytes=photo.size)
        try:
            header, doubt = self._header(self._source, photo.key, photo.version, photo.size)
            self._check(photo, header)
        except TooScattered as reason:
            return outlook(status="restored", reason="not looked at", detail=str(reason), output=output)
        except (ScanError, StorageError) as error:
            return outlook(status="failed", reason=error.reason, detail=" ".join(str(error).split()))
        written = self._options.output_format(photo.key, header.format)
        return outlook(
            status="restored",
            detail=doubt,
            format=header.format,
            width=header.width,
            height=header.height,
            output=output,
            output_bytes=estimated_bytes(written, header, photo.size),
        )

    def _check(self, photo: Photo, header: ScanHeader) -> None:
        if header.megapixels > self._most:
            raise ScanTooLarge(f"{photo.key} has {header.megapixels:.1f} megapixels, and the bound is {self._most:.1f}")
        if len(photo.masks) > 1:
            names = " and ".join(mask.key for mask in photo.masks)
            raise MaskMismatch(f"{photo.key} has {len(photo.masks)} masks, {names}; keep one of them")
        for mask in photo.masks:
            assert self._masks is not None
            found, _ = self._header(self._masks, mask.key, mask.version, mask.size)
            if (found.width, found.height) != (header.width, header.height):
                raise MaskMismatch(
                    f"the mask has {found.width} x {found.height} pixels, its photo {header.width} x {header.height}:"
                    " make it the same size"
                )

    def _header(self, bucket: Bucket, key: str, version: str, size: int) -> tuple[ScanHeader, str]:
        if not version:
            bucket.read(key, version=version)  # it was named, and could not be looked up: reading it says why
        fetch = partial(bucket.read_range, key, version=version)
        path = self._folder / secrets.token_hex(8)
        try:
            with SparseCopy(path, size, fetch) as copy:
                return foresee(copy, max_pixels=round(self._options.max_megapixels * 1e6))
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
