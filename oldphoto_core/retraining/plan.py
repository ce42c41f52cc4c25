"""What is new since the champion was trained, and what a retraining would do with it. Nothing is written here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from oldphoto_core.checkpoints import Registry, SeenPhoto, photos_of, read_card
from oldphoto_core.errors import ScanError, SourceMissing, StorageError, TooFewPhotos, TrainingError
from oldphoto_core.names import visible
from oldphoto_core.nets.presets import PRESETS
from oldphoto_core.retraining.config import RetrainConfig
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.formats import USUAL_EXTENSIONS
from oldphoto_core.storage import Bucket, ObjectInfo, is_image_key
from oldphoto_core.storage.parallel import map_objects
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import split_keys
from oldphoto_core.training.photos.reviewed import CorrectedPhoto, corrected_from, corrected_photos

FOLDER = "retraining"
"""In the registry: a folder for every challenger, promoted or not."""
PLAN, REPORT = "plan.json", "report.json"
"""Of a retraining: its first and its last file."""
DECODED_AT_ONCE = 2
"""Photos: a large scan is hundreds of megabytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All that a retraining goes by: it is written once, and a resumed retraining reads it."""

    config: RetrainConfig
    champion: str
    """NAME@VERSION that the challenger begins with and is compared with."""
    challenger: str
    """NAME@VERSION that it becomes if it is better."""
    created: str
    """ISO 8601 date: a publication that was killed is completed on another day with the same card."""
    preset: str
    partial_nonlocal: bool
    new: tuple[SeenPhoto, ...]
    """Photos of `incoming` that the champion has not seen, to train on."""
    before: tuple[SeenPhoto, ...]
    """Old photos of before, to train on as well."""
    real: tuple[SeenPhoto, ...]
    """Old photos that neither model trains on: both are judged by them."""
    clean: tuple[str, ...]
    """Keys of the clean photos to train on."""
    judges: tuple[SeenPhoto, ...]
    """Clean photos that neither model trains on."""
    left_out: tuple[tuple[str, str], ...]
    """Key and reason of what arrived and cannot be read."""
    reviewed: tuple[CorrectedPhoto, ...] = ()
    """Photos with corrected masks that neither model trains on: both are judged by them, where there are enough."""

    def stages(self) -> list[StageConfig]:
        """Settings of what is trained."""
        return self.config.stages(self.preset, self.models[0], self.champions_training)

    @property
    def champions_training(self) -> dict[str, Any]:
        """Settings of the last stage of the champion's own training, and what its card says of its networks."""
        card = read_card(self.models[0])
        last = card.training.get("joint", card.training.get("mapping", {}))
        config: dict[str, Any] = last.get("config", {})
        return config | {"partial_nonlocal": self.partial_nonlocal, "detail": card.detail}

    @property
    def place(self) -> Bucket:
        """Where it is worked on and reported."""
        return Registry(self.config.registry).bucket.join(FOLDER, self.challenger)

    @property
    def models(self) -> tuple[str, str]:
        """Where champion and challenger lie."""
        return Registry(self.config.registry).folder(self.champion).url, f"{self.place.url}/model"

    @property
    def restorations(self) -> int:
        """How many photos are judged, each by both models."""
        return 2 * len(self.config.recipes) * len(self.judges) + len(self.real) + len(self.reviewed)

    def refuse_few_judges(self) -> None:
        """TooFewPhotos if there are too few photos to judge by: then nothing could be promoted."""
        least = self.config.least_judged
        for photos, what in ((self.judges, f"clean photos of {self.config.clean}"), (self.real, "old photos")):
            if len(photos) < least:
                raise TooFewPhotos(
                    f"{len(photos)} {what} are held out and unseen by {self.champion}, {least} are needed to judge by;"
                    " add photos"
                )

    def to_json(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self) | {"config": self.config.record()}, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Plan:
        """The inverse."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(data).items()
        }
        values["config"] = RetrainConfig.from_record(values["config"])
        values["left_out"] = tuple((key, reason) for key, reason in values["left_out"])
        for name in ("new", "before", "real", "judges"):
            values[name] = tuple(SeenPhoto(**photo) for photo in values[name])
        values["reviewed"] = tuple(map(corrected_from, values.get("reviewed", ())))
        return cls(**values)

    def in_words(self) -> str:
        """For people, as Markdown."""
        config, stages = self.config, self.stages()
        share = f" ({config.new_share:.0%} of the draws)" if self.new and self.before else ""
        lines = [
            f"champion {self.champion} (preset {self.preset}), challenger {self.challenger}",
            f"{len(self.new)} photos of {config.incoming} are new to the champion and not kept to judge by; at least"
            f" {config.minimum} are asked for",
            f"trained on: {len(self.new)} new old photos{share}, {len(self.before)} of before, {len(self.clean)} clean"
            " photos",
            *(f"stage {stage.stage}: {stage.steps} steps of {stage.batch} crops of {stage.crop}, learning rate"
              f" {stage.learning_rate:g}" for stage in stages),
            f"judged by: {len(self.judges)} clean photos, degraded by {' and '.join(config.recipes)}, without and with"
            f" damage; {len(self.real)} real old photos"
            + (f"; {len(self.reviewed)} photos with corrected masks" if self.reviewed else ""),
            f"promoted if better on one set at least (intervals of {config.level:.0%} together) and on none worse by"
            f" more than {config.tolerance_psnr:g} dB, {config.tolerance_niqe:g} of NIQE,"
            f" {config.tolerance_gap:g} deviations of the gap",
        ]  # fmt: skip
        if min(len(self.judges), len(self.real)) < config.least_judged:
            lines.append(
                f"too few to judge by: at least {config.least_judged} of each are needed, or it will not begin"
            )
        if self.left_out:
            lines.append(f"left out, unreadable: {len(self.left_out)}, the first {visible(' '.join(self.left_out[0]))}")
        return "\n".join(f"- {line}" for line in lines) + "\n"


def make_plan(config: RetrainConfig) -> Plan:
    """Looks at the buckets; what the champion has seen, by key and version, is not read again.

    Raises:
        UnknownModel: the registry has no champion.
        TrainingError: the champion is no preset that can be trained.
        TooFewPhotos: fewer new ones than `minimum`, or the same that were tried already.
        SourceMissing: no photos.
    """
    registry = Registry(config.registry)
    champion = registry.exact("champion")
    place = registry.folder(champion).url
    card = read_card(place)
    if card.preset not in PRESETS:
        raise TrainingError(
            f"champion {champion} has the architecture {card.preset}, which cannot be trained further; promote a model"
            f" of preset {' or '.join(sorted(PRESETS))}"
        )
    known = photos_of(place)
    seen = {photo.sha256 for photo in known}
    found, left_out = _look(Bucket(config.incoming), known)
    earlier = _look(Bucket(config.old), known)[0] if config.old else []
    real = _unique([*found, *earlier])
    held_out = [photo for photo in real if photo.sha256 not in seen and is_held_out(photo, config.held_out_share)]
    training = [photo for photo in real if photo not in held_out]
    arrived = {photo.sha256 for photo in found} - seen
    new = tuple(photo for photo in training if photo.sha256 in arrived)
    _refuse_few(config, registry, champion, new, left_out)
    clean, judges = _clean(config, known)
    return Plan(
        config=config, champion=champion, challenger=_next(registry, champion), preset=card.preset,
        created=datetime.now(UTC).date().isoformat(),
        partial_nonlocal=card.partial_nonlocal,
        new=new, before=tuple(photo for photo in training if photo.sha256 not in arrived),
        real=_chosen(held_out, config), clean=tuple(clean), judges=_chosen(judges, config),
        left_out=tuple(left_out.items()), reviewed=_reviewed(config, seen | {photo.sha256 for photo in training}),
    )  # fmt: skip


def is_held_out(photo: SeenPhoto, share: float) -> bool:
    """Whether a photo is judged by and never trained on: a matter of its bytes, whatever arrives beside it."""
    return int(photo.sha256[:8], 16) < share * 2**32


def unfinished(config: RetrainConfig) -> Plan | None:
    """The plan of the last retraining of this registry that came to no end, if there is one."""
    folder = Registry(config.registry).bucket.join(FOLDER)
    for name in sorted(folder.folders(), reverse=True):
        if folder.info(f"{name}/{PLAN}") is not None and folder.info(f"{name}/{REPORT}") is None:
            return Plan.from_json(folder.read(f"{name}/{PLAN}"))
    return None


def digest_of(photos: Iterable[SeenPhoto]) -> str:
    """Names a set of photos, whatever their order and their places."""
    return hashlib.sha256("\n".join(sorted(photo.sha256 for photo in photos)).encode()).hexdigest()


def _reviewed(config: RetrainConfig, trained_on: set[str]) -> tuple[CorrectedPhoto, ...]:
    """Photos with corrected masks that neither model trains on; none, where they are too few to judge by."""
    if config.reviews is None:
        return ()
    photos = [each for each in corrected_photos(Bucket(config.reviews)) if each.master.sha256 not in trained_on]
    chosen = sorted(photos, key=lambda each: each.master.sha256)[: config.most_judged]
    return tuple(chosen) if len(chosen) >= config.least_judged else ()


def _refuse_few(
    config: RetrainConfig, registry: Registry, champion: str, new: Sequence[SeenPhoto], left_out: dict[str, str]
) -> None:
    # those that are kept to judge by stay unseen for ever, and are no reason to train
    if len(new) < config.minimum:
        unread = f" ({len(left_out)} more cannot be read)" if left_out else ""
        raise TooFewPhotos(
            f"{config.incoming} has {len(new)} photos to train on that {champion} has not seen{unread},"
            f" {config.minimum} are asked for; wait for more, or give a lower --minimum"
        )
    folder = registry.bucket.join(FOLDER)
    for name in () if config.again else folder.folders():
        report = json.loads(folder.read(f"{name}/{REPORT}")) if folder.info(f"{name}/{REPORT}") else {}
        if (report.get("champion"), report.get("new_sha256")) == (champion, digest_of(new)):
            raise TooFewPhotos(
                f"the same {len(new)} new photos were tried against {champion} already ({report['decision']}, see"
                f" {folder.url}/{name}); wait for more, or give --again"
            )


def _images(bucket: Bucket) -> list[ObjectInfo]:
    entries = [entry for entry in bucket.list() if is_image_key(entry.key)]
    if not entries:
        raise SourceMissing(f"{bucket.url} holds no photos ({USUAL_EXTENSIONS}); give a folder or bucket that does")
    return entries


def _look(
    bucket: Bucket, known: Iterable[SeenPhoto], only: Iterable[str] | None = None
) -> tuple[list[SeenPhoto], dict[str, str]]:
    """Every photo of a bucket, or those keys alone, with its digest; and the reasons of those that cannot be read."""
    wanted = None if only is None else set(only)
    entries = [entry for entry in _images(bucket) if wanted is None or entry.key in wanted]
    before = {(photo.key, photo.version): photo for photo in known if photo.url == bucket.url}

    def look(entry: ObjectInfo) -> SeenPhoto | str:
        if seen := before.get((entry.key, entry.version)):
            return seen
        try:
            data = bucket.read(entry.key, version=entry.version)
            read_scan(data)
        except (ScanError, StorageError) as error:
            return str(error)
        return SeenPhoto(bucket.url, entry.key, entry.version, hashlib.sha256(data).hexdigest())

    found, left_out = [], {}
    for entry, result in zip(entries, map_objects(look, entries, threads=DECODED_AT_ONCE), strict=True):
        if isinstance(result, str):
            left_out[entry.key] = result
        else:
            found.append(result)
    return _unique(found), left_out


def _clean(config: RetrainConfig, known: Sequence[SeenPhoto]) -> tuple[list[str], list[SeenPhoto]]:
    """Keys to train on, and held-out photos that the champion has not seen either."""
    bucket = Bucket(config.clean)
    training, held_out = split_keys([entry.key for entry in _images(bucket)], config.clean_holdout)
    if not held_out:
        raise SourceMissing(f"{bucket.url} has too few photos to hold any out; five of a name prefix are the least")
    seen = {photo.sha256 for photo in known}
    return training, [photo for photo in _look(bucket, known, held_out)[0] if photo.sha256 not in seen]


def _chosen(photos: Iterable[SeenPhoto], config: RetrainConfig) -> tuple[SeenPhoto, ...]:
    return tuple(sorted(sorted(photos, key=lambda photo: photo.sha256)[: config.most_judged]))


def _unique(photos: Iterable[SeenPhoto]) -> list[SeenPhoto]:
    """One of those with equal bytes."""
    return list({photo.sha256: photo for photo in sorted(photos, reverse=True)}.values())[::-1]


def _next(registry: Registry, champion: str) -> str:
    """The first number after every version and every retraining of the champion's name."""
    name = champion.partition("@")[0]
    known: list[Any] = [*registry.versions(), *registry.bucket.join(FOLDER).folders()]
    numbers = [int(each.partition("@")[2]) for each in known
               if each.partition("@")[0] == name and each.partition("@")[2].isdigit()]  # fmt: skip
    return f"{name}@{max(numbers, default=0) + 1}"
