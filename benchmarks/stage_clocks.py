"""Clocks for the three networks of a restoration: encoder, mapping and decoder. Imported by `throughput.py`."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from measuring import networks_of, seconds, synchronise
from torch import nn

from oldphoto_core import Restorer
from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.nets.winograd import WinogradConv2d


class Stages:
    """Seconds that the encoder, the mapping and the decoder of a placed network take, over all its calls."""

    NAMES = ("encode", "map", "decode")

    def __init__(self, networks: Any, device: str) -> None:
        self._cuda = device.startswith("cuda")
        self._marks: dict[str, list[tuple[Any, Any]]] = {name: [] for name in self.NAMES}
        self._hooks: list[Any] = []
        for name, part in zip(self.NAMES, networks.path(masked=False), strict=True):
            self._watch(name, part)

    def _watch(self, name: str, part: nn.Module) -> None:
        begun: list[Any] = []
        self._hooks += [
            part.register_forward_pre_hook(lambda *_: begun.append(self._now())),
            part.register_forward_hook(lambda *_: self._marks[name].append((begun.pop(), self._now()))),
        ]

    def _now(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def begin(self) -> None:
        """Forgets what was measured."""
        for marks in self._marks.values():
            marks.clear()

    def spent(self) -> dict[str, float]:
        """Since then; a GPU must have been waited for."""
        return {name: sum(self._between(*pair) for pair in pairs) for name, pairs in self._marks.items()}

    def span(self) -> float:
        """From the first network's first beginning to the last one's last end."""
        first, last = (self._marks[name] for name in (self.NAMES[0], self.NAMES[-1]))
        return self._between(first[0][0], last[-1][1])

    def _between(self, begin: Any, end: Any) -> float:
        return float(begin.elapsed_time(end)) / 1000 if self._cuda else float(end - begin)

    def remove(self) -> None:
        """Stops listening."""
        for hook in self._hooks:
            hook.remove()


def by_modules(restorer: Restorer, pixels: Any) -> tuple[float, dict[str, float]]:
    """Seconds, and those of each network, measured where it is called."""
    stages = Stages(networks_of(restorer), restorer.device)
    spent = seconds(lambda: restorer.restore(pixels), restorer.device)
    stages.remove()
    return spent, stages.spent()


def by_layers(restorer: Restorer, pixels: Any) -> tuple[float, dict[str, float]]:
    """Seconds, and those of each network, by the convolutions that have been stored."""
    encoder, _, decoder = (convolutions(part) for part in networks_of(restorer).path(masked=False))
    heard: list[float] = []
    result = ArrayCanvas(np.empty_like(pixels))
    started = time.perf_counter()
    restorer.restore_canvas(ArrayCanvas(pixels), result, None, lambda *_: heard.append(time.perf_counter()))
    synchronise(restorer.device)
    ended = time.perf_counter()
    # of the mapping, what only a mask calls for is not computed
    encoded, mapped = heard[encoder - 1], heard[len(heard) - decoder - 1]
    return ended - started, {"encode": encoded - started, "map": mapped - encoded, "decode": ended - mapped}


def convolutions(network: nn.Module) -> int:
    """How many a network has that are layers."""
    return sum(isinstance(one, nn.Conv2d | nn.ConvTranspose2d | WinogradConv2d) for one in network.modules())
