"""Archives in the published layout with weights of our own: small on disk, full size where a test needs numbers."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from oldphoto_core.checkpoints.published import PIECES

State = dict[str, Any]


def constant_state(name: str) -> State:
    """Every entry one number, stored once: a file of a few kilobytes for a network of any size."""
    return {key: _constant(key).expand(shape) for key, shape in PIECES[name].entries().items()}


def random_state(name: str) -> State:
    """Reproducible numbers that keep activations within bounds."""
    state = {}
    for key, shape in PIECES[name].entries().items():
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(f"{name} {key}".encode())))
        fan_in = max(1, shape[1:].numel())
        state[key] = noise * (2 / fan_in) ** 0.5 if len(shape) == 4 else _constant(key).expand(shape) + 0.1 * noise
    return state


def saved(state: Any, name: str = "", **options: Any) -> bytes:
    """As torch saves it, wrapped as that file is."""
    buffer = io.BytesIO()
    torch.save({wrapper: state, "epoch": 7} if (wrapper := name and PIECES[name].wrapper) else state, buffer, **options)
    return buffer.getvalue()


def members(archive: str, changed: Mapping[str, Callable[[State], Any]] | None = None) -> dict[str, bytes]:
    """File name -> bytes; `changed` are states to alter, by the names of PIECES."""
    files = {}
    for name, piece in PIECES.items():
        if piece.archive == archive:
            state: Any = random_state(name) if name == "vae_old" else constant_state(name)
            files[f"checkpoints/{piece.file}"] = saved((changed or {}).get(name, dict)(state), name)
    return files


def zipped(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def _constant(key: str) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    return torch.full((), 1.0 if "running_var" in key else 0.01)
