"""Strength: outside damage so much of the restoration, the rest the photo with tone and tint; damage is restored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import pyvips
from fakes import register, scratched
from icc_files import ADOBE_RGB
from numpy.typing import NDArray
from PIL import Image
from runs import restore
from scan_files import encoded, paged
from tinted import neutral, painted, restorer, scratch, sepia
from toning import network
from toning import restorer as toning_restorer

from oldphoto_core.errors import ConfigError
from oldphoto_core.reports.record import record_schema
from oldphoto_core.restoration import RestoreOptions
from oldphoto_core.scans import read_scan
from oldphoto_core.storage import Bucket
from oldphoto_core.tone import ToneOptions

register()

ON_DISK = {"in_flight_megapixels": 0.0001}
WAYS = pytest.mark.parametrize("way", [{}, ON_DISK], ids=["in memory", "from disk"])
BITS = pytest.mark.parametrize("bits", [8, 16])


def of_bits(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    return pixels if bits == 8 else np.minimum(pixels.astype(int) * 257 + 19, 65535).astype(np.uint16)


def levels_apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).max())


@BITS
@pytest.mark.parametrize("look", [sepia, neutral, lambda: painted(sepia())], ids=["sepia", "neutral", "colour"])
def test_what_is_intact_is_a_mixture_and_what_is_damaged_is_restored(look: Any, bits: int) -> None:
    photo, damaged = of_bits(look(), bits), scratch()
    none, half, full = (
        restorer().restore(photo, damaged, ToneOptions(strength=strength)) for strength in (0.0, 0.5, 1.0)
    )
    assert levels_apart(half[~damaged], 0.5 * none[~damaged].astype(float) + 0.5 * full[~damaged]) <= 0.5
    assert (half[damaged] == full[damaged]).all()
    assert (none[damaged] == full[damaged]).all()
    assert levels_apart(none[~damaged], full[~damaged]) > 3


def test_at_strength_0_a_photo_in_colour_keeps_its_own_pixels_and_a_monochrome_one_its_lightness() -> None:
    colour, brown, damaged = painted(sepia()), sepia(), scratch()
    own = restorer().restore(colour, damaged, ToneOptions(strength=0.0, colour="colour"))
    assert (own[~damaged] == colour[~damaged]).all()
    grey = restorer().restore(brown, damaged, ToneOptions(strength=0.0, tint="neutral"))
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (grey[..., 1] == grey[..., 2]).all()
    luma = brown @ np.array([0.299, 0.587, 0.114])
    assert levels_apart(grey[~damaged][..., 0], luma[~damaged]) <= 1


def test_tone_is_applied_to_the_photo_that_is_mixed_in() -> None:
    photo = painted(sepia())
    own, toned = (
        toning_restorer(network()).restore(photo, None, ToneOptions(strength=0.0, tone=tone, colour="colour"))
        for tone in (0.0, 1.0)
    )
    assert (own == photo).all()
    assert levels_apart(own, toned) > 3
    again = toning_restorer(network()).restore(photo, None, ToneOptions(strength=0.5, tone=1.0, colour="colour"))
    full = toning_restorer(network()).restore(photo, None, ToneOptions(tone=1.0, colour="colour"))
    assert levels_apart(again, (toned.astype(float) + full) / 2) <= 0.5


def test_at_strength_1_results_are_what_they_are_without_it() -> None:
    for photo in (sepia(), neutral(), painted(sepia())):
        with_it, without = (
            restorer().restore(photo, scratch(), options) for options in (ToneOptions(strength=1.0), None)
        )
        assert (with_it == without).all()


def with_profile(data: bytes) -> bytes:
    image = pyvips.Image.new_from_buffer(data, "").copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", ADOBE_RGB)
    return bytes(image.tiffsave_buffer())


def restored(folder: Path, model: str, data: bytes, key: str = "a.tif", **options: Any) -> NDArray[Any]:
    source, target = Bucket(folder / "old"), Bucket(folder / "new")
    source.write(key, data)
    assert restore(source, target, model=model, **options)["restored"] == 1
    return read_scan(target.read(f"photos/{key}")).pixels


@BITS
def test_a_photo_with_a_profile_is_mixed_alike_in_memory_and_from_disk(tmp_path: Path, bits: int) -> None:
    photo = scratched(of_bits(painted(sepia()), bits))
    data = with_profile(encoded(photo, "tiff"))
    full = restored(tmp_path / "full", "detect", data)
    half, from_disk = (
        restored(tmp_path / str(number), "detect", data, strength=0.5, **way)
        for number, way in enumerate([{}, ON_DISK])
    )
    assert (half == from_disk).all()
    assert (half[12:16] == full[12:16]).all()
    assert levels_apart(half[16:], full[16:]) > 20


@WAYS
@BITS
def test_runs_mix_in_memory_and_from_disk(tmp_path: Path, way: dict[str, Any], bits: int) -> None:
    photo = scratched(of_bits(painted(sepia()), bits))
    full, half = (
        restored(tmp_path / name, "detect", encoded(photo, "tiff"), strength=strength, **way)
        for name, strength in (("full", 1.0), ("half", 0.5))
    )
    assert (half[12:16] == full[12:16]).all()
    assert levels_apart(half[16:], (full[16:].astype(float) + photo[16:]) / 2) <= 0.5
    record = json.loads((tmp_path / "half/new/records/a.tif.json").read_text())
    jsonschema.validate(record, record_schema(), jsonschema.Draft202012Validator)
    assert record["options"]["strength"] == 0.5
    assert "strength" not in json.loads((tmp_path / "full/new/records/a.tif.json").read_text())["options"]


def test_a_network_that_restores_only_arrays_is_mixed_too(tmp_path: Path) -> None:
    photo = painted(sepia())
    half = restored(tmp_path, "invert", encoded(photo, "tiff"), strength=0.5)
    assert levels_apart(half, np.full(photo.shape, 127.5)) <= 0.5


def test_another_strength_restores_a_photo_again_and_the_default_makes_what_was_made_count() -> None:
    assert RestoreOptions().digest() == RestoreOptions(strength=1.0).digest()
    assert len({RestoreOptions(strength=strength).digest() for strength in (0.0, 0.5, 1.0)}) == 3


@pytest.mark.parametrize("options", [{"strength": 1.1}, {"strength": -0.1}, {"strength": 0.5, "mode": "scratches"}])
def test_strengths_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="strength is"):
        RestoreOptions(**options)


def test_pages_of_a_file_are_mixed_each(tmp_path: Path) -> None:
    page = painted(sepia())
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    source.write("a.tif", paged((Image.fromarray(page), {}), (Image.fromarray(page[::-1]), {})))
    restore(source, target, model="invert", strength=0.5)
    for number in (1, 2):
        pixels = read_scan(target.read("photos/a.tif"), page=number).pixels
        assert levels_apart(pixels, np.full(pixels.shape, 127.5)) <= 0.5
