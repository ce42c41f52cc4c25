"""Tensors and JSON in one file, by safetensors: nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from oldphoto_core.errors import DamagedWeights

METADATA_KEY = "oldphoto"


def pack(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> bytes:
    """One safetensors file; `metadata` must be JSON-ready."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(contiguous, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def unpack(data: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `pack`; `name` is for the message of DamagedWeights."""
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        metadata = json.loads(header.get("__metadata__", {}).get(METADATA_KEY, "{}"))
        if not isinstance(metadata, dict):
            raise TypeError("its metadata is no table")
    # a damaged header can make safetensors and torch raise anything at all
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise DamagedWeights(f"{name} is not a whole safetensors file ({why}); fetch or train it again") from error
    return tensors, metadata


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """The module's state with `prefix.` before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def load_prefixed(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Fills `module` from the entries under `prefix.`; DamagedWeights names what is missing, unknown or misshapen."""
    expected = prefixed(prefix, module)
    found = {key: value for key, value in tensors.items() if key.startswith(f"{prefix}.")}
    check_fit(found, {key: value.shape for key, value in expected.items()}, name)
    with torch.no_grad():
        for key, value in found.items():
            expected[key].copy_(value)


def check_fit(found: Mapping[str, Tensor], expected: Mapping[str, torch.Size], name: str) -> None:
    """DamagedWeights names the first entries that are missing, unknown or misshapen, and counts them."""
    problems = [f"{key} is missing" for key in expected if key not in found]
    problems += [f"{key} is unknown" for key in found if key not in expected]
    problems += [
        f"{key} is {tuple(value.shape)}, the network has {tuple(expected[key])}"
        for key, value in found.items()
        if key in expected and value.shape != expected[key]
    ]
    if problems:
        raise DamagedWeights(
            f"{name} does not fit its network: {'; '.join(problems[:4])} ({len(problems)} entries in all)"
        )
