"""What one step computes in each stage (sections 3.1 and 3.2). A stage owns its networks and their optimisers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from oldphoto_core.devices import place
from oldphoto_core.nets.discriminators import feature_matching, lsgan
from oldphoto_core.nets.presets import VAE, Triplet, preset_named
from oldphoto_core.training.compiling import compile_in_place
from oldphoto_core.training.config import StageConfig
from oldphoto_core.training.perceptual import PerceptualDistance
from oldphoto_core.training.photos.batches import Batch
from oldphoto_core.training.process_group import ALONE, ProcessGroup

Losses = dict[str, Tensor]
"""Name -> a scalar: terms for the log, or what each network minimises."""
Gradients = dict[str, tuple[Tensor, ...]]

CRITIC_LEARNING_RATE = 2e-4
"""Critics learn at most at the published rate, or they win before the game has begun."""


class Stage(ABC):
    """Networks that learn together: a generator, and the critics whose terms are on."""

    def __init__(
        self, config: StageConfig, generator: nn.Module, device: str, workers: int, group: ProcessGroup = ALONE
    ) -> None:
        """`workers`: on a CPU, parts of the batch that are computed side by side, each on a thread of its own.

        One operation spread over two cores left half of the second one idle; two half batches keep both busy. `group`:
        the processes whose gradients are added up.
        """
        self.config = config
        self.device = device
        self.group = group
        self.networks: dict[str, nn.Module] = {"generator": generator, **self._critics()}
        for network in self.networks.values():
            place(network, device)
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=config.betas, fused=True)
            for name, network in self.networks.items()
        }
        self._average: AveragedModel | None = None
        if config.averaging:
            moving = get_ema_multi_avg_fn(config.averaging)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(generator, multi_avg_fn=moving)
        # the compiler's own threads, and the guards of what it compiled, are no place for several of ours
        side_by_side = device == "cpu" and not config.compiled
        self._workers = max(1, min(workers, config.batch // (2 * group.size))) if side_by_side else 1
        # frozen, so it is neither optimised nor kept in checkpoints
        self._perceptual = place(PerceptualDistance(), device) if config.perceptual.value else None
        if config.compiled:
            for network in self.networks.values():
                compile_in_place(network)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="gradients") if self._workers > 1 else None

    def _critics(self) -> dict[str, nn.Module]:
        # a critic that is never asked costs nothing: it is built only if its term is on
        config, preset = self.config, preset_named(self.config.preset)
        critics = {}
        if config.adversarial.value or config.feature_matching.value:
            critics["critic_image"] = preset.image_discriminator()
        if config.stage in ("vae_old", "joint") and config.latent_adversarial.value:
            critics["critic_latent"] = preset.latent_discriminator()
        return critics

    @abstractmethod
    def losses(self, batch: Batch, step: int, noise: torch.Generator) -> tuple[Losses, Losses]:
        """What each network minimises on this batch, by name, and the terms worth logging."""

    @abstractmethod
    def restore(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """What validation looks at: the reconstruction, or the restoration."""

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """One update of every network; returns the terms of the loss, averaged over the batch."""
        parts = batch.parts(self._workers * self.config.accumulation)
        totals: dict[str, list[Tensor]] = {}
        terms: dict[str, float] = {}
        for first in range(0, len(parts), self._workers):
            turn = parts[first : first + self._workers]
            results = self._turn(turn, step, self.group.rank * len(parts) + first)
            shares = [len(part.clean) / len(batch.clean) / self.group.size for part in turn]
            _add(totals, [gradients for gradients, _ in results], shares)
            for name in results[0][1]:
                pairs = zip(shares, results, strict=True)
                terms[name] = terms.get(name, 0.0) + sum(share * float(found[name]) for share, (_, found) in pairs)
        terms = self._added_up(totals, terms)
        rate = self._update(step, totals)
        if self._average is not None:
            self._average.update_parameters(self.networks["generator"])
        return {"learning_rate": rate} | terms

    def _turn(self, parts: list[Batch], step: int, first: int) -> list[tuple[Gradients, Losses]]:
        """Gradients of parts that are computed side by side; `first` is the number of the first in the whole batch."""
        numbers = range(first, first + len(parts))
        if self._pool is None:
            return [self._gradients(part, step, number) for part, number in zip(parts, numbers, strict=True)]
        return list(self._pool.map(self._gradients_alone, parts, [step] * len(parts), numbers))

    def _added_up(self, totals: dict[str, list[Tensor]], terms: dict[str, float]) -> dict[str, float]:
        """Over all processes: the gradients in place, the terms as a result."""
        if self.group.size == 1:
            return terms
        told = torch.tensor(list(terms.values()), dtype=torch.float32, device=self.device)
        self.group.add_up([*(total for network in totals.values() for total in network), told])
        return dict(zip(terms, told.tolist(), strict=True))

    def modules(self) -> dict[str, nn.Module]:
        """Everything whose values training changes: the networks, and the average of the generator's weights."""
        found = dict(self.networks)
        if self._average is not None:
            found["average"] = self._average
        return found

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The generator, with the average of its weights for as long as the block lasts, if there is one."""
        generator = self.networks["generator"]
        mean = generator if self._average is None else self._average.module
        pairs = list(zip(generator.parameters(), mean.parameters(), strict=True))

        def swap() -> None:
            for own, other in pairs:
                own.data, other.data = other.data, own.data

        swap()
        try:
            yield generator
        finally:
            swap()

    def drop_average(self) -> None:
        """From here on the generator's own weights are the result."""
        self._average = None

    def _gradients_alone(self, part: Batch, step: int, number: int) -> tuple[Gradients, Losses]:
        torch.set_num_threads(1)  # of this thread: its neighbour has the other core
        return self._gradients(part, step, number)

    def _gradients(self, part: Batch, step: int, number: int) -> tuple[Gradients, Losses]:
        # noise depends on step and part, not on what was drawn before: a resumed training draws the same
        noise = torch.Generator(self.device).manual_seed((self.config.seed * 1_000_003 + step) * 1_009 + number)
        reduced = self.config.precision == "bfloat16"
        # the cache of cast weights is one for all threads, each of which empties it: whether the gradients of a weight
        # that is used twice are added up in bfloat16 would depend on when the neighbour is done
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=reduced, cache_enabled=False):
            minimised, terms = self.losses(part.to(self.device), step, noise)
        # only the named network's own weights get gradients, so a critic is not moved by what the generator minimises
        gradients = {
            name: torch.autograd.grad(
                loss, tuple(self.networks[name].parameters()), retain_graph=True, materialize_grads=True
            )
            for name, loss in minimised.items()
        }
        return gradients, {name: term.detach() for name, term in terms.items()}

    def _update(self, step: int, totals: dict[str, list[Tensor]]) -> float:
        rate = self.config.learning_rate_at(step)
        for name, gradients in totals.items():
            parameters = list(self.networks[name].parameters())
            for parameter, total in zip(parameters, gradients, strict=True):
                # in the parameter's own memory layout: fused optimisers go by memory, not by index, and would give the
                # weights of a channels_last convolution each other's gradients
                parameter.grad = torch.empty_like(parameter).copy_(total)
            if self.config.clip_gradient:
                torch.nn.utils.clip_grad_norm_(parameters, self.config.clip_gradient)
            optimiser = self.optimisers[name]
            for group in optimiser.param_groups:
                group["lr"] = rate if name == "generator" else min(rate, CRITIC_LEARNING_RATE)
            optimiser.step()
        return rate

    def _image_game(self, made: Tensor, real: Tensor, step: int, minimised: Losses, terms: Losses) -> None:
        """Adds the perceptual term, and LSGAN and feature matching against the image critic, to what the networks
        minimise, once they are on. Images may be beside what they were made from (`pix2pix`), and are the last."""
        weight = self.config.perceptual.at(step)
        if self._perceptual is not None and weight:
            terms["perceptual"] = self._perceptual(made[:, -3:], real[:, -3:])
            minimised["generator"] = minimised["generator"] + weight * terms["perceptual"]
        adversarial, matching = self.config.adversarial.at(step), self.config.feature_matching.at(step)
        if not (adversarial or matching):
            return
        critic = self.networks["critic_image"]
        scores = critic(made)
        if adversarial:
            terms["adversarial"] = lsgan(scores, 1.0)
            minimised["generator"] = minimised["generator"] + adversarial * terms["adversarial"]
        real_scores = critic(real)
        if matching:
            terms["feature_matching"] = feature_matching(scores, real_scores)
            minimised["generator"] = minimised["generator"] + matching * terms["feature_matching"]
        terms["critic_image"] = 0.5 * (lsgan(real_scores, 1.0) + lsgan(critic(made.detach()), 0.0))
        minimised["critic_image"] = terms["critic_image"]

    def _latent_game(self, mean: Tensor, old: int, step: int, minimised: Losses, terms: Losses) -> None:
        """D_RX tells z_r (1) from z_x (0); the encoder makes each look like the other."""
        weight = self.config.latent_adversarial.at(step)
        if not weight:
            return
        critic = self.networks["critic_latent"]
        scores = critic(mean)
        of_old = [[feature[:old] for feature in scale] for scale in scores]
        of_made = [[feature[old:] for feature in scale] for scale in scores]
        terms["latent_adversarial"] = lsgan(of_old, 0.0) + lsgan(of_made, 1.0)
        terms["critic_latent"] = 0.5 * (lsgan(of_made, 0.0) + lsgan(of_old, 1.0))
        minimised["generator"] = minimised["generator"] + weight * terms["latent_adversarial"]
        minimised["critic_latent"] = terms["critic_latent"]


def _add(totals: dict[str, list[Tensor]], results: list[Gradients], shares: list[float]) -> None:
    """Adds the weighted gradients of one turn, always in the same order, so that the same parts give the same bits."""
    for name, firsts in results[0].items():
        summed = [
            torch.stack([share * result[name][index] for share, result in zip(shares, results, strict=True)]).sum(0)
            for index in range(len(firsts))
        ]
        before = totals.get(name)
        totals[name] = summed if before is None else [ours + more for ours, more in zip(before, summed, strict=True)]


class AutoencoderStage(Stage):
    """`vae_old` (r and x through one latent space, D_RX closing the gap) and `vae_clean` (y)."""

    def __init__(
        self, config: StageConfig, triplet: Triplet, device: str = "cpu", workers: int = 1, group: ProcessGroup = ALONE
    ) -> None:
        """Trains one autoencoder of `triplet`."""
        vae = triplet.vae_old if config.stage == "vae_old" else triplet.vae_clean
        super().__init__(config, vae, device, workers, group)
        self.vae = cast(VAE, vae)

    def losses(self, batch: Batch, step: int, noise: torch.Generator) -> tuple[Losses, Losses]:
        """KL + alpha * L1 + image terms + the latent term."""
        config = self.config
        # r and x go through as one batch: norms are per position or per picture, so neither sees the other
        given = batch.degraded
        if config.shared_autoencoder:
            given = torch.cat([batch.degraded[::2], batch.clean[1::2]])
        images = given if batch.old is None else torch.cat([batch.old, given])
        mean = self.vae.encode(images).float()
        # drawn NHWC and seen as NCHW, so that the sum stays channels_last
        drawn = torch.randn(mean.permute(0, 2, 3, 1).shape, generator=noise, device=mean.device).permute(0, 3, 1, 2)
        made = self.vae.decode(mean + config.latent_noise.at(step) * drawn).float()
        terms = {"l1": F.l1_loss(made, images), "kl": mean.square().mean()}
        minimised = {"generator": config.reconstruction * terms["l1"] + config.kl.at(step) * terms["kl"]}
        self._image_game(made, images, step, minimised, terms)
        if batch.old is not None:
            self._latent_game(mean, len(batch.old), step, minimised, terms)
        return minimised, terms | {"loss": minimised["generator"]}

    def restore(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """The reconstruction of `image`."""
        return self.vae.decode(self.vae.encode(image))


class MappingStage(Stage):
    """`mapping`: T on pairs, both autoencoders frozen."""

    def __init__(
        self, config: StageConfig, triplet: Triplet, device: str = "cpu", workers: int = 1, group: ProcessGroup = ALONE
    ) -> None:
        """Trains the mapping of `triplet`."""
        self.triplet = triplet
        for frozen in (triplet.vae_old, triplet.vae_clean):
            place(frozen.requires_grad_(False), device)
        super().__init__(config, triplet.mapping, device, workers, group)
        if config.compiled:
            for frozen in (triplet.vae_old, triplet.vae_clean):
                compile_in_place(frozen)

    def losses(self, batch: Batch, step: int, noise: torch.Generator) -> tuple[Losses, Losses]:
        """lambda1 * |T(z_x) - z_y| + pixel * |G_Y(T(z_x)) - y| + image terms."""
        vae_old, vae_clean = cast(VAE, self.triplet.vae_old), cast(VAE, self.triplet.vae_clean)
        weight = self.config.latent_distance.at(step)
        with torch.no_grad():
            z_x = vae_old.encode(batch.degraded)
            z_y = vae_clean.encode(batch.clean).float() if weight else None
        translated = self.triplet.mapping(z_x, batch.mask).float()
        made = vae_clean.decode(translated).float()
        terms = {"l1": F.l1_loss(made, batch.clean)}
        minimised = {"generator": self.config.pixel * terms["l1"]}
        if z_y is not None:
            terms["latent"] = F.l1_loss(translated, z_y)
            minimised["generator"] = minimised["generator"] + weight * terms["latent"]
        self._image_game(made, batch.clean, step, minimised, terms)
        return minimised, terms | {"loss": minimised["generator"]}

    def restore(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """The restoration of `image`, whose damaged pixels are white."""
        restored: Tensor = self.triplet(image, mask)
        return restored


def make_stage(
    config: StageConfig, triplet: Triplet, device: str = "cpu", workers: int = 1, group: ProcessGroup = ALONE
) -> Stage:
    """The stage named in `config`, working on the networks of `triplet` on `device`."""
    kind = MappingStage if config.stage == "mapping" else AutoencoderStage
    return kind(config, triplet, device, workers, group)
