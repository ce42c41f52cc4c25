"""What a restorer must do, and what it may do besides: the contracts between the engine and a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from oldphoto_core.canvas import Canvas
    from oldphoto_core.detection.finding import Finding
    from oldphoto_core.detection.options import DetectionOptions
    from oldphoto_core.tone import Colours, ToneOptions


class RestoresPhotos(Protocol):
    """The contract between the engine and a network: anything that keeps it can be registered as a model."""

    name: str
    digest: str
    device: str
    max_megapixels: float

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """HWC uint8 or uint16 in, the same shape and type out; mask is HW bool, True = damaged."""


@runtime_checkable
class RestoresCanvases(RestoresPhotos, Protocol):
    """A network that can also restore pictures which do not lie in memory; others refuse photos over their bound."""

    def restore_canvas(
        self, photo: Canvas, result: Canvas, mask: Canvas | None, on_progress: Callable[[int, int], None]
    ) -> None:
        """Reads `photo` and `mask` (not 0 = damaged) in rows, writes every row of `result`."""


@runtime_checkable
class JudgesColours(RestoresCanvases, Protocol):
    """A network that restores monochrome photos in lightness alone; others see three channels of every colour scan."""

    def colours_of(self, photo: Canvas, mask: Canvas | None, options: ToneOptions) -> Colours | None:
        """What is to be done about the photo's colours; None: nothing."""

    def restore_canvas(
        self,
        photo: Canvas,
        result: Canvas,
        mask: Canvas | None,
        on_progress: Callable[[int, int], None],
        colours: Colours | None = None,
    ) -> None:
        """As others, with what `colours_of` decided."""


@runtime_checkable
class SaysArithmetic(RestoresPhotos, Protocol):
    """A network that says what it computes in, for records."""

    def arithmetic(self, dtype: np.dtype[Any]) -> str:
        """float32, float16 or bfloat16; `dtype` is that of the photo, uint8 or uint16."""


@runtime_checkable
class FindsDamage(Protocol):
    """What a restorer may do besides: find scratches, folds and stains by itself."""

    detector_digest: str
    """Of the detector's weights and threshold; empty: this model has no detector."""

    def find_damage(self, photo: Canvas, result: Canvas, on_progress: Callable[[int, int], None]) -> None:
        """Reads `photo` (HxWx1 or HxWx3, uint8 or uint16) in rows, writes every row of `result`.

        `result` is HxWx1 uint8: 1 = damaged, 0 = intact. `on_progress` is called with how many parts are done, of how
        many.
        """


@runtime_checkable
class JudgesDamage(FindsDamage, Protocol):
    """A detector that knows the picture's frame, several sensitivities and how sure it was."""

    def judge_damage(
        self,
        photo: Canvas,
        result: Canvas,
        options: DetectionOptions,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Finding:
        """As `find_damage`, in the way that `options` say."""


def detector_of(restorer: RestoresPhotos) -> FindsDamage | None:
    """The restorer as a detector, when it has one."""
    return restorer if isinstance(restorer, FindsDamage) and restorer.detector_digest else None


def detector_digest(restorer: RestoresPhotos) -> str:
    """Of its detector; empty without one."""
    detector = detector_of(restorer)
    return detector.detector_digest if detector else ""
