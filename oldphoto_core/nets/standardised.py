"""Convolutions whose weights are normalised instead of what they compute, so that no statistic over a batch is needed.

A batch norm computes with the mean and variance of all pictures of a batch, and with running means of them later: a
batch cannot be cut into turns or shared by processes without changing what is learnt, and the statistics do not fit the
average of the weights. Here each filter has mean 0 and a learnt norm ("Weight Standardization", arXiv 1903.10520, with
the gains of normaliser-free ResNets, arXiv 2101.08692). What is computed of a picture depends on that picture alone,
and filters for use are computed once.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RELU_GAIN = 1.7139588594436646
"""sqrt(2 / (1 - 1 / pi)): what a ReLU takes from the standard deviation of a normal distribution."""
SMALLEST = 1e-6
"""Norm of a filter from which it counts as one; below it has no direction."""
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
"""Entries of a batch norm that its result depends on."""
BATCH_EPSILON = 1e-5
"""Added to the variance by the batch norms of earlier detectors."""


class StandardisedConv2d(nn.Conv2d):
    """A 3x3 convolution before a ReLU that keeps the size: NCHW -> NCHW.

    Its filters are `gain * RELU_GAIN * (w - mean(w)) / |w - mean(w)| + offset / n`, with n weights in a filter. In the
    beginning gain is 1 and offset 0. The offset makes every convolution expressible, those with batch norms among them.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(outside))
        self.offset = nn.Parameter(torch.zeros(outside))
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def filters(self) -> Tensor:
        """Outputs x inputs x 3 x 3."""
        centred = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        norm = centred.square().sum(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(SMALLEST)
        scale = RELU_GAIN * self.gain[:, None, None, None] / norm
        return centred * scale + self.offset[:, None, None, None] / self.weight[0].numel()

    def forward(self, x: Tensor) -> Tensor:
        """The convolution with the normalised filters."""
        return F.conv2d(x, self.filters(), self.bias, padding=1)

    def plain(self) -> nn.Conv2d:
        """The same convolution with the filters of now."""
        conv = nn.Conv2d(self.in_channels, self.out_channels, 3, padding=1)
        conv.load_state_dict({"weight": self.filters().detach(), "bias": self.bias.detach()})  # type: ignore[union-attr]
        return conv.requires_grad_(False).to(self.weight.device)


def for_inference(network: nn.Module) -> nn.Module:
    """A copy with plain convolutions, into which standardised filters and constant batch norms are computed.

    It computes the same but for rounding. `network` must be in evaluation mode.
    """
    folded = copy.deepcopy(network)
    for module in list(folded.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, StandardisedConv2d):
                setattr(module, name, child.plain())
        if isinstance(module, nn.Sequential):
            _fold_batch_norms(module)
    return folded


def _fold_batch_norms(layers: nn.Sequential) -> None:
    for place in range(len(layers) - 1):
        conv, norm = layers[place], layers[place + 1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[place] = torch.nn.utils.fuse_conv_bn_eval(conv, norm)
            layers[place + 1] = nn.Identity()


def without_batch_norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of a network whose 3x3 convolutions were followed by batch norms -> that of one of StandardisedConv2d.

    The convolution is entry 0 of its layer, the norm entry 1. What belongs to no batch norm is kept.
    """
    state = dict(tensors)
    end = ".1.running_mean"
    for layer in [name.removesuffix(end) for name in tensors if name.endswith(end)]:
        norm = {name: state.pop(f"{layer}.1.{name}").double() for name in BATCH_NORM}
        state.pop(f"{layer}.1.num_batches_tracked", None)
        scale = norm["weight"] / (norm["running_var"] + BATCH_EPSILON).sqrt()
        filters = state[f"{layer}.0.weight"].double() * scale[:, None, None, None]
        means = filters.mean(dim=(1, 2, 3))
        spread = (filters - means[:, None, None, None]).square().sum(dim=(1, 2, 3)).sqrt()
        state |= {
            f"{layer}.0.{name}": value.float()
            for name, value in {
                "weight": filters,
                "gain": spread.clamp_min(SMALLEST) / RELU_GAIN,
                "offset": means * filters[0].numel(),
                "bias": norm["bias"] - norm["running_mean"] * scale,
            }.items()
        }
    return state
