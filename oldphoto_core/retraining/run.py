"""A retraining step by step: planned once, trained, judged, concluded. Every step that was done is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from oldphoto_core.checkpoints import ModelCard, Registry, publish_version, read_card
from oldphoto_core.checkpoints.store import CARD
from oldphoto_core.errors import Diverged, RegistryRefused, TrainingError
from oldphoto_core.retraining.config import RetrainConfig
from oldphoto_core.retraining.judging import Verdict, judge
from oldphoto_core.retraining.plan import FOLDER, PLAN, Plan, make_plan, unfinished
from oldphoto_core.retraining.report import numbers, write_end, write_report
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.lease import Lease
from oldphoto_core.training.assembling import TRAINED, adopt, publish
from oldphoto_core.training.config import TRIPLET, StageConfig
from oldphoto_core.training.loop import Progress
from oldphoto_core.training.photos.batches import MixedPhotos, PhotoSet, Split
from oldphoto_core.training.run import train_stage

PROMOTED, KEPT, OVERTAKEN, DIVERGED = "promoted", "not promoted", "overtaken", "diverged"
"""Decisions: the challenger is champion; the champion stays; it was changed while the challenger trained; the
challenger's training ran away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a retraining ended."""

    decision: str
    champion: str
    """NAME@VERSION before it."""
    challenger: str
    report: str
    """Markdown."""
    place: str
    """URL of its folder."""


def occupied(registry: str) -> AbstractContextManager[Lease]:
    """Held while a retraining runs: a second one in the same registry gets Occupied."""
    return Lease(Registry(registry).bucket.join(FOLDER, "lease"))


def open_retraining(config: RetrainConfig) -> Plan:
    """The plan of a retraining that was interrupted, or a new one, which is written.

    Raises:
        TrainingError: what was interrupted had other settings.
        TooFewPhotos, UnknownModel, SourceMissing: as `make_plan`.
    """
    begun = unfinished(config)
    if begun is not None:
        if begun.config.record() != json.loads(json.dumps(config.record())):
            raise TrainingError(
                f"{begun.place.url} holds a retraining with other settings that is not finished; give those again, or"
                " remove that folder"
            )
        return begun
    plan = make_plan(config)
    plan.refuse_few_judges()
    plan.place.write(PLAN, plan.to_json())
    return plan


def train_challenger(plan: Plan, stage: StageConfig, progress: Progress, device: str = "auto") -> dict[str, Any]:
    """One of `plan.stages()`, which goes on from its checkpoint; what is not trained is the champion's."""
    champion, _ = plan.models
    trained = {config.stage for config in plan.stages()}
    for name in {*TRIPLET, "scratches", "tone"} - trained:
        if plan.place.join(name).info(TRAINED) is None:
            adopt(champion, name, plan.place)
    try:
        return train_stage(stage, _clean(plan), _old(plan), plan.place, progress, device)
    except Diverged as error:
        # it would run away again: this retraining has come to its end, and the next one is a new one
        write_end(plan, DIVERGED, [str(error)])
        raise


def judge_challenger(plan: Plan, each: Callable[[], None] = lambda: None) -> Verdict:
    """Puts the challenger together and compares it with the champion."""
    card = publish(plan.stages()[-1], plan.place, name=plan.challenger)
    champion, challenger = plan.models
    before = read_card(champion)
    verdict = judge(plan, challenger, champion, each)
    real, clean = Bucket(plan.config.incoming), Bucket(plan.config.clean)
    told = f"{len(plan.new)} more photos of {real.url} and photos of {clean.url}; their digests are in photos.json"
    card = replace(
        card, created=plan.created, data=[*before.data, told], licence=before.licence, limits=before.limits,
        summary=f"Retrained from {plan.champion} on {len(plan.new)} new old photos.",
        metrics={"retraining": numbers(verdict)}, lineage=_lineage(card, plan),
    )  # fmt: skip
    plan.place.join("model").write(CARD, card.to_json().encode())
    return verdict


def conclude(plan: Plan, verdict: Verdict) -> Outcome:
    """Publishes and promotes a challenger that is better, and writes the report."""
    registry = Registry(plan.config.registry)
    decision, undo = KEPT, f"Nothing in the registry was changed; {plan.champion} is the champion as before."
    if verdict.promote:
        decision, undo = _promote(registry, plan, verdict)
    report = write_report(plan, verdict, decision, undo)
    return Outcome(
        decision=decision, champion=plan.champion, challenger=plan.challenger, report=report, place=plan.place.url
    )


def _promote(registry: Registry, plan: Plan, verdict: Verdict) -> tuple[str, str]:
    if plan.challenger not in registry.versions():  # else it was killed after this
        publish_version(registry, plan.models[1], plan.challenger)
    undo = f"To undo it: `oldphoto models rollback --registry {registry.bucket.url} --why TEXT`."
    now = registry.current()
    if now is not None and now[1].champion == plan.challenger:
        return PROMOTED, undo
    try:
        registry.promote(plan.challenger, why=f"retrained: {verdict.reasons[0]}", replacing=plan.champion)
    except RegistryRefused as error:
        return OVERTAKEN, f"{plan.challenger} was published, not promoted: {error}."
    return PROMOTED, undo


def _lineage(card: ModelCard, plan: Plan) -> list[dict[str, str]]:
    """With the champion's name in place of its folder."""
    return [{**each, "model": plan.champion} for each in card.lineage]


def _clean(plan: Plan) -> Split:
    bucket = Bucket(plan.config.clean)
    return Split(PhotoSet(bucket, plan.clean), PhotoSet(bucket, [photo.key for photo in plan.judges]))


def _old(plan: Plan) -> Split:
    new, before = _set(plan.new, plan), _set(plan.before, plan)
    mixed = MixedPhotos(new, before, plan.config.new_share) if new and before else new or before
    return Split(mixed, _set(plan.real, plan))


def _set(photos: tuple[Any, ...], plan: Plan) -> PhotoSet:
    """Of one bucket or of two."""
    urls = list(dict.fromkeys(photo.url for photo in photos))
    sets = [PhotoSet(Bucket(url), [photo.key for photo in photos if photo.url == url]) for url in urls]
    if not sets:
        return PhotoSet(Bucket(plan.config.incoming), [])
    if len(sets) == 1:
        return sets[0]
    return MixedPhotos(sets[0], sets[1], len(sets[0]) / len(photos))
