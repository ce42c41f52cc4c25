"""One photo from pixels to pixels: r -> G_Y(T(E_RX(r))) at any size, tone and depth kept."""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.canvas import ArrayCanvas, Canvas
from oldphoto_core.checkpoints import Detector, Model, ModelCard, load_detector, load_model, load_tone, place_of
from oldphoto_core.checkpoints.store import DETECTOR, TONE
from oldphoto_core.detection.finding import Finding
from oldphoto_core.detection.options import DetectionOptions
from oldphoto_core.errors import MaskMismatch, ModelError, ScanTooLarge, UnsupportedScan
from oldphoto_core.inference.canvas import OnProgress, Subject
from oldphoto_core.inference.finder import DamageFinder
from oldphoto_core.inference.network_options import DEFAULT_NETWORK, Arithmetic, NetworkOptions
from oldphoto_core.inference.runner import Runner, is_out_of_memory
from oldphoto_core.inference.strength import MixedWith
from oldphoto_core.inference.toning import Draft, finish, seen_by_network
from oldphoto_core.nets.architectures import PUBLISHED
from oldphoto_core.nets.tone import ToneNet
from oldphoto_core.tone import Colours, ToneOptions, colours_of
from oldphoto_core.tone.options import DEFAULT_DENOISE
from oldphoto_core.tone.prediction import with_toning

_log = logging.getLogger("oldphoto.restorer")


class Restorer:
    """A model ready to restore photos on one device."""

    def __init__(
        self,
        model: Model,
        options: NetworkOptions | None = None,
        *,
        compiled: bool = False,
        max_megapixels: float = math.inf,
        detector: Detector | None = None,
        tone: ToneNet | None = None,
    ) -> None:
        """Put a model to work.

        Args:
            model: Networks and card.
            options: How to run them; what they say of the model's name does not count here.
            compiled: Compile the network for its tiles (torch.compile); minutes before the first tile.
            max_megapixels: Larger photos are refused.
            detector: What finds the damage; without it only masks say where it is.
            tone: What predicts the tone map of a photo; without it tone is left alone.
        """
        self.card: ModelCard = model.card
        self.name: str = model.card.name
        self.digest: str = model.card.restoring_digest(None if tone is None else model.card.parts.get(TONE, ""))
        self.card_digest: str = model.card.digest
        self.max_megapixels = max_megapixels
        self._runner = Runner(model, options or DEFAULT_NETWORK, compiled=compiled)
        self.device = self._runner.device
        self.memory = self._runner.memory
        self._tone = tone
        self._finder: DamageFinder | None = None
        if detector is not None:
            weights = self.card.parts[self.card.detector.get("file", DETECTOR)]
            self._finder = DamageFinder(detector, weights, self.device, self.memory)
        self.detector_digest: str = self._finder.digest if self._finder else ""

    @classmethod
    def load(
        cls, model: str | Path = DEFAULT_NETWORK.model, *, max_megapixels: float = math.inf, **choices: Any
    ) -> Restorer:
        """A model by name, folder or URL; of the registry `champion`, `previous` or NAME@VERSION.

        Args:
            model: As `NetworkOptions.model`.
            max_megapixels: Larger photos are refused.
            choices: The other fields of `NetworkOptions`: `device`, `memory`, `precision`.

        Raises:
            UnknownModel: no such model; the message lists those there are.
            DamagedWeights: the weights are not those that their card describes.
            UsageError: no such device here, too little memory for any tile, or a choice that makes no sense.
        """
        return cls.of(NetworkOptions(model=str(model), **choices), max_megapixels=max_megapixels)

    @classmethod
    def of(cls, options: NetworkOptions, *, max_megapixels: float = math.inf) -> Restorer:
        """The model that the options name, run as they say. Raises as `load`."""
        model = place_of(options.model)  # once, so that networks and detector are of the same version
        return cls(
            load_model(model),
            options,
            max_megapixels=max_megapixels,
            detector=load_detector(model),
            tone=load_tone(model),
        )

    def arithmetic(self, dtype: np.dtype[Any]) -> Arithmetic:
        """What photos of that dtype, uint8 or uint16, are restored in."""
        return self._runner.arithmetic(dtype)

    def find_damage(self, photo: Canvas, result: Canvas, on_progress: OnProgress | None = None) -> None:
        """Marks what is damaged in a picture of any size, at several scales.

        Args:
            photo: 1 or 3 channels of uint8 or uint16.
            result: One channel of uint8, of the same height and width; every row is written, 1 = damaged.
            on_progress: Called with how many looks at the photo are done, of how many.

        Raises:
            ModelError: the model has no detector (`detector_digest` is empty).
            ScanTooLarge: no part of the photo fits on the device.
        """
        self.judge_damage(photo, result, DetectionOptions(), on_progress)

    def judge_damage(
        self, photo: Canvas, result: Canvas, options: DetectionOptions, on_progress: OnProgress | None = None
    ) -> Finding:
        """As `find_damage`, at a sensitivity and with or without the picture's frame; returns how sure it was."""
        if self._finder is None:
            raise ModelError(f"model {self.name} has no detector; give masks, or a model that has one")
        while True:
            try:
                return self._finder.find(photo, result, on_progress or _nobody, options)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).split("\n")[0]
            if not self._finder.take_less():
                height, width = photo.shape[:2]
                raise ScanTooLarge(f"{width} x {height} pixels do not fit on {self.device} in any part: {reason}")
            _log.warning("out of memory on %s while looking for damage; going on with smaller tiles", self.device)

    def find(self, pixels: NDArray[Any], options: DetectionOptions | None = None) -> NDArray[np.bool_]:
        """The same for one photo in memory: HWC or HW, uint8 or uint16 -> HW bool, True = damaged."""
        image_HWC = pixels[..., None] if pixels.ndim == 2 else pixels
        _check(image_HWC)
        marks = np.zeros((*image_HWC.shape[:2], 1), np.uint8)
        self.judge_damage(ArrayCanvas(image_HWC), ArrayCanvas(marks), options or DetectionOptions())
        return marks[..., 0].astype(bool)

    def colours_of(
        self, photo: Canvas, mask: Canvas | None = None, options: ToneOptions | None = None
    ) -> Colours | None:
        """Whether a photo is monochrome, and which tint it has; None: the network's own colours and tones are kept.

        That is so for the published networks, unless `options` ask for something.

        Args:
            photo: 1 or 3 channels of uint8 or uint16.
            mask: One channel of the same height and width, not 0 = damaged.
            options: How colour and tone are treated.
        """
        options = options or ToneOptions()
        if self.card.preset == PUBLISHED and not options.is_asked:
            return None
        found = colours_of(photo, mask, options)
        return found if self._tone is None else with_toning(self._tone, found)

    def restore(
        self, pixels: NDArray[Any], mask: NDArray[np.bool_] | None = None, options: ToneOptions | None = None
    ) -> NDArray[Any]:
        """Restores one photo.

        Args:
            pixels: HWC with 1 or 3 channels, or HW; uint8 or uint16; any size from 1 x 1.
            mask: HW, True where damaged; those pixels are never used, only filled. None: nothing is damaged.
            options: How colour and tone are treated; by default a monochrome photo keeps its tint.

        Returns:
            The same shape and dtype as `pixels`. Where R = G = B in every pixel of it, so it is here.

        Raises:
            ScanTooLarge: over `max_megapixels`, or over what the machine can do in parts.
            MaskMismatch: the mask has another size.
            UnsupportedScan: another dtype or number of channels.
        """
        image_HWC = pixels[..., None] if pixels.ndim == 2 else pixels
        _check(image_HWC)
        result = ArrayCanvas(np.empty_like(image_HWC))
        damaged = None if mask is None or not mask.any() else ArrayCanvas(mask[..., None])
        _check_size(mask.shape if mask is not None else image_HWC.shape[:2], image_HWC.shape)
        photo, strength = ArrayCanvas(image_HWC), 1.0 if options is None else options.strength
        colours = self.colours_of(photo, damaged, options)
        made = MixedWith(result, photo, damaged, strength) if colours is None and strength < 1 else result
        self.restore_canvas(photo, made, damaged, colours=colours)
        return result.pixels.reshape(pixels.shape)

    def restore_canvas(
        self,
        photo: Canvas,
        result: Canvas,
        mask: Canvas | None = None,
        on_progress: OnProgress | None = None,
        colours: Colours | None = None,
    ) -> None:
        """The same for pictures that need not lie in memory: reads `photo` in rows, writes `result` in rows.

        Args:
            photo: 1 or 3 channels of uint8 or uint16.
            result: Of the same shape and dtype; every row is written.
            mask: One channel of the same height and width, not 0 = damaged.
            on_progress: Called with how many parts of the photo are done, of how many.
            colours: What `colours_of` decided about the photo; None: it is asked here.
        """
        if mask is not None:
            _check_size(mask.shape[:2], photo.shape)
        height, width = photo.shape[:2]
        if height * width > self.max_megapixels * 1e6:
            raise ScanTooLarge(
                f"{width} x {height} is {height * width / 1e6:.1f} megapixels, the bound here is "
                f"{self.max_megapixels:.1f}; raise the bound"
            )
        colours = colours or self.colours_of(photo, mask)
        denoise = DEFAULT_DENOISE if colours is None else colours.options.denoise
        through_network = partial(self._through_network, self.arithmetic(photo.dtype), denoise, on_progress or _nobody)
        if colours is None:
            through_network(photo, result, mask)
            return
        with Draft.of(photo, result, colours) as draft:
            seen = seen_by_network(photo, colours)
            through_network(seen, draft.pixels, mask)
            finish(draft.pixels, result, mask, colours, seen)

    def _through_network(
        self,
        arithmetic: Arithmetic,
        denoise: float,
        on_progress: OnProgress,
        photo: Canvas,
        result: Canvas,
        mask: Canvas | None,
    ) -> None:
        height, width = photo.shape[:2]
        runner = self._runner
        architecture = runner.architecture
        subject = Subject(
            photo, mask if architecture.fills else None, architecture.multiple, architecture.minimum
        )  # fmt: skip
        while True:
            try:
                return runner.restore(subject, result, arithmetic, denoise, on_progress)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).split("\n")[0]
            # outside the handler: the failed tensors are let go with the error
            if not runner.take_less():
                raise ScanTooLarge(f"{width} x {height} pixels do not fit on {self.device} in any part: {reason}")
            _log.warning("out of memory on %s; going on with tiles of %.2f megapixels", self.device, runner.megapixels)


def _nobody(_done: int, _total: int) -> None:
    return


def _check(image: NDArray[Any]) -> None:
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype not in (np.uint8, np.uint16) or not image.size:
        raise UnsupportedScan(
            f"pixels are {image.dtype} of shape {image.shape}; give HWC uint8 or uint16 with 1 or 3 channels"
        )


def _check_size(mask: tuple[int, ...], photo: tuple[int, ...]) -> None:
    if mask != photo[:2]:
        raise MaskMismatch(
            f"the mask is {mask[1]} x {mask[0]} pixels, the photo {photo[1]} x {photo[0]}; make them equal"
        )
