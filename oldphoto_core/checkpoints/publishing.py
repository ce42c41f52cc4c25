"""A model put into the registry, as a version that nobody can replace."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from oldphoto_core.checkpoints.card import ModelCard
from oldphoto_core.checkpoints.registry import Registry
from oldphoto_core.checkpoints.store import CARD, WEIGHTS, read_card, read_file
from oldphoto_core.checkpoints.sums import SUMS, sums_text
from oldphoto_core.errors import RegistryRefused, UsageError
from oldphoto_core.storage import Bucket


def publish_version(
    registry: Registry, model: str | Path, reference: str, *, data: Sequence[str] = (), licence: str = ""
) -> ModelCard:
    """Copies a model into the registry as NAME@VERSION; returns its card there.

    Killed on the way, the same call completes it: until SHA256SUMS is there, the version does not exist.

    Args:
        registry: Where to.
        model: Name, folder or URL of the model.
        reference: NAME@VERSION to become.
        data: What it was trained on and under what terms; by default what its card says.
        licence: Terms of the weights; by default what its card says.

    Raises:
        RegistryRefused: that version exists, or was begun with another model.
        UsageError: nobody says what it was trained on.
        UnknownModel, DamagedWeights: no such model, or not what its card says.
    """
    folder, card = registry.folder(reference), read_card(model)
    if folder.info(SUMS) is not None:
        raise RegistryRefused(f"{reference} exists in {registry.bucket.url} and stays; publish another version")
    if not (data or card.data):
        raise UsageError(f"the card of {model} does not say what it was trained on, under what terms; give --data TEXT")
    card = replace(card, name=reference, data=list(data) or card.data, licence=licence or card.licence)
    digests = {WEIGHTS: card.weights_sha256, **card.parts}
    for file, digest in digests.items():
        _place(folder, file, read_file(model, file, digest))
    text = card.to_json().encode()
    _place(folder, CARD, text)
    sums = sums_text(digests | {CARD: hashlib.sha256(text).hexdigest()})
    registry.record_publication(reference, sums)
    _place(folder, SUMS, sums)
    return card


def _place(folder: Bucket, file: str, data: bytes) -> None:
    """Creates a file of the version, or finds that the same bytes are there already."""
    if folder.create(file, data):
        return
    if folder.sha256(file) != hashlib.sha256(data).hexdigest():
        raise RegistryRefused(f"{folder.url} was begun with another {file}; publish under another version")
