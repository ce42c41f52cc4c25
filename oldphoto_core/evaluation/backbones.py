"""Metrics that look through a trained network: LPIPS and FID. Their weights are files that the user has, or they are
not measured. Nothing is downloaded, and no Python object is unpickled.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oldphoto_core.checkpoints.archives import read_state
from oldphoto_core.checkpoints.tensors import check_fit
from oldphoto_core.errors import ConfigError, DamagedWeights

NAMED_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
"""The custom of published weights: `alexnet-owt-7be5be79.pth` has a sha256 that begins with those digits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbones:
    """Files of trained networks. What is not given is not measured."""

    lpips_backbone: Path | None = None
    """AlexNet's weights as published for torchvision (`alexnet-owt-7be5be79.pth`)."""
    lpips_heads: Path | None = None
    """LPIPS's linear layers for it, version 0.1 (`alex.pth`)."""
    fid_network: Path | None = None
    """TorchScript of Inception that returns features NC for N3HW uint8 (`inception-2015-12-05.pt`)."""
    sha256: tuple[str, ...] = ()
    """Digests that the files must have, in the order above, of those given; none: only what their names say."""

    def __post_init__(self) -> None:
        """Refuses half of LPIPS, and digests without files."""
        if (self.lpips_backbone is None) != (self.lpips_heads is None):
            raise ConfigError("LPIPS needs two files, the backbone's and the heads'; give both or neither")
        if self.sha256 and len(self.sha256) != len(self.files):
            raise ConfigError(f"{len(self.sha256)} digests were given for {len(self.files)} files; give one for each")

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


class Lpips(nn.Module):
    """Learned perceptual distance (Zhang et al., CVPR 2018), AlexNet, version 0.1: N3HW in [0, 1] twice -> N."""

    SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
    WIDTHS = (64, 192, 384, 256, 256)

    def __init__(self, backbone: Path, heads: Path) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, stride=4, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in self.WIDTHS)
        self.register_buffer("shift", torch.tensor(self.SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(self.SCALE).view(1, 3, 1, 1))
        _fill(self.layers, backbone, [f"features.{number}" for number in (0, 3, 6, 8, 10)])
        _fill(self.heads, heads, [f"lin{number}.model.1" for number in range(5)])
        self.eval().requires_grad_(False)

    def forward(self, made: Tensor, truth: Tensor) -> Tensor:
        """One distance an image, 0 for equal ones."""
        total = torch.zeros(len(made))
        pairs = zip(self._features(made), self._features(truth), self.heads, strict=True)
        for ours, theirs, head in pairs:
            total = total + head((ours - theirs).square()).mean(dim=(1, 2, 3))
        return total

    def _features(self, image: Tensor) -> list[Tensor]:
        x = (2.0 * image - 1.0 - self.get_buffer("shift")) / self.get_buffer("scale")
        found = []
        for number, layer in enumerate(self.layers):
            x = nn.functional.max_pool2d(x, 3, 2) if number in (1, 2) else x
            x = torch.relu(layer(x))
            found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found


class Fid:
    """Frechet Inception distance (Heusel et al., NeurIPS 2017) between what methods made and the clean photos.

    Of few photos it is biased upwards, for all methods alike: compare within one table only.
    """

    def __init__(self, network: Path) -> None:
        try:
            self._network: Any = torch.jit.load(str(network), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            raise DamagedWeights(f"{network.name} is no TorchScript of a network: {error}") from error
        self._features: dict[str, list[Tensor]] = {}

    def add(self, name: str, photo: NDArray[np.uint8]) -> None:
        """One photo HWC uint8 of the method `name`."""
        with torch.inference_mode():
            features = self._network(torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None])
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


def _fill(layers: nn.ModuleList, path: Path, names: list[str]) -> None:
    """Loads the layers from the entries of those names; the file may hold others."""
    wanted = {f"{name}.{part}": tensor for name, layer in zip(names, layers, strict=True)
              for part, tensor in layer.state_dict().items()}  # fmt: skip
    given = {key: tensor for key, tensor in read_state(path.read_bytes(), path.name).items() if key in wanted}
    check_fit(given, {key: tensor.shape for key, tensor in wanted.items()}, path.name)
    with torch.no_grad():
        for key, tensor in given.items():
            wanted[key].copy_(tensor)
