"""Networks: shapes, sizes and costs of both presets, and what must never reach a result."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oldphoto_core.errors import ConfigError, UsageError
from oldphoto_core.nets import PRESETS, count_flops, count_parameters, preset_named
from oldphoto_core.nets.discriminators import ImageDiscriminator, LatentDiscriminator, feature_matching, lsgan
from oldphoto_core.nets.mapping import CompactMapping, CompactMappingConfig
from oldphoto_core.nets.noise_level import noise_level
from oldphoto_core.nets.nonlocal_attention import PartialNonlocal
from oldphoto_core.nets.vae import CompactVAEConfig, mask_to_latent


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


def moving(module: nn.Module) -> nn.Module:
    """Fresh mappings start as the identity; this gives every weight something to say."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return module.eval()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_photo_comes_back_in_its_own_size(name: str) -> None:
    with torch.inference_mode():
        restored = preset_named(name).triplet()(torch.rand(2, 3, 64, 80), torch.zeros(2, 1, 64, 80))
    assert restored.shape == (2, 3, 64, 80)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_latents_have_64_channels_at_a_quarter_of_the_size(name: str) -> None:
    vae = preset_named(name).vae()
    assert vae.encode(torch.rand(1, 3, 64, 96)).shape == (1, 64, 16, 24)  # type: ignore[operator]


def test_paper_has_the_published_numbers_of_parameters() -> None:
    preset = preset_named("paper")
    assert count_parameters(preset.vae()) / 1e6 == pytest.approx(0.87, abs=0.01)
    assert count_parameters(preset.mapping(False)) / 1e6 == pytest.approx(36.1, abs=0.1)
    assert count_parameters(preset.mapping(True)) / 1e6 == pytest.approx(51.3, abs=0.1)


def test_paper_costs_what_was_measured_on_the_published_networks() -> None:
    flops = count_flops(preset_named("paper").triplet(partial_nonlocal=False), 256, 256)
    assert flops / 1e9 == pytest.approx(6.3 + 296 + 6.3, rel=0.01)


def test_compact_is_at_most_12_million_parameters_and_a_tenth_of_the_operations() -> None:
    compact, paper = preset_named("compact"), preset_named("paper")
    assert count_parameters(compact.triplet()) <= 12e6
    for block in (False, True):
        ours = count_flops(compact.triplet(partial_nonlocal=block), 512, 512, masked=block)
        theirs = count_flops(paper.triplet(partial_nonlocal=block), 512, 512, masked=block)
        assert theirs >= 10 * ours


def test_damaged_positions_are_no_evidence_for_any_other() -> None:
    block = moving(PartialNonlocal(8))
    features, mask = torch.randn(2, 8, 12, 12), (torch.rand(2, 1, 12, 12) > 0.7).float()
    spoiled = features + 100 * torch.randn_like(features) * mask
    probe = torch.zeros(2, 1, 12, 12, dtype=torch.bool)
    probe[:, :, 5, 5] = True
    mask[:, :, 5, 5] = 1  # asked for from its own, unchanged features
    spoiled = torch.where(probe, features, spoiled)
    before, after = block(features, mask), block(spoiled, mask)
    assert torch.allclose(before[:, :, 5, 5], after[:, :, 5, 5], atol=1e-6)
    intact = (mask < 0.5).expand_as(before)
    assert torch.allclose(before[intact], after[intact], atol=1e-5)


def test_intact_positions_are_evidence() -> None:
    block = moving(PartialNonlocal(8))
    features, mask = torch.randn(1, 8, 12, 12), torch.zeros(1, 1, 12, 12)
    mask[:, :, 5, 5] = 1
    changed = features.clone()
    changed[:, :, 0, 0] += 5
    assert not torch.allclose(block(features, mask)[:, :, 5, 5], block(changed, mask)[:, :, 5, 5], atol=1e-4)


def test_the_block_is_the_formula_of_the_paper() -> None:
    block = moving(PartialNonlocal(6))
    features, mask = torch.randn(2, 6, 5, 4), (torch.rand(2, 1, 5, 4) > 0.6).float()
    theta, phi, g = (layer(features).flatten(2) for layer in (block.theta, block.phi, block.g))  # type: ignore[operator]
    f = torch.exp(torch.einsum("nci,ncj->nij", theta, phi)) * (1 - mask).flatten(2)
    s = f / f.sum(dim=2, keepdim=True)
    expected = block.W(torch.einsum("nij,ncj->nci", s, g).view_as(features))  # type: ignore[operator]
    assert torch.allclose(block(features, mask), expected, atol=1e-5)


def test_asking_only_under_the_mask_gives_the_same_there() -> None:
    torch.manual_seed(1)
    everywhere = moving(PartialNonlocal(8, scaled=True))
    under = PartialNonlocal(8, scaled=True, damaged_only=True)
    under.load_state_dict(everywhere.state_dict())
    features, mask = torch.randn(1, 8, 9, 7), (torch.rand(1, 1, 9, 7) > 0.7).float()
    assert torch.allclose(under(features, mask), everywhere(features, mask) * mask, atol=1e-5)


@pytest.mark.parametrize("damaged_only", [False, True])
def test_a_picture_without_one_intact_pixel_gives_no_nan(damaged_only: bool) -> None:
    block = moving(PartialNonlocal(8, damaged_only=damaged_only))
    assert torch.isfinite(block(torch.randn(1, 8, 4, 4), torch.ones(1, 1, 4, 4))).all()


def test_attention_never_forms_the_matrix_of_all_pairs() -> None:
    block = PartialNonlocal(16, damaged_only=False)
    features, mask = torch.randn(1, 16, 96, 96), torch.zeros(1, 1, 96, 96)
    mask[..., :48] = 1
    with torch.inference_mode(), torch.profiler.profile(profile_memory=True) as profile:
        block(features, mask)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest < (96 * 96) ** 2 * 4 / 20


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_what_lies_under_the_mask_cannot_reach_the_result_once_it_is_white(name: str) -> None:
    network = moving(preset_named(name).triplet(detail=name == "compact"))
    image, mask = torch.rand(1, 3, 64, 64) * 2 - 1, torch.zeros(1, 1, 64, 64)
    mask[..., 20:30, 10:50] = 1
    other = torch.where(mask.bool(), torch.rand_like(image), image)
    with torch.inference_mode():
        results = [network(picture * (1 - mask) + mask, mask) for picture in (image, other)]
    assert torch.equal(*results)


@pytest.mark.parametrize("detail", [False, True])
@pytest.mark.parametrize("name", ["compact", "dense"])
def test_a_tile_is_seen_as_it_is_within_the_whole(name: str, detail: bool) -> None:
    preset = preset_named(name)
    network = moving(preset.triplet(detail=detail))
    side = 2 * preset.halo + 32
    image = torch.rand(1, 3, 64, side + 256) * 2 - 1
    with torch.inference_mode():
        # what no tile can know of the whole is given to both
        noise = noise_level(image)
        whole, tile = network(image, None, noise), network(image[..., 128 : 128 + side], None, noise)
    inside = slice(preset.halo, side - preset.halo)
    assert torch.allclose(whole[..., 128 : 128 + side][..., inside], tile[..., inside], atol=1e-5)


@pytest.mark.parametrize("name", ["compact", "dense"])
def test_a_halo_is_no_wider_than_the_network_looks(name: str) -> None:
    preset = preset_named(name)
    network = moving(preset.triplet(detail=True))
    image = torch.rand(1, 3, 8, 2 * preset.halo + 64, requires_grad=True)
    middle = preset.halo + 32
    network(image)[..., middle].sum().backward()
    assert image.grad is not None
    reached = image.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert preset.halo - 16 <= int((reached - middle).abs().max()) <= preset.halo


def test_a_fresh_detail_path_leaves_intact_pixels_and_takes_damaged_ones_from_the_decoder() -> None:
    triplet = preset_named("compact").triplet(detail=True)
    image, mask = torch.rand(2, 3, 32, 32) * 2 - 1, torch.zeros(2, 1, 32, 32)
    mask[..., 10:20, 4:9] = 1
    with torch.inference_mode():
        refined = triplet(image, mask)
        triplet.detail = None
        decoded = triplet(image, mask)
    assert torch.equal(refined, torch.where(mask.bool(), decoded, image))


def test_a_preset_without_a_detail_path_refuses_one() -> None:
    with pytest.raises(ConfigError, match="paper has no detail path"):
        preset_named("paper").triplet(detail=True)


def test_a_compact_mapping_starts_as_the_identity() -> None:
    latent = torch.randn(1, 64, 16, 16)
    assert torch.equal(CompactMapping()(latent, torch.ones(1, 1, 64, 64)), latent)


def test_without_the_block_the_mapping_has_no_nonlocal_part() -> None:
    mapping = CompactMapping(CompactMappingConfig(partial_nonlocal=False))
    assert not [name for name, _ in mapping.named_parameters() if "nonlocal" in name]


def test_one_damaged_pixel_damages_its_latent_position() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 5, 14] = 1
    assert mask_to_latent(mask, (4, 4)).nonzero().tolist() == [[0, 0, 1, 3]]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_weights_survive_a_round_trip_through_a_state_dict(name: str) -> None:
    first, second = preset_named(name).triplet(), preset_named(name).triplet()
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_discriminators_score_patches_at_every_scale() -> None:
    scores = ImageDiscriminator(width=8, layers=3)(torch.rand(2, 3, 64, 64))
    assert len(scores) == 2
    assert scores[0][-1].shape[2] > scores[1][-1].shape[2]
    assert len(LatentDiscriminator(width=8)(torch.rand(2, 64, 16, 16))) == 1


def test_lsgan_is_zero_at_its_target_and_feature_matching_between_equals() -> None:
    scores = [[torch.rand(1, 4, 8, 8), torch.ones(1, 1, 3, 3)]]
    assert float(lsgan(scores, 1.0)) == 0.0
    assert float(lsgan(scores, 0.0)) == 1.0
    assert float(feature_matching(scores, scores)) == 0.0


def test_nonsense_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="half_width"):
        CompactVAEConfig(half_width=0)
    with pytest.raises(ConfigError, match="deep_blocks"):
        CompactMappingConfig(deep_blocks=3)
    with pytest.raises(UsageError, match="compact, dense, paper"):
        preset_named("tiny")
