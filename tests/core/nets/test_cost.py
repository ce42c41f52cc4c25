"""A regression guard that does not depend on the machine: operations and live bytes per pixel of every preset."""

from __future__ import annotations

import pytest
import torch
from allocations import LiveBytes

from oldphoto_core.devices import place
from oldphoto_core.nets import count_flops, preset_named
from oldphoto_core.nets.winograd import CHUNK_BYTES, use_winograd

SIDE = 512

GFLOP_PER_MEGAPIXEL = {("compact", False): 161, ("paper", False): 4710}
"""As printed by benchmarks/flops.py for 1000 x 1000, rounded up."""
LIVE_BYTES_PER_PIXEL = {("compact", False): 320, ("compact", True): 320, ("paper", False): 600, ("paper", True): 730}
"""Of tensors on a CPU during one forward pass, the picture not counted; without what does not grow with it."""


@pytest.mark.parametrize(("preset", "masked"), GFLOP_PER_MEGAPIXEL)
def test_a_megapixel_costs_no_more_operations_than_it_did(preset: str, masked: bool) -> None:
    network = preset_named(preset).triplet(partial_nonlocal=masked)
    assert count_flops(network, 1000, 1000, masked=masked) <= GFLOP_PER_MEGAPIXEL[preset, masked] * 1e9


def test_compact_needs_less_than_a_tenth_of_the_operations_of_paper() -> None:
    compact, paper = (
        count_flops(preset_named(name).triplet(partial_nonlocal=False), 256, 256) for name in ("compact", "paper")
    )
    assert compact < paper / 10


@pytest.mark.parametrize(
    ("preset", "masked"),
    [pytest.param(*case, marks=[pytest.mark.long] if case[0] == "paper" else []) for case in LIVE_BYTES_PER_PIXEL],
)
def test_a_tile_holds_no_more_bytes_than_it_did(preset: str, masked: bool) -> None:
    torch.manual_seed(0)
    network = place(use_winograd(preset_named(preset).triplet().eval()), "cpu")
    image = torch.rand(1, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[:, :, 100:106] = 1
    with torch.inference_mode(), LiveBytes() as live:
        network(image, mask if masked else None)
    # Winograd's transformed tiles are bounded, whatever the picture's size: input, products, output
    bounded = 3 * CHUNK_BYTES if preset == "paper" else 0
    assert live.most - bounded <= LIVE_BYTES_PER_PIXEL[preset, masked] * SIDE**2


def test_the_count_of_live_bytes_sees_what_is_held_and_what_is_let_go() -> None:
    with LiveBytes() as live:
        first = torch.ones(1000)
        second = first + 1
        del first
        third = second * 2
        assert live.now == 8000
        assert live.most == 8000
        del second
        assert live.now == 4000
    assert len(third) == 1000


def test_attention_holds_no_matrix_of_all_pairs() -> None:
    block = preset_named("compact").triplet().mapping.nonlocal_block
    features = torch.rand(1, 192, 128, 128)
    mask = torch.zeros(1, 1, 128, 128)
    mask[:, :, :40] = 1
    with torch.inference_mode(), LiveBytes() as live:
        block(features, mask)
    pairs = 4 * int(mask.sum()) * int((1 - mask).sum())
    assert live.most < pairs / 4
