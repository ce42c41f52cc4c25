"""A restoration as plain values, so that it can be a flow's parameters, and the checks that need no pixel."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.inference.contracts import JudgesDamage, RestoresPhotos, detector_digest, detector_of
from oldphoto_core.inference.models import load_restorer
from oldphoto_core.inference.network_options import NetworkOptions
from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.storage import Bucket, look_up, read_key_list, take_inventory
from oldphoto_core.storage.key_list import is_stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

LONGEST_OPERATOR = 200
"""Characters."""
RESULT_FOLDERS = ("photos", "masks", "records", "runs", "lease", "reviews")


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreJob:
    """What to restore, where to, and with what. URLs are folders, `file://`, `s3://` or `memory://`."""

    source: str
    """Bucket of the masters; only ever read."""

    target: str
    """Bucket that receives photos/, masks/, records/ and runs/."""

    masks: str | None = None
    """Bucket of masks of what is damaged (white), one per photo at most."""

    reviews: bool = False
    """Whether the decisions in the target's `reviews/` count."""

    pool: str | None = None
    """Name of the pool of workers that restore the shards; None: the process that runs the job does."""

    shard_photos: int | None = None
    """At most so many photos a shard, which is what a worker takes at a time; None: 200, with a pool 50."""

    limit: int | None = None
    """At most this many files of the source, in key order."""

    operator: str = ""
    """Who is to be named in the records as having run it; empty unless given: it is never taken from the system."""

    keys: str | tuple[str, ...] | None = None
    """Only these keys of the source: themselves, or the file or URL of a list with one key a line ("-": the standard
    input); None: all."""

    warn_failure_rate: float = 0.05
    """Above this share (0 to 1) of failed photos a warning is sent, once; the run goes on."""

    network: NetworkOptions = field(default_factory=NetworkOptions)
    """Which network restores, and how it is run."""

    options: RestoreOptions = field(default_factory=RestoreOptions)
    """Mode, output format and policies."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.warn_failure_rate <= 1.0:
            raise ConfigError(f"warn_failure_rate is {self.warn_failure_rate}; give a share between 0 and 1")
        if self.shard_photos is not None and self.shard_photos < 1:
            raise ConfigError(f"shard_photos is {self.shard_photos}; give 1 or more, or leave it out")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; give 1 or more, or leave it out for everything")
        if not self.operator.isprintable() or len(self.operator) > LONGEST_OPERATOR:
            raise ConfigError(
                f"operator is {self.operator[:LONGEST_OPERATOR]!r}; give one line of {LONGEST_OPERATOR} characters at"
                " most, or leave it out"
            )
        if self.keys is not None and not self.keys:
            raise ConfigError("keys is empty; name at least one key, or leave it out for everything")
        if self.pool:
            for place in (self.source, self.target, *([self.masks] if self.masks else [])):
                if Bucket(place).scheme == "memory":
                    raise UsageError(
                        f"{place} lies in the memory of this process, where no worker of pool {self.pool} sees it"
                    )
        if self.masks is None and not self.options.detect:
            raise UsageError(
                "--masks-only uses given masks alone, and none are given; name their bucket with --masks URL"
            )

    def on(self, device: str) -> RestoreJob:
        """The same on another device."""
        return replace(self, network=replace(self.network, device=device))


DEFAULTS = RestoreJob(source="", target="")
"""What holds where nobody says: command and flow take their defaults from here. Both places are always said."""


def job_of(**choices: Any) -> RestoreJob:
    """The job of what command and flow call by flat names: the fields of a job, its network and its options together.

    `masks_only` is `detect` the other way round; `keys` may be a list.

    Raises:
        UsageError, ConfigError: a value that is refused; TypeError: a name that is none of theirs.
    """
    if "masks_only" in choices:
        choices["detect"] = not choices.pop("masks_only")
    if isinstance(choices.get("keys"), list):
        choices["keys"] = tuple(choices["keys"])
    network, options = (_taken(choices, kind) for kind in (NetworkOptions, RestoreOptions))
    return RestoreJob(**choices, network=NetworkOptions(**network), options=RestoreOptions(**options))


def _taken(choices: dict[str, Any], kind: type[NetworkOptions | RestoreOptions]) -> dict[str, Any]:
    """Those that are fields of a dataclass; they are choices no more."""
    return {each.name: choices.pop(each.name) for each in fields(kind) if each.name in choices}


def manifest_of(job: RestoreJob) -> pd.DataFrame:
    """What the job is about: its keys, or all of its source. Raises UsageError, SourceMissing, NoCredentials."""
    source = Bucket(job.source)
    if job.keys is None:
        return take_inventory(source, limit=job.limit)
    return look_up(source, _keys_of(job.keys), limit=job.limit)


def _keys_of(keys: str | tuple[str, ...]) -> Iterable[str]:
    return read_key_list(keys) if isinstance(keys, str) else keys


def check_places(job: RestoreJob, *, writable: bool = True) -> None:
    """Refuse places that cannot work, before anything is read or written; `writable`: also try to write there.

    Raises UsageError when source and target overlap or there is no list of keys, SourceMissing when there is nothing to
    restore (or no mask where masks were announced), NoCredentials, WriteFailed, UnsafeLink where the target's folder of
    runs or of its lease is a link.
    """
    source, target = Bucket(job.source), Bucket(job.target)
    if source.contains(target):
        raise UsageError(f"target {target} lies inside source {source}, where nothing is written; name a place outside")
    for folder in RESULT_FOLDERS:
        if target.join(folder).contains(source):
            raise UsageError(f"source {source} lies in {target.join(folder)}, where results go; name another target")
    for folder in ("runs", "lease"):
        target.check_destination(f"{folder}/x")
    if job.masks is not None and Bucket(job.masks) == source:
        raise UsageError(f"masks and source are both {source}; name the folder that holds the masks alone")
    if job.keys is not None and not (isinstance(job.keys, str) and is_stream(job.keys)):
        _keys_of(job.keys)  # a stream can be read only once, and that is not now
    # keys that are gone are rows of the ledger, even if nothing is left in the source
    for place in (job.source if job.keys is None else None, job.masks):
        if place is not None:
            take_inventory(Bucket(place), limit=1)  # raises where there is nothing
    if writable:
        target.check_writable()


def restorer_of(job: RestoreJob) -> RestoresPhotos:
    """The network of a job. Raises UnknownModel, DamagedWeights; UsageError when it cannot do what is asked."""
    restorer = load_restorer(job.network)
    if job.options.mode == "scratches" and job.masks is None and not detector_digest(restorer):
        raise UsageError(
            f"mode scratches fills what is found damaged, and model {restorer.name} has no detector; give masks with"
            " --masks URL, or choose --mode full"
        )
    asked = job.options.detection_options
    detector = detector_of(restorer) if job.options.detect else None
    if asked.sensitivity != "normal" and detector is not None and not isinstance(detector, JudgesDamage):
        raise UsageError(
            f"sensitivity is {asked.sensitivity}, and the detector of model {restorer.name} knows one alone;"
            " leave it out"
        )
    return restorer
