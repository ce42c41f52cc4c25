"""One step of the stage `cyclegan`: the unpaired rival (Zhu et al., ICCV 2017), trained by the same loop.

With G from old photos to clean ones and F back, both least-squares games; L1 between F(G(r)) and r, and G(F(y)) and y
(`reconstruction`); and L1 between G(y) and y, and F(r) and r (`identity`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oldphoto_core.nets.discriminators import ImageDiscriminator, lsgan
from oldphoto_core.nets.presets import preset_named
from oldphoto_core.nets.rivals.cyclegan import BothWays
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.photos.batches import Batch
from oldphoto_core.training.process_group import ALONE, ProcessGroup
from oldphoto_core.training.rivals.image_history import ImageHistory
from oldphoto_core.training.stages import Losses, Stage

ROOM = 50
"""Images that each history holds, as published."""


@dataclass(frozen=True, slots=True)
class _Made:
    """Of one part of a batch: what it asked the histories with, and what was made of it."""

    part: int
    restored: Tensor
    aged: Tensor


class CycleGanStage(Stage):
    """Two generators, a PatchGAN (70 x 70) for each domain, and what the generators made before."""

    def __init__(
        self,
        config: StageConfig,
        generators: BothWays,
        device: str = "cpu",
        workers: int = 1,
        group: ProcessGroup = ALONE,
    ) -> None:
        """Trains both generators. Of several processes each keeps a history of what it made itself."""
        super().__init__(config, generators, device, workers, group)
        self._clean, self._old = (ImageHistory(ROOM, config.crop).to(device) for _ in range(2))
        self._made: list[_Made] = []

    def _critics(self) -> dict[str, nn.Module]:
        width = preset_named(self.config.preset).cyclegan.width
        names = ("critic_clean", "critic_old") if self.config.adversarial.value else ()
        return {name: ImageDiscriminator(width=width, layers=4, scales=1) for name in names}

    def modules(self) -> dict[str, nn.Module]:
        """The histories are part of what a resumed training goes on with."""
        return super().modules() | {"history_clean": self._clean, "history_old": self._old}

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """One update of every network; then the histories keep what was made."""
        self._made.clear()
        values = super().step(batch, step)
        parts = sorted(self._made, key=lambda made: made.part)
        self._clean.add([made.restored for made in parts], step)
        self._old.add([made.aged for made in parts], step)
        self._made.clear()
        return values

    def losses(self, batch: Batch, step: int, noise: torch.Generator) -> tuple[Losses, Losses]:
        """reconstruction * cycle + identity * L1 + both games, on crops of old and of clean photos."""
        config, ways = self.config, cast(BothWays, self.networks["generator"])
        assert batch.old is not None
        old, clean = batch.old, batch.clean
        restored, aged = ways.restore(old).float(), ways.age(clean).float()
        terms = {"cycle": F.l1_loss(ways.age(restored).float(), old) + F.l1_loss(ways.restore(aged).float(), clean)}
        minimised = {"generator": config.reconstruction * terms["cycle"]}
        if config.identity:
            terms["identity"] = F.l1_loss(ways.restore(clean).float(), clean) + F.l1_loss(ways.age(old).float(), old)
            minimised["generator"] = minimised["generator"] + config.identity * terms["identity"]
        if config.adversarial.at(step):
            self._game("critic_clean", restored, clean, self._clean, step, noise, minimised, terms)
            self._game("critic_old", aged, old, self._old, step, noise, minimised, terms)
        self._made.append(_Made(noise.initial_seed(), restored.detach(), aged.detach()))
        return minimised, terms | {"loss": minimised["generator"]}

    def _game(
        self,
        name: str,
        made: Tensor,
        real: Tensor,
        history: ImageHistory,
        step: int,
        noise: torch.Generator,
        minimised: Losses,
        terms: Losses,
    ) -> None:
        critic = self.networks[name]
        fools = lsgan(critic(made), 1.0)
        terms["adversarial"] = terms.get("adversarial", 0.0) + fools
        minimised["generator"] = minimised["generator"] + self.config.adversarial.at(step) * fools
        earlier = history.mixed(made.detach(), noise)
        terms[name] = 0.5 * (lsgan(critic(real), 1.0) + lsgan(critic(earlier), 0.0))
        minimised[name] = terms[name]

    def restore(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """What the generator from old to clean makes of `image`; the mask is not looked at."""
        restored: Tensor = self.networks["generator"](image)
        return restored
