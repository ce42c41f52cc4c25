"""What a user may decide about the network of a restoration, typed and checked on construction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from oldphoto_core.errors import ConfigError

Precision = Literal["auto", "float32", "float16", "bfloat16"]
"""Of a network's arithmetic. `auto`: float16 on CUDA; on a CPU bfloat16 for photos of 8 bits where the processor
multiplies it and the network bears it (`Preset.bears_bfloat16`), else float32."""
Arithmetic = Literal["float32", "float16", "bfloat16"]
"""The same, decided."""


def is_device(name: str) -> bool:
    """Whether devices are called so; whether this machine has it is for `devices.resolve_device` to say."""
    return re.fullmatch(r"auto|cpu|cuda(:\d+)?", name) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkOptions:
    """Which network restores, and how it is run: one value from the command to the network.

    An option that reaches the network is a field here, an option of the command, a parameter of the flow, and what
    `Restorer` or `Runner` makes of it.
    """

    model: str = "starter"
    """Name of the weights, a folder or URL of them, or `champion`, `previous` or NAME@VERSION of the registry."""

    device: str = "auto"
    """"auto", "cpu", "cuda" or "cuda:N"."""

    memory: float | None = None
    """Bytes that restoring a photo may take on the device; None: a share of what is free. What does not fit is restored
    in parts."""

    precision: Precision = "auto"
    """Of the network's arithmetic."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("model is empty; give a name, a folder or a URL, or leave it out")
        if not is_device(self.device):
            raise ConfigError(f"no device is called {self.device!r}; give auto, cpu, cuda or cuda:N")
        if self.memory is not None and not self.memory >= 1:
            raise ConfigError(f"memory is {self.memory}; give a number of bytes above 0, or leave it out")
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision is {self.precision!r}; choose one of {', '.join(get_args(Precision))}")


DEFAULT_NETWORK = NetworkOptions()
"""What holds where nobody says."""
