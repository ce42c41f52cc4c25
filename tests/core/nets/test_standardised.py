"""Convolutions with normalised weights: nothing depends on the batch, and batch norms of earlier detectors fit in."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from photos import photo
from torch import nn

from oldphoto_core.checkpoints import Detector, ModelCard, load_detector, save_model
from oldphoto_core.checkpoints.store import DETECTOR, load_part
from oldphoto_core.nets.compact_detector import CompactDetector
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.nets.scratch_unet import ScratchUNet
from oldphoto_core.nets.standardised import StandardisedConv2d, for_inference, without_batch_norms
from oldphoto_core.storage import Bucket


def with_batch_norms() -> nn.Module:
    """A detector as those of earlier editions were, with statistics as if it had been trained."""
    torch.manual_seed(3)
    network = CompactDetector()
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential) or not isinstance(module[0], StandardisedConv2d):
            continue
        conv, relu = module
        norm = nn.BatchNorm2d(conv.out_channels)
        for values in (norm.weight, norm.running_var):
            nn.init.uniform_(values, 0.5, 2.0)  # type: ignore[arg-type]
        for values in (norm.bias, norm.running_mean):
            nn.init.normal_(values)  # type: ignore[arg-type]
        module[0] = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1, bias=False)
        module.insert(1, norm)
        assert module[2] is relu
    return network.eval()


def scores(network: nn.Module, seed: int = 0) -> torch.Tensor:
    image = torch.rand(1, 1, 96, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    with torch.inference_mode():
        result: torch.Tensor = network(image)
    return result


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).abs().max() < 1e-4 * expected.abs().max())


def test_a_detector_with_batch_norms_finds_the_same_without_them() -> None:
    earlier, network = with_batch_norms(), CompactDetector().eval()
    network.load_state_dict(without_batch_norms(earlier.state_dict()))
    assert scores(earlier).std() > 0.1
    assert same(scores(network), scores(earlier))


def test_a_stored_detector_with_batch_norms_can_be_loaded(tmp_path: Path) -> None:
    card = ModelCard(name="mine", preset="compact", partial_nonlocal=True, weights_sha256="", created="2026-11-23")
    earlier = with_batch_norms()
    save_model(Bucket(tmp_path), preset_named("compact").triplet(), card, half=False, detector=Detector(earlier, 0.5))
    found = load_detector(str(tmp_path))
    assert found is not None
    assert same(scores(found.network), scores(earlier))


def test_the_starters_detector_marks_what_it_marked_with_its_batch_norms() -> None:
    earlier, found = with_batch_norms(), load_detector("starter")
    assert found is not None
    earlier.load_state_dict({name: value.float() for name, value in load_part("starter", DETECTOR).items()})
    grey = torch.from_numpy(photo(5, 192, 256)[..., 0].copy())[None, None] / 127.5 - 1
    grey[..., 60:62, 20:200] = 1.0
    with torch.inference_mode():
        before, after = (torch.sigmoid(network(grey)) for network in (earlier, for_inference(found.network)))
    assert (before - after).abs().max() < 1e-4
    assert torch.equal(before >= found.threshold, after >= found.threshold)
    assert (after >= found.threshold).any()


@pytest.mark.parametrize("shape", [CompactDetector, ScratchUNet])
def test_what_is_used_computes_what_was_trained(shape: type[nn.Module]) -> None:
    torch.manual_seed(1)
    network = shape().eval()
    for name, values in network.state_dict().items():
        if name.endswith(("gain", "running_var")):
            nn.init.uniform_(values, 0.5, 2.0)
        elif name.endswith(("offset", "running_mean")):
            nn.init.normal_(values)
    before = copy.deepcopy(network.state_dict())
    plain = for_inference(network)
    assert not any(isinstance(module, StandardisedConv2d | nn.BatchNorm2d) for module in plain.modules())
    assert same(scores(plain), scores(network))
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_filters_have_mean_0_and_keep_the_scale_of_what_they_see() -> None:
    torch.manual_seed(2)
    layer = StandardisedConv2d(64, 64)
    assert layer.filters().mean(dim=(1, 2, 3)).abs().max() < 1e-6
    seen = torch.relu(layer(torch.randn(1, 64, 64, 64))).detach()
    assert 0.8 < float(seen[..., 1:-1, 1:-1].std(dim=(0, 2, 3)).mean()) < 1.2


def test_in_training_a_picture_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(4)
    network = CompactDetector().train()
    images = torch.rand(3, 1, 64, 64) * 2 - 1
    together, alone = network(images), torch.cat([network(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
