"""The whole state of a stage as one safetensors file: networks, their average, optimisers, history, step.

Data, degradation and noise are functions of (seed, step), so no random generator needs saving.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from oldphoto_core.checkpoints.tensors import load_prefixed, pack, prefixed, unpack
from oldphoto_core.training.stages import Stage


def save_snapshot(stage: Stage, metadata: dict[str, Any]) -> bytes:
    """`metadata` is JSON-ready: step, config, time spent, history."""
    tensors: dict[str, Tensor] = {}
    groups: dict[str, Any] = {}
    for name, network in stage.modules().items():
        tensors |= prefixed(f"network.{name}", network)
    for name, optimiser in stage.optimisers.items():
        state = optimiser.state_dict()
        groups[name] = state["param_groups"]
        for index, values in state["state"].items():
            tensors |= {f"optimiser.{name}.{index}.{key}": torch.as_tensor(value) for key, value in values.items()}
    return pack(tensors, metadata | {"groups": json.dumps(groups)})


def load_snapshot(stage: Stage, data: bytes, name: str) -> dict[str, Any]:
    """Puts networks and optimisers back; returns the metadata. Raises DamagedWeights if the file does not fit."""
    tensors, metadata = unpack(data, name)
    for network_name, network in stage.modules().items():
        load_prefixed(f"network.{network_name}", network, tensors, name)
    groups = json.loads(metadata.pop("groups"))
    for optimiser_name, optimiser in stage.optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        start = f"optimiser.{optimiser_name}."
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        for key, value in tensors.items():
            if key.startswith(start):
                index, field = key.removeprefix(start).split(".", 1)
                like = parameters[int(index)]
                # the moments follow the parameter's memory layout, as they did before they were saved
                kept = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
                state.setdefault(int(index), {})[field] = kept
        optimiser.load_state_dict({"state": state, "param_groups": groups[optimiser_name]})
    return metadata
