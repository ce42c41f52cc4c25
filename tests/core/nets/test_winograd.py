"""The fast 3x3 convolution gives what the plain one gives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oldphoto_core.nets import preset_named
from oldphoto_core.nets.winograd import WinogradConv2d, use_winograd


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (4, 4), (8, 12), (13, 7), (50, 67)])
@pytest.mark.parametrize("bias", [True, False])
def test_zero_padding_any_size_and_bias_are_those_of_the_convolution(size: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 24, 3, padding=1, bias=bias)
    x = torch.randn(2, 16, *size)
    with torch.inference_mode():
        assert distance(WinogradConv2d(conv)(x), conv.double()(x.double())) < 3e-6


def test_reflection_padding_is_part_of_it() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 16, 3)
    x = torch.randn(1, 16, 18, 21)
    with torch.inference_mode():
        plain = nn.Sequential(nn.ReflectionPad2d(1), conv)(x)
        assert distance(WinogradConv2d(conv, reflect=True)(x), plain) < 3e-6


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    conv = WinogradConv2d(nn.Conv2d(8, 8, 3, padding=1))
    x = torch.randn(1, 8, 41, 30)
    with torch.inference_mode():
        whole = conv(x)
        monkeypatch.setattr("oldphoto_core.nets.winograd.CHUNK_BYTES", 1)
        assert torch.allclose(conv(x), whole, atol=1e-6)


@pytest.fixture(scope="module")
def plain_and_faster() -> tuple[nn.Module, nn.Module]:
    """The paper network with random weights, which take seconds, and what is made of it."""
    torch.manual_seed(0)
    plain = preset_named("paper").triplet().eval()
    return plain, use_winograd(plain, exact=("before_NL",))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.long
def test_the_paper_network_with_fewer_products_is_the_same_to_1e_4(
    masked: bool, plain_and_faster: tuple[nn.Module, nn.Module]
) -> None:
    plain, faster = plain_and_faster
    torch.manual_seed(0)
    image = torch.rand(1, 3, 48, 40) * 2 - 1
    mask = None
    if masked:
        mask = torch.zeros(1, 1, 48, 40)
        mask[:, :, 20:26, 5:35] = 1
        image = image.masked_fill(mask > 0, 1.0)
    with torch.inference_mode():
        assert distance(faster(image, mask), plain(image, mask)) < 1e-4
    replaced = [name for name, module in faster.named_modules() if isinstance(module, WinogradConv2d)]
    # two in each of nine residual blocks, three on the way out of 512 channels
    assert len(replaced) == 21
    assert not any("before_NL" in name for name in replaced)


def test_the_network_it_was_made_from_is_left_alone(plain_and_faster: tuple[nn.Module, nn.Module]) -> None:
    with torch.device("meta"):
        before = [type(module) for module in preset_named("paper").triplet().modules()]
    assert [type(module) for module in plain_and_faster[0].modules()] == before


def test_a_network_without_wide_convolutions_is_given_back() -> None:
    compact = preset_named("compact").triplet()
    assert use_winograd(compact) is compact
