"""A grey photo stays grey, a toned one keeps one tone, a sky stays one sky."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from photos import photo
from tinted import SIZE, Clouding, Pixels, grey_photo, is_neutral, kind_of, neutral, painted, restorer, scratch, sepia

from oldphoto_core.canvas import ArrayCanvas
from oldphoto_core.errors import ConfigError
from oldphoto_core.restoration import RestoreOptions
from oldphoto_core.tone import ToneOptions, colours_of, measure


def with_stamp(pixels: Pixels) -> Pixels:
    marked = pixels.copy()
    cv2.putText(marked, "ARCHIVE", (70, 190), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (60, 40, 170), 2)
    return marked


def with_border(pixels: Pixels) -> Pixels:
    marked = pixels.copy()
    for edge in (marked[:16], marked[-16:], marked[:, :16], marked[:, -16:]):
        edge[:] = (90, 120, 60)
    return marked


def with_target(pixels: Pixels) -> Pixels:
    marked = pixels.copy()
    for at, colour in enumerate(((200, 30, 30), (30, 160, 60), (40, 60, 190), (220, 200, 40), (20, 160, 180))):
        marked[-22:, 40 + 40 * at : 76 + 40 * at] = colour
    return marked


def with_stain(pixels: Pixels) -> Pixels:
    weight = np.zeros(pixels.shape[:2], np.float32)
    cv2.circle(weight, (90, 90), 26, 1.0, -1)
    soft = cv2.GaussianBlur(weight, (0, 0), 6)[..., None]
    return (pixels * (1 - soft * np.array([0.1, 0.2, 0.42]))).astype(np.uint8)


@pytest.mark.parametrize("mark", [lambda p: p, with_stamp, with_border, with_target, with_stain])
@pytest.mark.parametrize("look", [neutral, sepia])
def test_a_stamp_a_border_a_target_or_a_stain_makes_no_colour_photo(look, mark) -> None:  # type: ignore[no-untyped-def]
    assert kind_of(mark(look(3))) == "monochrome"


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("look", [neutral, sepia])
def test_a_hand_coloured_photo_is_a_colour_photo(look, number: int) -> None:  # type: ignore[no-untyped-def]
    assert kind_of(painted(look(number))) == "colour"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_colour_photo_is_a_colour_photo_in_any_depth(number: int) -> None:
    assert kind_of(photo(number, *SIZE)) == kind_of(photo(number, *SIZE) * np.uint16(257)) == "colour"


def test_what_is_damaged_does_not_decide() -> None:
    spoilt = sepia()
    spoilt[:, 100:230] = photo(5, 240, 130)
    mask = np.zeros(SIZE, bool)
    mask[:, 100:230] = True
    assert (kind_of(spoilt), kind_of(spoilt, mask)) == ("colour", "monochrome")


def test_the_user_may_overrule_the_judgement() -> None:
    assert kind_of(painted(sepia()), colour="monochrome") == "monochrome"
    assert kind_of(sepia(), colour="colour") == "colour"


def test_it_is_said_how_far_colours_are_from_the_curve() -> None:
    plain, coloured = (colours_of(ArrayCanvas(p), None, ToneOptions()) for p in (sepia(), painted(sepia())))
    assert plain.residual < 0.6
    assert plain.far == 0.0
    assert coloured.far > 0.1


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_r_g_and_b_stay_equal_where_they_are(dtype: type, masked: bool) -> None:
    pixels = neutral().astype(dtype) * dtype(257 if dtype == np.uint16 else 1)
    restored = restorer().restore(pixels, scratch() if masked else None)
    assert is_neutral(restored)
    assert restored.dtype == dtype


def test_a_neutral_photo_is_restored_like_the_same_photo_in_one_channel() -> None:
    mask = scratch()
    assert np.array_equal(restorer().restore(neutral(), mask)[..., 0], restorer().restore(grey_photo(), mask))


@pytest.mark.parametrize("look", [neutral, sepia])
def test_tiles_get_the_tones_of_the_whole(look) -> None:  # type: ignore[no-untyped-def]
    pixels, mask = look(2, (380, 500)), scratch((380, 500))
    whole, tiled = (restorer(memory=memory).restore(pixels, mask) for memory in (None, 750 * 360 * 360))
    assert np.array_equal(whole, tiled)


def test_a_toned_photo_keeps_its_tone_and_only_that() -> None:
    restored = restorer().restore(sepia())
    found = measure(ArrayCanvas(sepia()), ArrayCanvas(restored))
    assert found.chroma_after <= found.chroma_before + 0.1
    assert np.abs(restored.mean(axis=(0, 1)) - sepia().mean(axis=(0, 1))).max() < 25
    assert restored[..., 0].mean() - restored[..., 2].mean() > 20


def test_fillings_of_a_toned_photo_have_its_tone() -> None:
    mask = scratch()
    filled = restorer().restore(sepia(), mask)[70:74, 60:180].astype(int)
    grey = np.abs(restorer().restore(sepia())[..., 1].astype(int) - filled[..., 1].mean()) < 3
    alike = restorer().restore(sepia())[grey].mean(axis=0)
    assert np.abs(filled.mean(axis=(0, 1)) - alike).max() < 4


def test_a_toned_photo_may_be_made_neutral() -> None:
    assert is_neutral(restorer().restore(sepia(), options=ToneOptions(tint="neutral")))


def test_a_colour_photo_stays_in_colour() -> None:
    assert not is_neutral(restorer().restore(photo(2, *SIZE)))


@pytest.mark.parametrize("look", [neutral, lambda: painted(neutral())])
def test_clouds_of_brightness_are_taken_back(look) -> None:  # type: ignore[no-untyped-def]
    pixels, cloudy = ArrayCanvas(look()), ArrayCanvas(np.empty((*SIZE, 3), np.uint8))
    restorer()._through_network("float32", 1.0, lambda _done, _total: None, pixels, cloudy, None)
    even = ArrayCanvas(restorer().restore(look()))
    assert measure(pixels, cloudy).blotch > 1.0
    assert measure(pixels, even).blotch < 0.2 * measure(pixels, cloudy).blotch


def test_what_is_finer_than_low_frequencies_stays_the_networks() -> None:
    class Smoothing(torch.nn.Module):
        def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)

    grainy = np.clip(np.random.default_rng(0).normal(128, 25, (*SIZE, 1)), 0, 255).astype(np.uint8)
    restored = restorer(Smoothing()).restore(grainy)
    assert restored.std() < 0.5 * grainy.std()


def test_a_filling_goes_along_with_its_surroundings() -> None:
    class Darkening(torch.nn.Module):
        def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            even = torch.where(mask > 0, 0.0, image) if mask is not None else image
            return even - 0.2

    even, mask = np.full((*SIZE, 1), 128, np.uint8), scratch()
    own = ToneOptions(own_tone=True)
    restored = restorer(Darkening()).restore(even, mask, own).astype(int)
    assert np.abs(restored - 128).max() <= 1


def test_published_networks_keep_their_own_tones_unless_something_is_asked() -> None:
    class Published(Clouding):
        def path(self, *, masked: bool) -> None:
            raise NotImplementedError

    theirs = restorer(Published(), preset="published")
    assert theirs.colours_of(ArrayCanvas(neutral())) is None
    assert not is_neutral(theirs.restore(neutral()))
    assert is_neutral(theirs.restore(neutral(), options=ToneOptions(colour="monochrome")))


@pytest.mark.parametrize("masked", ["nothing", "some", "all"])
@pytest.mark.parametrize("size", [(1, 1), (40, 30), (3, 4000)])
@pytest.mark.parametrize("level", [0, 255, None])
def test_photos_without_tones_come_back(level: int | None, size: tuple[int, int], masked: str) -> None:
    pixels = np.full((*size, 3), level or 0, np.uint8)
    if level is None:
        pixels[:, ::2] = 255
    mask = np.full(size, masked == "all")
    mask[:1, : 1 + size[1] // 3] |= masked == "some"
    restored = restorer().restore(pixels, mask)
    assert restored.shape == pixels.shape
    assert is_neutral(restored)


def test_measures_of_a_photo_against_itself_are_zero_beyond_its_own_noise() -> None:
    same = measure(ArrayCanvas(sepia()), ArrayCanvas(sepia()))
    assert same.blotch == pytest.approx(0.0, abs=1e-3)
    assert same.chroma_before == same.chroma_after < 0.5
    assert same.warnings == ()


def test_a_tinted_or_cloudy_result_is_warned_of() -> None:
    tinted = neutral().astype(int)
    tinted[:120, :, 0] += 12
    cloudy = neutral().astype(int)
    cloudy[:, :160] += 14
    found = [
        measure(ArrayCanvas(neutral()), ArrayCanvas(p.clip(0, 255).astype(np.uint8))).warnings for p in (tinted, cloudy)
    ]
    assert [text[0].split()[0] for text in found] == ["chroma", "blotch"]


def test_damage_has_no_part_in_the_measures() -> None:
    spoilt, mask = neutral(), ArrayCanvas(scratch()[..., None].astype(np.uint8))
    spoilt[scratch()] = (200, 40, 40)
    assert measure(ArrayCanvas(neutral()), ArrayCanvas(spoilt), mask).warnings == ()
    assert len(measure(ArrayCanvas(neutral()), ArrayCanvas(spoilt)).warnings) == 2


@pytest.mark.parametrize("choice", [{"colour": "grey"}, {"tint": "sepia"}])
def test_other_choices_are_wrong_usage(choice: dict[str, str]) -> None:
    for kind in (ToneOptions, RestoreOptions):
        with pytest.raises(ConfigError, match=next(iter(choice))):
            kind(**choice)  # type: ignore[arg-type]


def test_reruns_know_colour_and_tint() -> None:
    asked = [{}, {"colour": "colour"}, {"colour": "monochrome"}, {"tint": "neutral"}]
    assert len({RestoreOptions(**choice).digest() for choice in asked}) == 4  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="scratches"):
        RestoreOptions(mode="scratches", tint="neutral")
