"""Networks of the published checkpoints: sizes, patch attention against its formula, blank borders, memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from oldphoto_core.errors import UsageError
from oldphoto_core.nets import count_parameters
from oldphoto_core.nets.architectures import architecture_named
from oldphoto_core.nets.nonlocal_attention import PartialNonlocal
from oldphoto_core.nets.official.faces import FaceGenerator, SpadeBlock
from oldphoto_core.nets.official.masks import blended_mask, nonlocal_mask
from oldphoto_core.nets.official.patch_attention import PatchAttentionMapping, compose
from oldphoto_core.nets.padding import mirrored, side_for
from oldphoto_core.nets.scratch_unet import BlurredHalving, ScratchUNet


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("build", "millions"), [(PatchAttentionMapping, 73.9), (ScratchUNet, 37.6), (FaceGenerator, 92.1)]
)
def test_networks_have_the_published_numbers_of_parameters(build: type[torch.nn.Module], millions: float) -> None:
    with torch.device("meta"):
        assert count_parameters(build()) / 1e6 == pytest.approx(millions, abs=0.05)


def every_pair(features: Tensor, damaged: Tensor, patch: int) -> Tensor:
    """The published formula, with the matrix of all pairs."""
    size = features.shape[1:]
    x = functional.unfold(features[None], patch, stride=patch)[0].T
    bad = functional.unfold(damaged[None], patch, stride=patch)[0].mean(dim=0) > 0.6
    scores = (functional.normalize(x, dim=1) @ functional.normalize(x, dim=1).T).masked_fill(bad, -1e9)
    found = torch.where(bad[:, None], x[scores.argmax(dim=1)], x)
    return functional.fold(found.T[None], size, patch, stride=patch)[0]


@pytest.mark.parametrize("patch", [2, 4, 8])
def test_patches_are_those_of_the_formula(patch: int) -> None:
    features, damaged = torch.randn(6, 16, 24), torch.zeros(1, 16, 24)
    damaged[:, 3:13, 5:17] = 1
    assert torch.allclose(compose(features, damaged, patch), every_pair(features, damaged, patch), atol=1e-6)


@pytest.mark.parametrize("size", [(17, 25), (23, 31), (20, 8), (8, 100)])
def test_sizes_between_patches_have_no_blank_borders(size: tuple[int, int]) -> None:
    features, damaged = torch.rand(4, *size) + 1, torch.zeros(1, *size)
    damaged[:, -6:, -20:] = 1
    composed = compose(features, damaged, 8)
    assert composed.shape == features.shape
    assert (composed >= 1).all()
    kept = (composed == features).all(dim=0)
    assert kept[:8, :8].all()
    assert not kept[-1, -1]  # the damaged corner is filled, whatever its patch lacks


def test_no_patch_is_evidence_with_what_it_does_not_have() -> None:
    features, damaged = torch.ones(1, 8, 12), torch.zeros(1, 8, 12)
    features[..., 8:] = 5
    damaged[..., :8] = 1
    assert torch.equal(compose(features, damaged, 8), features)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nothing_or_everything_damaged_changes_nothing(share: float) -> None:
    features = torch.randn(3, 10, 13)
    assert torch.equal(compose(features, torch.full((1, 10, 13), share), 4), features)


def test_60_percent_of_a_patch_may_be_damaged() -> None:
    features, damaged = torch.randn(2, 4, 8), torch.zeros(1, 4, 8)
    damaged.flatten()[[0, 1, 2, 3, 8, 9, 10, 11, 16]] = 1
    assert torch.equal(compose(features, damaged, 4), features)
    damaged.flatten()[17] = 1
    assert not torch.equal(compose(features, damaged, 4), features)


def test_the_matrix_of_all_patches_is_never_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oldphoto_core.nets.official.patch_attention.SCORES", 2**16)
    features, damaged = torch.randn(4, 128, 128), torch.zeros(1, 128, 128)
    damaged[:, :64] = 1
    with torch.profiler.profile(profile_memory=True) as profile:
        compose(features, damaged, 2)
    assert max(event.self_cpu_memory_usage for event in profile.events()) < 4096 * 2048 * 4 / 8


def test_the_high_resolution_mapping_takes_any_latent_and_no_mask() -> None:
    mapping = PatchAttentionMapping().eval()
    with torch.inference_mode():
        for mask in (None, (torch.rand(1, 1, 36, 52) > 0.7).float()):
            assert mapping(torch.randn(1, 64, 9, 13), mask).shape == (1, 64, 9, 13)


def test_a_floor_is_the_published_normalisation() -> None:
    block, floor = PartialNonlocal(6, floor=0.3), 0.3
    features, mask = 2 * torch.randn(2, 6, 5, 4), (torch.rand(2, 1, 5, 4) > 0.5).float()
    theta, phi, g = (layer(features).flatten(2) for layer in (block.theta, block.phi, block.g))
    p = torch.einsum("nci,ncj->nij", theta, phi).softmax(dim=2) * (1 - mask).flatten(2)
    s = functional.normalize(p, p=1.0, dim=2, eps=floor)
    assert (p.sum(dim=2) < floor).any()
    expected = block.W(torch.einsum("nij,ncj->nci", s, g).view_as(features))
    assert torch.allclose(block(features, mask), expected, atol=1e-5)


def test_published_masks_look_at_the_middle_and_the_first_pixel() -> None:
    seen = {"blended": set(), "nonlocal": set()}
    for pixel in range(16):
        mask = functional.one_hot(torch.tensor(pixel), 16).float().view(1, 1, 4, 4)
        for name, resize in (("blended", blended_mask), ("nonlocal", nonlocal_mask)):
            if resize(mask, (1, 1)).item():
                seen[name].add(pixel)
    assert seen == {"blended": {5, 6, 9, 10}, "nonlocal": {0, 5, 6, 9, 10}}


def test_the_blur_halves_without_shifting_brightness() -> None:
    halved = BlurredHalving(3)(torch.full((1, 3, 7, 10), 0.5))
    assert halved.shape == (1, 3, 4, 5)
    assert torch.allclose(halved, torch.tensor(0.5))


def test_the_detector_gives_a_score_per_pixel() -> None:
    with torch.inference_mode():
        assert ScratchUNet().eval()(torch.rand(1, 1, 32, 48)).shape == (1, 1, 32, 48)


def test_a_face_block_listens_to_the_face() -> None:
    block, x = SpadeBlock(8, 4).eval(), torch.rand(1, 8, 8, 8)
    with torch.inference_mode():
        first, second = block(x, torch.zeros(1, 3, 64, 64)), block(x, torch.ones(1, 3, 64, 64))
    assert first.shape == (1, 4, 8, 8)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 40), (31, 32)])
def test_pictures_are_continued_by_reflection(size: tuple[int, int]) -> None:
    import numpy as np

    x = torch.rand(1, 2, *size)
    sides = [side_for(side, 16, 32) for side in size]
    pads = [(0, 0), (0, 0), *((0, target - side) for side, target in zip(size, sides, strict=True))]
    assert torch.equal(mirrored(x, 16, 32), torch.from_numpy(np.pad(x.numpy(), pads, mode="reflect")))


def test_the_published_architecture_asks_what_paper_asks() -> None:
    published, paper = architecture_named("published"), architecture_named("paper")
    assert (published.multiple, published.minimum) == (paper.multiple, paper.minimum) == (4, 32)
    with pytest.raises(UsageError, match="compact, dense, paper"):
        architecture_named("tiny")
