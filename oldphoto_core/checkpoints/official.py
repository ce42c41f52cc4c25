"""The published checkpoints ready for use, number for number: from their archives, their folders, or once imported.

    restored = official.load(["global_checkpoints.zip", "face_checkpoints.zip"]).quality(image)

Tensors are NCHW float32, images in [-1, 1], masks 1 = damaged. Pictures of any size come back in their own size: they
are continued by reflection to what the networks take, and cut again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from oldphoto_core.checkpoints.archives import Reader
from oldphoto_core.checkpoints.importing import convert, imported_networks, is_imported, pieces_in, read_piece
from oldphoto_core.checkpoints.published import FACE, GLOBAL, PIECES
from oldphoto_core.errors import ModelError, UsageError
from oldphoto_core.nets.architectures import PUBLISHED, architecture_named
from oldphoto_core.nets.mapping import PaperScratchMapping
from oldphoto_core.nets.official.faces import FACE_SIDES
from oldphoto_core.nets.padding import mirrored
from oldphoto_core.nets.scratch_unet import ScratchUNet
from oldphoto_core.nets.vae import LATENT_STRIDE, PaperVAE

__all__ = ["Official", "convert", "load"]

Source = str | os.PathLike[str]


class Official:
    """The published networks, those of them that were given; a method whose network is missing says which archive."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        """`networks` by the names of `published.PIECES`."""
        self.networks = dict(networks)

    def to(self, device: str) -> Official:
        """The same networks on another device, where tensors must then lie too."""
        for network in self.networks.values():
            network.to(device)
        return self

    def encode(self, image: Tensor) -> Tensor:
        """N3HW -> latent, N x 64 x H/4 x W/4 (rounded up)."""
        height, width = (-(-side // LATENT_STRIDE) for side in _checked(image, 3).shape[2:])
        with torch.no_grad():
            return self._vae("vae_old").encode(_fitted(image))[..., :height, :width]

    def reconstruct(self, image: Tensor) -> Tensor:
        """N3HW through encoder and decoder of the old photos' autoencoder, nothing restored."""
        vae = self._vae("vae_old")
        return _same_size(lambda picture: vae.decode(vae.encode(picture)), image)

    def quality(self, image: Tensor) -> Tensor:
        """N3HW restored, for a photo without scratches."""
        old, mapping, clean = self._vae("vae_old"), self._network("mapping_quality"), self._vae("vae_quality")
        return _same_size(lambda picture: clean.decode(mapping(old.encode(picture))), image)

    def scratch(self, image_with_white_holes: Tensor, mask: Tensor) -> Tensor:
        """N3HW restored, damaged pixels (N1HW mask) filled by the partial nonlocal block."""
        old, clean = self._vae("vae_old"), self._vae("vae_scratch")
        mapping = cast(PaperScratchMapping, self._network("mapping_scratch"))
        into = nn.Sequential(old.encoder, mapping.before_NL)

        def restored(picture: Tensor, damaged: Tensor) -> Tensor:
            # exp of unscaled scores magnifies every rounding before it; in float32 two machines differ by 2e-4
            return clean.decode(mapping.translate(_in_double(into, picture), damaged))

        return _same_size(restored, image_with_white_holes, _checked_mask(mask, image_with_white_holes))

    def high_resolution(self, image_with_white_holes: Tensor, mask: Tensor) -> Tensor:
        """N3HW restored, damaged pixels (N1HW mask) filled by multi-scale patch attention."""
        old, clean = self._vae("vae_old"), self._vae("vae_scratch")
        mapping = self._network("mapping_high_resolution")
        return _same_size(
            lambda picture, damaged: clean.decode(mapping(old.encode(picture), damaged)),
            image_with_white_holes,
            _checked_mask(mask, image_with_white_holes),
        )

    def scratch_logits(self, grey: Tensor) -> Tensor:
        """N1HW grey photo -> N1HW; the sigmoid is the probability that a pixel is damaged."""
        detector = self._network("detector")
        height, width = _checked(grey, 1).shape[2:]
        with torch.no_grad():
            scores: Tensor = detector(mirrored(grey, ScratchUNet.multiple, ScratchUNet.minimum))
        return scores[..., :height, :width]

    def face(self, image: Tensor) -> Tensor:
        """N3HW aligned face of 256 or 512 pixels square -> the restored face."""
        height, width = _checked(image, 3).shape[2:]
        if height != width or height not in FACE_SIDES:
            raise UsageError(f"the face is {width} x {height}; give 256 x 256 or 512 x 512")
        with torch.no_grad():
            restored: Tensor = self._network(f"face_{height}")(image)
        return restored

    def _network(self, name: str) -> nn.Module:
        if name not in self.networks:
            piece = PIECES[name]
            raise ModelError(f"this needs {piece.file} of {piece.archive}, which was not given; load that archive too")
        return self.networks[name]

    def _vae(self, name: str) -> PaperVAE:
        return cast(PaperVAE, self._network(name))


def load(path_or_paths: Source | Iterable[Source]) -> Official:
    """The published networks out of one or both archives, folders that they were unpacked to, or an imported model.

    Each file must hold exactly the entries of its network. Nothing in the files is run, nothing is written.

    Raises:
        UnknownModel: no such file.
        DamagedWeights: an archive that is truncated, built to do harm, or holds something else; the message says what.
    """
    given = [path_or_paths] if isinstance(path_or_paths, (str, os.PathLike)) else list(path_or_paths)
    if not given:
        raise UsageError(f"no checkpoints were given; give {GLOBAL}, {FACE}, or both")
    imported = [os.fspath(source) for source in given if is_imported(source)]
    published = [Path(source) for source in given if not is_imported(source)]
    places: dict[str, tuple[Reader, Path]] = {}
    for path in published:
        found = pieces_in(path)
        if twice := sorted(places.keys() & found.keys()):
            raise UsageError(f"{path} holds {', '.join(twice)}, which another path holds too; give each archive once")
        places |= {name: (reader, path) for name, reader in found.items()}
    networks = {name: read_piece(name, reader, path) for name, (reader, path) in places.items()}
    for model in imported:
        networks |= imported_networks(model)
    return Official(networks)


def _in_double(network: nn.Module, x: Tensor) -> Tensor:
    """The network's result with all rounding done at the end."""
    weights = {name: value.double() for name, value in network.state_dict().items()}
    result: Tensor = functional_call(network, weights, (x.double(),))
    return result.float()


def _fitted(picture: Tensor) -> Tensor:
    contract = architecture_named(PUBLISHED)
    return mirrored(picture, contract.multiple, contract.minimum)


def _same_size(run: Callable[..., Tensor], image: Tensor, *masks: Tensor) -> Tensor:
    height, width = _checked(image, 3).shape[2:]
    with torch.no_grad():
        return run(*(_fitted(picture) for picture in (image, *masks)))[..., :height, :width]


def _checked(image: Tensor, channels: int) -> Tensor:
    if image.ndim != 4 or image.shape[1] != channels or image.dtype != torch.float32 or not image.numel():
        raise UsageError(
            f"got {image.dtype} of shape {tuple(image.shape)}; give float32 of shape N x {channels} x H x W"
        )
    return image


def _checked_mask(mask: Tensor, image: Tensor) -> Tensor:
    if _checked(mask, 1).shape[2:] != image.shape[2:] or len(mask) != len(image):
        raise UsageError(f"the mask is {tuple(mask.shape)}, the image {tuple(image.shape)}; make N, H and W equal")
    return mask
