"""Weights on disk: what is loaded is what was saved, and what is not is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from oldphoto_core.checkpoints import ModelCard, load_model, save_model, shipped_models
from oldphoto_core.errors import DamagedWeights, UnknownModel
from oldphoto_core.nets import preset_named
from oldphoto_core.storage import Bucket


def saved(bucket: Bucket) -> ModelCard:
    torch.manual_seed(0)
    card = ModelCard(name="tiny", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    return save_model(bucket, preset_named("compact").triplet(), card)


def test_a_saved_model_loads_with_the_same_weights(bucket_url: str) -> None:
    bucket = Bucket(bucket_url)
    card = saved(bucket)
    model = load_model(bucket.url)
    torch.manual_seed(0)
    expected = preset_named("compact").triplet()
    assert model.card == card
    for ours, theirs in zip(model.networks.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs.half().float())


def test_a_loaded_model_is_ready_for_use(tmp_path: Path) -> None:
    saved(Bucket(str(tmp_path)))
    networks = load_model(tmp_path).networks
    assert not networks.training
    assert {parameter.dtype for parameter in networks.parameters()} == {torch.float32}


def test_a_flipped_bit_in_the_weights_is_noticed(tmp_path: Path) -> None:
    bucket = Bucket(str(tmp_path))
    saved(bucket)
    data = bytearray(bucket.read("weights.safetensors"))
    data[-5] ^= 1
    bucket.write("weights.safetensors", bytes(data))
    with pytest.raises(DamagedWeights, match="sha256"):
        load_model(tmp_path)


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    bucket = Bucket(str(tmp_path))
    saved(bucket)
    card = json.loads(bucket.read("card.json"))
    bucket.write("card.json", json.dumps(card | {"partial_nonlocal": False}).encode())
    with pytest.raises(DamagedWeights, match=r"nonlocal_block.* is unknown"):
        load_model(tmp_path)


def test_a_truncated_file_is_refused_even_if_its_card_agrees(tmp_path: Path) -> None:
    import hashlib

    bucket = Bucket(str(tmp_path))
    saved(bucket)
    half = bucket.read("weights.safetensors")[:10_000]
    bucket.write("weights.safetensors", half)
    card = json.loads(bucket.read("card.json"))
    bucket.write("card.json", json.dumps(card | {"weights_sha256": hashlib.sha256(half).hexdigest()}).encode())
    with pytest.raises(DamagedWeights, match="not a whole safetensors file"):
        load_model(tmp_path)


def test_missing_weights_and_unreadable_cards_are_told(tmp_path: Path) -> None:
    bucket = Bucket(str(tmp_path))
    saved(bucket)
    bucket.delete("weights.safetensors")
    with pytest.raises(DamagedWeights, match=r"no weights\.safetensors"):
        load_model(tmp_path)
    bucket.write("card.json", b"{")
    with pytest.raises(DamagedWeights, match="card"):
        load_model(tmp_path)


def test_an_unknown_name_lists_the_models_there_are() -> None:
    with pytest.raises(UnknownModel, match="|".join(shipped_models()) or "none"):
        load_model("no-such-model")


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"no card\.json"):
        load_model(tmp_path)
