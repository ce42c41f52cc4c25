"""The published checkpoints of "Bringing Old Photos Back to Life": which file holds which network, and its names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oldphoto_core.checkpoints.tensors import check_fit
from oldphoto_core.errors import DamagedWeights
from oldphoto_core.nets.mapping import PaperMapping, PaperScratchMapping
from oldphoto_core.nets.official.faces import FaceGenerator
from oldphoto_core.nets.official.patch_attention import PatchAttentionMapping
from oldphoto_core.nets.scratch_unet import ScratchUNet
from oldphoto_core.nets.vae import PaperVAE

GLOBAL, FACE = "global_checkpoints.zip", "face_checkpoints.zip"
"""The two archives, as they are published."""

_NORMED = re.compile(r"\.conv_[01s]\.weight$")
"""Weights of the face generator that were trained under spectral norm."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One network in one file of one archive."""

    archive: str
    file: str
    """Path below the archive's `checkpoints/`."""
    build: Callable[[], nn.Module]
    wrapper: str = ""
    """Key under which the file keeps the weights, where it keeps other things too."""
    spectral: bool = False
    """Whether weights come as weight_orig with weight_u and weight_v."""

    def network(self, state: Mapping[str, Tensor], name: str, *, converted: bool = False) -> nn.Module:
        """The network with these weights, in evaluation mode; DamagedWeights names what does not fit.

        `converted`: the entries are those of our own files, with spectral norm folded already.
        """
        with torch.device("meta"):
            network = self.build()
        expected = {key: value.shape for key, value in network.state_dict().items()}
        check_fit(state, expected if converted else self.entries(), name)
        if self.spectral and not converted:
            state = _folded(state)
        network.load_state_dict(_plain(state, name), assign=True)
        return network.eval().requires_grad_(False)

    def entries(self) -> dict[str, torch.Size]:
        """Names and shapes as published."""
        with torch.device("meta"):
            network = self.build()
        entries: dict[str, torch.Size] = {}
        for key, value in network.state_dict().items():
            if self.spectral and _NORMED.search(key):
                entries[f"{key}_orig"] = value.shape
                entries[f"{key}_u"] = value.shape[:1]
                entries[f"{key}_v"] = torch.Size([value[0].numel()])
            else:
                entries[key] = value.shape
        return entries


def _face(folder: str) -> Piece:
    return Piece(FACE, f"{folder}/latest_net_G.pth", FaceGenerator, spectral=True)


def _restoration(folder: str, build: Callable[[], nn.Module], kind: str = "mapping_net") -> Piece:
    return Piece(GLOBAL, f"restoration/{folder}/latest_net_{kind}.pth", build)


PIECES: dict[str, Piece] = {
    "vae_old": _restoration("VAE_A_quality", PaperVAE, "G"),
    "vae_quality": _restoration("VAE_B_quality", PaperVAE, "G"),
    "vae_scratch": _restoration("VAE_B_scratch", PaperVAE, "G"),
    "mapping_quality": _restoration("mapping_quality", PaperMapping),
    "mapping_scratch": _restoration("mapping_scratch", lambda: PaperScratchMapping(as_published=True)),
    "mapping_high_resolution": _restoration("mapping_Patch_Attention", PatchAttentionMapping),
    "detector": Piece(GLOBAL, "detection/FT_Epoch_latest.pt", ScratchUNet, wrapper="model_state"),
    "face_256": _face("Setting_9_epoch_100"),
    "face_512": _face("FaceSR_512"),
}
"""By the names that they have here."""


def _folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Spectral norm made part of the weights: W / (u^T W v)."""
    folded = {}
    for key, value in state.items():
        if key.endswith("weight_orig"):
            plain = key.removesuffix("_orig")
            sigma = torch.dot(state[f"{plain}_u"], value.flatten(1) @ state[f"{plain}_v"])
            folded[plain] = value / sigma
        elif not key.endswith(("weight_u", "weight_v")):
            folded[key] = value
    return folded


def _plain(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Float32 numbers (counters stay whole numbers); DamagedWeights names the first entry that is none of either."""
    plain = {}
    for key, value in state.items():
        counter = key.endswith("num_batches_tracked")
        if counter == value.is_floating_point() or value.is_complex() or not value.isfinite().all():
            raise DamagedWeights(f"{name}: {key} does not hold finite numbers ({value.dtype}); fetch the archive again")
        plain[key] = value if counter else value.float()
    return plain
