"""Ablations: what each leaves out, where it is recorded, and that the models without it restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from photos import album, photo

from oldphoto_core.checkpoints import load_model, read_card
from oldphoto_core.errors import ConfigError
from oldphoto_core.evaluation.run import _kind
from oldphoto_core.inference.restorer import Restorer
from oldphoto_core.storage import Bucket
from oldphoto_core.training import default_config, train_stage
from oldphoto_core.training.ablations import ABLATIONS
from oldphoto_core.training.assembling import publish
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import Batches, PhotoSet
from oldphoto_core.training.run import configs_for

SHORT: dict[str, Any] = {
    "steps": 1, "batch": 4, "crop": 32, "validate_every": 1, "validation_crops": 1, "canvas": 0, "crops_of_canvas": 1,
}  # fmt: skip


def configs(ablation: str) -> dict[str, StageConfig]:
    return {config.stage: config for config in configs_for("all", "compact", ablation=ablation, **SHORT)}


def test_each_ablation_leaves_out_what_it_says() -> None:
    full = configs("")
    assert not any(config.ablation for config in full.values())
    assert not configs("no-partial-nonlocal")["mapping"].partial_nonlocal
    assert full["vae_old"].latent_adversarial.value > 0
    apart = configs("no-latent-discriminator")
    assert (apart["vae_old"].latent_adversarial.value, apart["joint"].latent_adversarial.value) == (0, 0)
    assert full.keys() - configs("no-joint").keys() == {"joint"}
    alone = configs("one-network")
    assert full.keys() - alone.keys() == {"tone"}
    assert alone["mapping"].target == "clean"
    assert full["mapping"].target == "toned"
    assert all(config.ablation == name for name in ABLATIONS for config in configs(name).values())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """The triplet of one autoencoder, trained for a step."""
    folder = tmp_path_factory.mktemp("shared")
    clean, old = Bucket(album(folder / "clean", 6)), Bucket(album(folder / "old", 4, first=50))
    for stage in ("vae_old", "vae_clean", "mapping"):
        train_stage(configs("one-autoencoder")[stage], clean, old, Bucket(folder / "out"))
    return Bucket(folder / "out")


def test_one_autoencoder_serves_all_three_domains(shared: Bucket) -> None:
    config = configs("one-autoencoder")["mapping"]
    publish(config, shared, name="shared")
    model = f"{shared.url}/model"
    networks = load_model(model).networks
    pairs = zip(networks.vae_old.parameters(), networks.vae_clean.parameters(), strict=True)  # type: ignore[union-attr]
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    assert Restorer.load(model, device="cpu").restore(photo(1, 40, 52)).shape == (40, 52, 3)
    assert read_card(model).training["vae_clean"]["shared_with"] == "vae_old"


def test_the_card_records_the_ablation_and_tables_call_the_model_by_it(shared: Bucket) -> None:
    card = publish(configs("one-autoencoder")["mapping"], shared, name="shared")
    assert {stage["config"]["ablation"] for stage in card.training.values()} == {"one-autoencoder"}
    assert _kind(card) == "ours with one autoencoder for all domains"


def test_the_shared_autoencoder_sees_clean_photos_beside_degraded_ones(
    shared: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oldphoto_core.nets import preset_named
    from oldphoto_core.training.stages import AutoencoderStage

    clean = Bucket(album(tmp_path, 4))
    photos = PhotoSet(clean, [entry.key for entry in clean.list()])
    config = configs("one-autoencoder")["vae_old"]
    batch = Batches(config, photos, photos).batch(0)
    stage, seen = AutoencoderStage(config, preset_named("compact").triplet()), list[torch.Tensor]()
    encode = stage.vae.encode
    monkeypatch.setattr(stage.vae, "encode", lambda images: seen.append(images) or encode(images))
    stage.losses(batch, 0, torch.Generator().manual_seed(1))
    assert batch.old is not None
    assert torch.equal(seen[0], torch.cat([batch.old, batch.degraded[::2], batch.clean[1::2]]))


def test_ablations_that_there_are_not_are_refused() -> None:
    with pytest.raises(ConfigError, match="there are: no-partial-nonlocal"):
        configs_for("all", "compact", ablation="no-encoder")
    with pytest.raises(ConfigError, match="leave --ablation out"):
        configs_for("pix2pix", "compact", ablation="no-joint")
    assert default_config("mapping").ablation == ""
