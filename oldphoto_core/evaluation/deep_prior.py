"""The rival `dip`: a network fitted to one degraded photo, stopped before it takes up the damage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from oldphoto_core.errors import ConfigError
from oldphoto_core.evaluation.early_stop import MovingVariance
from oldphoto_core.nets.rivals.deep_prior import Hourglass, HourglassConfig

NOISE = 0.1
"""Deviation of the network's input, which is uniform noise in the paper, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepPriorConfig:
    """How long a network is fitted to a photo, and when the fit stops earlier."""

    iterations: int = 1500
    """Most steps of Adam."""
    learning_rate: float = 0.01
    """Of Adam, as in the paper."""
    jitter: float = 1 / 30
    """Deviation of the noise that is added to the input in every step, as in the paper."""
    window: int = 50
    """Outputs whose variance decides when to stop."""
    patience: int = 200
    """Steps without a lower variance after which the fit stops."""
    seed: int = 0
    """Of weights and noise, with the photo's pixels."""
    network: HourglassConfig = field(default_factory=HourglassConfig)
    """Shape of the network."""

    def __post_init__(self) -> None:
        """Refuses fits that never see a whole window."""
        if not 2 <= self.window <= self.iterations or self.patience < 1:
            raise ConfigError(
                f"DeepPriorConfig is iterations={self.iterations}, window={self.window}, patience={self.patience};"
                " give 2 <= window <= iterations and a patience of 1 or more"
            )


def deep_prior_restore(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], config: DeepPriorConfig | None = None
) -> NDArray[np.uint8]:
    """Return what a network makes of noise once it makes `image_HWC` where `mask_HW` marks nothing (section 2).

    The loss sees the degraded photo outside the mask and nothing else; the truth is not known here. The same photo,
    mask and config give the same result on the same machine.
    """
    config = config or DeepPriorConfig()
    height, width = image.shape[:2]
    multiple = 2**config.network.depth
    # the deepest level must have two pixels a side, over which it mirrors edges
    right, bottom = (max(2 * multiple, -(-side // multiple) * multiple) - side for side in (width, height))
    padding = (0, right, 0, bottom)
    photo = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255.0
    known = torch.from_numpy(~mask)[None, None].float()
    # replicated edges exist for any size; what is padded counts as unknown
    target, weight = pad(photo, padding, mode="replicate"), pad(known, padding)
    made = fit(target, weight, config, _seed(config.seed, image))[:height, :width]
    return (made * 255.0).round().clip(0, 255).astype(np.uint8)


def fit(target: Tensor, weight: Tensor, config: DeepPriorConfig, seed: int) -> NDArray[np.float32]:
    """Return the output HWC in [0, 1] at the lowest moving variance; `target_13HW`, `weight_11HW` 0 = unknown."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Hourglass(config.network)
        noise = torch.rand(1, config.network.channels, *target.shape[2:]) * NOISE
        optimiser = torch.optim.Adam(network.parameters(), config.learning_rate)
        watch = MovingVariance(config.window, config.patience)
        for _ in range(config.iterations):
            optimiser.zero_grad(set_to_none=True)
            output = network(noise + config.jitter * torch.randn_like(noise))
            loss = ((output - target).square() * weight).mean()
            loss.backward()
            optimiser.step()
            if watch.add(output.detach()[0].permute(1, 2, 0).numpy()):
                break
    assert watch.best is not None  # a window is at most as long as the fit
    return watch.best


def _seed(seed: int, image: NDArray[np.uint8]) -> int:
    """A seed of the photo, so that the result does not depend on what was restored before."""
    digest = hashlib.sha256(f"{seed} {image.shape} ".encode() + image.tobytes()).digest()
    return int.from_bytes(digest[:7], "big")
