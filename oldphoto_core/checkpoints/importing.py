"""From the published archives to a model of ours, and back to the networks of either."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import torch
from torch import nn

from oldphoto_core.checkpoints.archives import Reader, files_in, read_state
from oldphoto_core.checkpoints.card import ModelCard
from oldphoto_core.checkpoints.published import FACE, GLOBAL, PIECES
from oldphoto_core.checkpoints.store import (
    CARD,
    imported_models,
    load_model,
    load_part,
    models_folder,
    read_card,
    save_model,
)
from oldphoto_core.checkpoints.tensors import pack
from oldphoto_core.errors import DamagedWeights, UsageError, WriteFailed
from oldphoto_core.nets.architectures import PUBLISHED
from oldphoto_core.nets.official.restoration import PublishedRestoration
from oldphoto_core.storage import Bucket

NAME = "official"
"""What the imported model is called."""
SUFFIX = ".safetensors"
LIMITS = [
    "Instance norm over the whole picture: tone shifts a little, and a tile does not equal the whole.",
    "Trained on 256 x 256 crops of Pascal VOC; the detector is meant for a short side of about 256 pixels.",
    "The scratch mappings look at 4 or 5 of the 16 mask pixels of a latent position: give masks 3 pixels wide or more.",
]
"""Facts of the published networks, for the card."""


def pieces_in(path: Path) -> dict[str, Reader]:
    """Which of the published networks lie there, by the names of `published.PIECES`; whole archives or none.

    Raises UnknownModel and DamagedWeights.
    """
    files = files_in(path)
    for archive in (GLOBAL, FACE):
        if (path / archive).is_file():
            files |= {f"{archive}/{name}": reader for name, reader in files_in(path / archive).items()}
    found: dict[str, Reader] = {}
    for name, piece in PIECES.items():
        places = [place for place in files if f"/{place}".endswith(f"/{piece.file}")]
        if len(places) > 1:
            raise DamagedWeights(f"{path} holds {piece.file} more than once: {', '.join(places)}; keep one of them")
        if places:
            found[name] = files[places[0]]
    if not found:
        some = ", ".join(sorted(files)[:5]) or "no file of weights at all"
        raise DamagedWeights(f"{path} holds none of the published checkpoints but {some}; give {GLOBAL} or {FACE}")
    archives = {PIECES[name].archive for name in found}
    missing = [piece.file for name, piece in PIECES.items() if piece.archive in archives and name not in found]
    if missing:
        raise DamagedWeights(f"{path} lacks {', '.join(missing)}; fetch the archive again")
    return found


def is_imported(source: str | os.PathLike[str]) -> bool:
    """Whether that is a model of ours, by name or folder, and not an archive."""
    name = os.fspath(source)
    return (Path(name) / CARD).is_file() or (name in imported_models() and not Path(name).exists())


def imported_networks(model: str | os.PathLike[str]) -> dict[str, nn.Module]:
    """The same networks out of a model that `convert` wrote. Raises DamagedWeights."""
    name = os.fspath(model)
    card = read_card(name)
    if card.preset != PUBLISHED:
        raise DamagedWeights(f"model {name} is of preset {card.preset}, not the published networks; use Restorer.load")
    networks: dict[str, nn.Module] = dict(load_model(name).networks.named_children())
    for piece, spec in PIECES.items():
        if (file := piece + SUFFIX) in card.parts:
            networks[piece] = spec.network(load_part(name, file), f"{file} of model {name}", converted=True)
    return networks


def convert(
    global_checkpoints: str | os.PathLike[str],
    face_checkpoints: str | os.PathLike[str] | None = None,
    *,
    to: str | os.PathLike[str] | None = None,
) -> Path:
    """Writes the published networks as model `official` into a folder of models; returns the model's own folder.

    `to` is by default the folder where models are found by name. Weights stay float32, so that results stay the same. A
    model that is there already is replaced; if anything fails, it stays and nothing else is left.

    Raises:
        UnknownModel, DamagedWeights: an archive is not there, not whole, built to do harm, or not the one asked for.
        WriteFailed: the folder cannot be written.
    """
    sources = {GLOBAL: Path(global_checkpoints)}
    if face_checkpoints is not None:
        sources[FACE] = Path(face_checkpoints)
    readers = {archive: _asked_for(archive, path) for archive, path in sources.items()}
    folder = models_folder() if to is None else Path(to)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as temporary:
            made = Path(temporary) / NAME
            _write(made, sources, readers)
            if (folder / NAME).exists():
                os.rename(folder / NAME, Path(temporary) / "before")
            os.rename(made, folder / NAME)
    except OSError as error:
        raise WriteFailed(
            f"cannot write a model to {folder}: {error.strerror or error}; nothing was changed"
        ) from error
    return folder / NAME


def _asked_for(archive: str, path: Path) -> dict[str, Reader]:
    found = pieces_in(path)
    asked = {name: reader for name, reader in found.items() if PIECES[name].archive == archive}
    if not asked:
        other = PIECES[next(iter(found))].archive
        raise UsageError(f"{path} holds what is published as {other}, not {archive}; give each archive in its place")
    return asked


def _write(folder: Path, sources: Mapping[str, Path], readers: Mapping[str, Mapping[str, Reader]]) -> None:
    """Parts first and one at a time, the largest of them takes a gigabyte of memory; the card last."""
    bucket, parts = Bucket(folder), {}
    with torch.device("meta"):
        restoring = PublishedRestoration()
    for archive, path in sources.items():
        for name, reader in readers[archive].items():
            network = read_piece(name, reader, path)
            if hasattr(restoring, name):
                setattr(restoring, name, network)
            else:
                data = pack(network.state_dict(), {"piece": name})
                parts[name + SUFFIX] = bucket.write(name + SUFFIX, data)
    save_model(bucket, restoring, _card(sources, parts), half=False)


def _card(sources: Mapping[str, Path], parts: dict[str, str]) -> ModelCard:
    return ModelCard(
        name=NAME,
        preset=PUBLISHED,
        partial_nonlocal=True,
        weights_sha256="",
        created=date.today().isoformat(),
        summary="The published networks of Wan et al. (CVPR 2020), converted number for number.",
        data=[f"converted from {archive}{_digest(path)}" for archive, path in sources.items()],
        limits=LIMITS if FACE in sources else [*LIMITS, "Imported without the face generators."],
        licence="That of the published checkpoints; see where they were published.",
        parts=parts,
    )


def _digest(path: Path) -> str:
    if not path.is_file():
        return ", unpacked"
    with path.open("rb") as file:
        return f", sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def read_piece(name: str, reader: Reader, path: str | os.PathLike[str]) -> nn.Module:
    """One network of what `pieces_in` found, in evaluation mode; DamagedWeights names the entries that do not fit."""
    piece = PIECES[name]
    where = f"{piece.file} of {path}"
    return piece.network(read_state(reader(), where, piece.wrapper), where)
