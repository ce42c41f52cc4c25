"""Every error this library raises on purpose, as one tree.

    OldPhotoError                     exit code 1: it could not be done
    ├── UsageError                    exit code 2: called wrongly; nothing was touched
    │   └── ConfigError               a typed config was given nonsense
    ├── ScanError                     one photo cannot be read or written: a `failed` row, the run goes on
    │   ├── UnreadableScan            not an image, or damaged beyond decoding
    │   ├── TruncatedScan             the file ends before the picture does
    │   ├── UnsupportedScan           an image of a kind that is not handled
    │   ├── ScanTooLarge              over the pixel or memory bound
    │   ├── MaskMismatch              a mask that is missing its photo's size, or given twice
    │   ├── TooDamaged                more of a photo is damaged than a machine should make up
    │   ├── CrashesDecoder            the process that decoded it died, and so did a fresh one
    │   └── TimedOut                  over the time that a photo may take
    ├── StorageError                  a bucket cannot do what was asked
    │   ├── SourceMissing             nothing at that URL, or nothing in it
    │   ├── NoCredentials             the store refused the credentials, or none were found
    │   ├── ChangedWhileReading       an object is not the version that was listed
    │   ├── UnsafeKey                 a key that would leave its bucket folder
    │   ├── WriteFailed               the store did not take, or did not keep, the bytes
    │   │   └── UnsafeLink            a link would lead a write, or the copy of an original, to another place
    │   ├── DamagedOnTheWay           bytes that do not match the checksum of their object, however often they are read
    │   ├── NoConditions              the store writes whatever the condition
    │   └── Occupied                  another process writes to that place
    ├── ModelError                    weights that cannot be used
    │   ├── UnknownModel              no model of that name
    │   ├── DamagedWeights            the file does not match its card, or its network
    │   └── RegistryRefused           a version that is there already, or a champion that moved meanwhile
    ├── ClusterAway                   the Dask cluster that was named does not answer
    ├── OrchestratorAway              whatever runs restorations does not answer
    ├── RunStopped                    a policy ended a restoration early; what was done stays, a rerun goes on
    ├── AuditFailed                   something in a target is not what was recorded, and that was to be an error
    ├── RollbackRefused               what a run wrote was altered since; nothing was removed
    ├── StudyError                    a blind study that cannot be made, served or counted
    │   └── RefusedAnswer             one answer of a participant that is not kept
    ├── ReviewError                   a decision about a photo that cannot be stored or read
    │   ├── DecidedMeanwhile          somebody else decided since the reviewer looked
    │   ├── NotWhatWasSeen            the derivative is gone, or another one than the reviewer saw
    │   └── DamagedDecision           a file that is no decision
    └── TrainingError                 a training that cannot start or go on
        ├── Diverged                  its loss ran away
        └── TooFewPhotos              too little has arrived since the last one

Third-party exceptions are translated where the library is called (scans/ for libvips and Pillow, storage/ for fsspec),
so code above those rooms only ever handles this tree.
"""

from __future__ import annotations

import errno
from typing import ClassVar, Literal, get_args

from oldphoto_core.names import visible

SkippedReason = Literal["not an image", "already restored", "output exists", "run stopped", "accepted", "rejected"]
"""Why a ledger's row is `skipped`."""

FailedReason = Literal[
    "unreadable",
    "truncated",
    "unsupported",
    "too large",
    "mask mismatch",
    "too damaged",
    "crashes the decoder",
    "timed out",
    "missing",
    "changed while reading",
    "unsafe key",
    "write failed",
    "unsafe link",
    "storage error",
    "out of memory",
    "unexpected error",
    "derivative missing",
    "no result",
]
"""Why a ledger's row is `failed`; docs/bad-input.md says what each means."""

REASONS: dict[str, frozenset[str]] = {
    "restored": frozenset({""}),
    "skipped": frozenset(get_args(SkippedReason)),
    "failed": frozenset(get_args(FailedReason)),
}
"""All reasons there are, by a row's status; no other reaches a ledger."""


class OldPhotoError(Exception):
    """Root of the tree. `str(error)` is one line that names the thing, the value and the way out."""

    exit_code = 1

    def __str__(self) -> str:
        # messages quote keys and paths, and reach terminals and logs, also inside tracebacks
        return visible(super().__str__())


class UsageError(OldPhotoError, ValueError):
    """The call itself is wrong: an unknown option value, a target inside its source."""

    exit_code = 2


class ConfigError(UsageError):
    """A config refused a value on construction."""


class ScanError(OldPhotoError):
    """One photo cannot be read, restored or written. `reason` is the ledger's word for it."""

    reason: ClassVar[FailedReason] = "unreadable"


class UnreadableScan(ScanError):
    """Not an image, or damaged beyond decoding."""


class TruncatedScan(ScanError):
    """The file ends before the picture does; a part is never restored as if it were the whole."""

    reason = "truncated"


class UnsupportedScan(ScanError):
    """An image of a kind (format, bands, depth) that this version does not handle."""

    reason = "unsupported"


class ScanTooLarge(ScanError):
    """More pixels than the bound allows."""

    reason = "too large"


class MaskMismatch(ScanError):
    """The mask given for a photo does not fit it: another size, or two candidates."""

    reason = "mask mismatch"


class TooDamaged(ScanError):
    """A photo of which more is damaged than was allowed to be filled: a person should look at it."""

    reason = "too damaged"


class CrashesDecoder(ScanError):
    """A file on which a decoder process died, and a fresh one that had read nothing else, too."""

    reason = "crashes the decoder"


class TimedOut(ScanError):
    """A photo that took longer than it may."""

    reason = "timed out"


class StorageError(OldPhotoError):
    """A bucket cannot do what was asked. `reason` is the ledger's word when it concerns one object."""

    reason: ClassVar[FailedReason] = "storage error"


class SourceMissing(StorageError):
    """Nothing exists at a URL or key."""

    reason = "missing"


class NoCredentials(StorageError):
    """The store refused the credentials, or none were found."""


class ChangedWhileReading(StorageError):
    """The object is not the version that the manifest pinned."""

    reason = "changed while reading"


class UnsafeKey(StorageError):
    """A key with `..`, an absolute path or control characters."""

    reason = "unsafe key"


class WriteFailed(StorageError):
    """The store did not take the bytes, or gave other bytes back."""

    reason: ClassVar[FailedReason] = "write failed"


class UnsafeLink(WriteFailed):
    """A link, or a folder that two places share, would lead a write to masters, or a copy to what is none."""

    reason = "unsafe link"


class DamagedOnTheWay(StorageError):
    """Bytes that are not those of their object's checksum; raised once asking again did not help."""


class NoConditions(StorageError):
    """The store takes no notice of conditions on writes, so nobody can be kept away from a place there."""


class Occupied(StorageError):
    """Another process holds the lease of a place, or took it over."""


class ModelError(OldPhotoError):
    """Weights that cannot be used."""


class UnknownModel(ModelError):
    """No model of that name; the message lists those there are."""


class DamagedWeights(ModelError):
    """The weights file does not match its card's digest, or its network's shapes."""


class RegistryRefused(ModelError):
    """The registry does not take it: that version exists, or the champion is no longer the one that was looked at."""


class ClusterAway(OldPhotoError):
    """The Dask scheduler that was named does not answer, or refuses this client."""


class OrchestratorAway(OldPhotoError):
    """Whatever runs restorations does not answer, or does not take what it is told."""


class RunStopped(OldPhotoError):
    """A policy (failure rate, first failure, existing output) ended a restoration; what was done stays."""


class AuditFailed(OldPhotoError):
    """An audit that was to end as failed on findings has some; its report lists them."""


class RollbackRefused(OldPhotoError):
    """Something that a run wrote was altered since; it is somebody's work now, and nothing was removed."""


class StudyError(OldPhotoError):
    """A blind study that cannot be made, served or counted."""


class RefusedAnswer(StudyError):
    """An answer that is not kept; what was kept before stays. The message is for the participant."""


class ReviewError(OldPhotoError):
    """A decision about a photo that cannot be stored or read; nothing was overwritten."""


class DecidedMeanwhile(ReviewError):
    """Somebody else decided about the photo since the reviewer looked at it."""


class NotWhatWasSeen(ReviewError):
    """The derivative is gone, or is another one than the reviewer saw."""


class DamagedDecision(ReviewError):
    """A file in the place of a decision that is none."""


class TrainingError(OldPhotoError):
    """A training that cannot start or go on."""


class Diverged(TrainingError):
    """The loss is no number, or far above what it was; the same settings would end the same way."""


class TooFewPhotos(TrainingError):
    """Too little has arrived since the last training, or only what was tried already."""


_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_NO_DESCRIPTORS = "too many open files"
"""What C libraries say that pass no number on."""


def is_shortage(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, says that descriptors or the system's memory ran out."""
    found: BaseException | None = error
    while found is not None:
        if (isinstance(found, OSError) and found.errno in _SHORTAGES) or _NO_DESCRIPTORS in str(found).lower():
            return True
        found = found.__cause__ or found.__context__
    return False
