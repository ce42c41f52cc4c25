"""Networks see sRGB, whatever the master's profile is, and what they change goes back into that profile."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import DetectingRestorer, scratched
from icc_files import (
    ADOBE,
    ADOBE_RGB,
    D50,
    GREY_GAMMA,
    LIBVIPS_CMYK,
    LIBVIPS_SRGB,
    PROPHOTO,
    PROPHOTO_RGB,
    SRGB_PARAMETERS,
    gamma,
    grey_profile,
    parametric,
    rgb_profile,
    table,
)
from PIL import Image, ImageCms
from scan_files import encoded

from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.runs.mask_index import MaskIndex
from oldphoto_core.scans import Scan, UnusableProfileError, read_scan, working_space, write_scan
from oldphoto_core.scans.colour import WorkingSpace
from oldphoto_core.scans.metadata import icc
from oldphoto_core.scans.metadata.plain_icc import plain_profile
from oldphoto_core.storage import Bucket

PILLOW_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LINEAR_RGB = rgb_profile(ADOBE, table([]))
PROFILES = {
    "Adobe RGB": ADOBE_RGB,
    "ProPhoto": PROPHOTO_RGB,
    "a curve a channel": rgb_profile(PROPHOTO, gamma(1.8), gamma(2.2), parametric(3, *SRGB_PARAMETERS)),
    "linear": LINEAR_RGB,
    "sRGB": LIBVIPS_SRGB,
    "grey": GREY_GAMMA,
    "none": b"",
}
WAYS = pytest.mark.parametrize("way", [{}, {"in_flight_megapixels": 0.0001}], ids=["in memory", "from disk"])
SEEN = "the network saw the colours in sRGB; its changes were put into the master's ICC profile"


@dataclass
class Changing(DetectingRestorer):
    """Makes of a picture what it is told to, and remembers what it was shown."""

    change: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels
    detector_digest: str = ""
    shown: list[np.ndarray] = field(default_factory=list)

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        self.shown.append(pixels.copy())
        return self.change(pixels)


def every_corner(bands: int, bits: int) -> np.ndarray:
    """HWC of levels spread over the whole space, black, white and the most saturated colours among them."""
    top = 2**bits - 1
    steps = np.linspace(0, top, 17 if bands == 3 else 4913)
    grid = np.stack(np.meshgrid(*[steps] * bands), axis=-1).reshape(-1, bands)
    noise = np.random.default_rng(bits).uniform(0, top / 16, grid.shape)
    both = np.concatenate([grid, (grid + noise).clip(0, top)])
    return np.rint(both).astype(np.uint16 if bits == 16 else np.uint8).reshape(34, 289, bands)


@dataclass
class Made:
    """What became of one master."""

    derivative: Scan
    warnings: list[str]
    """Of its record."""


def restored_all(
    folder: Path, restorer: DetectingRestorer, masters: dict[str, tuple[np.ndarray, bytes]], **options: Any
) -> dict[str, Made]:
    """The derivatives of TIFFs of these pixels and profiles; a mask in `folder/marks` counts."""
    for key, (pixels, profile) in masters.items():
        (folder / "old").mkdir(exist_ok=True)
        (folder / f"old/{key}.tif").write_bytes(tiff(pixels, profile))
    (folder / "marks").mkdir(exist_ok=True)
    source, target, marks = (Bucket(folder / name) for name in ("old", "new", "marks"))
    index, rows = MaskIndex(marks.list()), []
    photos = [Photo(item.key, item.version, item.size, index.candidates(item.key)) for item in source.list()]
    restore_photos(
        restorer, source, target, photos, RestoreOptions(**options), ShardCallbacks(on_row=rows.append), masks=marks
    )
    assert [row.detail for row in rows if row.status != "restored"] == []
    made = {}
    for key in masters:
        warnings = json.loads((folder / f"new/records/{key}.tif.json").read_text())["warnings"]
        made[key] = Made(read_scan((folder / f"new/photos/{key}.tif").read_bytes()), warnings)
    return made


def restored(folder: Path, restorer: DetectingRestorer, pixels: np.ndarray, profile: bytes, **options: Any) -> Scan:
    """The same of one."""
    return restored_all(folder, restorer, {"a": (pixels, profile)}, **options)["a"].derivative


def tiff(pixels: np.ndarray, profile: bytes) -> bytes:
    """A file with that profile, also with one that libvips would leave out."""
    plain = read_scan(encoded(pixels, "tiff", compression="deflate"))
    return write_scan(replace(plain, icc_profile=profile or None), pixels)


def in_srgb(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    """By littlecms, which Pillow has for RGB of 8 bits: relative colorimetric."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    made = ImageCms.profileToProfile(
        Image.fromarray(pixels), source, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    return np.asarray(made)


@WAYS
def test_what_a_network_leaves_alone_keeps_its_level(tmp_path: Path, way: dict[str, float]) -> None:
    masters = {
        f"{name}, {bits} bits": (every_corner(1 if name == "grey" else 3, bits), profile)
        for name, profile in PROFILES.items()
        for bits in (8, 16)
    }
    for key, made in restored_all(tmp_path, Changing(), masters, **way).items():
        pixels, profile = masters[key]
        assert np.array_equal(made.derivative.pixels, pixels), key
        assert (made.derivative.icc_profile or b"") == profile
        assert made.warnings == ([] if profile in (LIBVIPS_SRGB, b"") else [SEEN])


def test_pixels_that_are_srgb_are_shown_as_they_are(tmp_path: Path) -> None:
    pixels, network = every_corner(3, 8), Changing()
    profiles = {"none": b"", "libvips": LIBVIPS_SRGB, "Pillow": PILLOW_SRGB}
    restored_all(tmp_path, network, {key: (pixels, profile) for key, profile in profiles.items()})
    for shown in network.shown:
        assert shown.dtype == np.uint8
        assert np.array_equal(shown, pixels)


@WAYS
@pytest.mark.parametrize("name", ["Adobe RGB", "ProPhoto"])
def test_a_network_sees_what_littlecms_makes_of_the_master(tmp_path: Path, name: str, way: dict[str, float]) -> None:
    pixels, network = every_corner(3, 8), Changing()
    restored(tmp_path, network, pixels, PROFILES[name], **way)
    assert len(network.shown) == 1
    assert np.abs(network.shown[0] / 257 - in_srgb(pixels, PROFILES[name])).max() <= 1.5
    greys = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    shown = WorkingSpace(icc.read_profile(PROFILES[name], 3)).shown(greys).astype(int)
    assert np.ptp(shown, axis=2).max() <= 128


@pytest.mark.parametrize(("primaries", "exponent"), [(ADOBE, 563 / 256), (PROPHOTO, 461 / 256)])
def test_sixteen_bits_are_right_to_two_levels_of_them(primaries: Any, exponent: float) -> None:
    pixels = every_corner(3, 16)
    space = WorkingSpace(icc.read_profile(rgb_profile(primaries, gamma(exponent)), 3))
    srgb = np.array(
        [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    )
    to_xyz = np.rint(np.array(primaries).T * 65536) / 65536
    light = ((pixels / 65535) ** exponent @ (np.linalg.inv(srgb) @ to_xyz).T).clip(0, 1)
    exact = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(space.shown(pixels) - 65535 * exact).max() <= 2


def test_grey_is_shown_as_bright_as_it_is() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    light = (levels / 65535) ** (563 / 256)
    exact = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(WorkingSpace(icc.read_profile(GREY_GAMMA, 1)).shown(levels) - 65535 * exact).max() <= 2


@WAYS
@pytest.mark.parametrize("name", ["Adobe RGB", "ProPhoto"])
def test_who_looks_at_the_derivative_sees_what_the_network_made(
    tmp_path: Path, name: str, way: dict[str, float]
) -> None:
    ramp = np.linspace(100, 160, 34 * 289).reshape(34, 289)
    pixels = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2).astype(np.uint8)
    before = in_srgb(pixels, PROFILES[name])
    assert 0 < before.min() < before.max() < 255
    derivative = restored(tmp_path, Changing(change=lambda shown: 65535 - shown // 2), pixels, PROFILES[name], **way)
    after = in_srgb(derivative.pixels, PROFILES[name])
    assert np.abs(after - (255 - before / 2)).max() <= 1.5


def test_a_small_change_of_a_colour_outside_srgb_stays_small() -> None:
    pixels = np.zeros((4, 6, 3), np.uint16)
    pixels[..., 1] = 60_000
    space = WorkingSpace(icc.read_profile(PROPHOTO_RGB, 3))
    shown = space.shown(pixels)
    lighter = (shown.astype(int) + 300).clip(0, 65535).astype(np.uint16)
    change = space.brought_back(pixels, shown, lighter, None) - pixels.astype(int)
    assert 0 < np.abs(change).max() < 3000
    clipped = space.brought_back(pixels, shown, shown, np.ones(shown.shape[:2], bool)) - pixels.astype(int)
    assert np.abs(clipped).max() > 10_000


@WAYS
def test_nothing_of_a_damaged_colour_is_left_in_what_fills_it(tmp_path: Path, way: dict[str, float]) -> None:
    pixels = np.full((40, 60, 3), 90, np.uint8)
    pixels[12:16] = 0, 255, 0
    mask = np.zeros((40, 60), np.uint8)
    mask[12:16] = 255
    (tmp_path / "marks").mkdir()
    Image.fromarray(mask).save(tmp_path / "marks/a.tif.png")
    grey = Changing(change=lambda shown: np.full_like(shown, 30_000))
    filled = restored(tmp_path, grey, pixels, PROPHOTO_RGB, **way).pixels[12:16].astype(int)
    assert np.ptp(filled) <= 1
    assert 80 < filled.mean() < 110


@WAYS
def test_outside_the_mask_a_profile_changes_no_bit(tmp_path: Path, way: dict[str, float]) -> None:
    masters = {
        f"{name}, {bits} bits": (scratched(every_corner(1 if name == "grey" else 3, bits)), PROFILES[name])
        for name in ("Adobe RGB", "ProPhoto", "grey")
        for bits in (8, 16)
    }
    for key, made in restored_all(tmp_path, DetectingRestorer(), masters, mode="scratches", **way).items():
        pixels = masters[key][0]
        covered = read_scan((tmp_path / f"new/masks/{key}.tif.png").read_bytes()).pixels[..., 0] == 255
        assert 0.05 < covered.mean() < 0.5
        assert np.array_equal(made.derivative.pixels[~covered], pixels[~covered]), key
        assert not np.array_equal(made.derivative.pixels[covered], pixels[covered])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("mode", ["full", "scratches"])
def test_from_disk_come_the_pixels_of_memory(tmp_path: Path, bits: int, mode: str) -> None:
    made = []
    for number, way in enumerate([{}, {"in_flight_megapixels": 0.0001}]):
        (tmp_path / str(number)).mkdir()
        pixels = scratched(every_corner(3, bits))
        made.append(restored(tmp_path / str(number), DetectingRestorer(), pixels, PROPHOTO_RGB, mode=mode, **way))
    assert np.array_equal(made[0].pixels, made[1].pixels)
    assert not np.array_equal(made[0].pixels, scratched(every_corner(3, bits)))


FALLING = table(np.linspace(1, 0, 50))
UNUSABLE = {
    "is no ICC profile": b"not a profile",
    "is damaged": ADOBE_RGB[:200],
    "is for CMYK, and its pixels are RGB": LIBVIPS_CMYK,
    "is for GRAY, and its pixels are RGB": GREY_GAMMA,
    "is made of tables instead of a matrix and curves": ADOBE_RGB.replace(b"gTRC", b"A2B0"),
    "has a curve that does not rise": rgb_profile(ADOBE, FALLING),
    "has a curve of a kind that is not known": rgb_profile(ADOBE, parametric(9)),
    "has primaries that span no space": rgb_profile((D50, D50, D50), gamma(2.2)),
}


@WAYS
def test_a_profile_that_cannot_be_used_is_kept_and_said(tmp_path: Path, way: dict[str, float]) -> None:
    pixels, network = every_corner(3, 8), Changing(change=lambda shown: 255 - shown)
    masters = {f"{number}": (pixels, profile) for number, profile in enumerate(UNUSABLE.values())}
    made = restored_all(tmp_path, network, masters, **way)
    assert all(np.array_equal(shown, pixels) for shown in network.shown)
    for (why, profile), one in zip(UNUSABLE.items(), made.values(), strict=True):
        assert np.array_equal(one.derivative.pixels, 255 - pixels)
        assert one.derivative.icc_profile == profile
        assert one.warnings == [
            f"the master's ICC profile {why}: its colours counted as sRGB, and it was kept as it is"
        ]


def test_no_damage_to_a_profile_is_a_crash() -> None:
    random = np.random.default_rng(0)
    for profile, channels in ((ADOBE_RGB, 3), (GREY_GAMMA, 1), (PILLOW_SRGB, 3), (LIBVIPS_SRGB, 3)):
        for _ in range(40):
            damaged = bytearray(profile[: random.integers(1, len(profile) + 1)])
            for at in random.integers(0, len(damaged), 8):
                damaged[at] = random.integers(256)
            try:
                WorkingSpace(icc.read_profile(bytes(damaged), channels)).shown(every_corner(channels, 8)[:2])
            except UnusableProfileError:
                continue


CURVES = {
    "identity": (table([]), lambda x: x),
    "gamma": (gamma(2.5), lambda x: x**2.5),
    "table": (table(np.linspace(0, 1, 300) ** 2), lambda x: x**2),
    "para 0": (parametric(0, 2.2), lambda x: x**2.2),
    "para 1": (parametric(1, 2, 1.25, -0.25), lambda x: np.where(x >= 0.2, (1.25 * x - 0.25) ** 2, 0)),
    "para 2": (parametric(2, 2, 1, -0.5, 0.25), lambda x: np.where(x >= 0.5, (x - 0.5) ** 2 + 0.25, 0.25)),
    "para 3": (
        parametric(3, *SRGB_PARAMETERS),
        lambda x: np.where(x >= 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92),
    ),
    "para 4": (parametric(4, 2, 0.5, 0.5, 0.25, 0.5, 0, 0), lambda x: np.where(x >= 0.5, (x + 1) ** 2 / 4, x / 4)),
}


@pytest.mark.parametrize("name", CURVES)
def test_every_kind_of_curve_is_read(name: str) -> None:
    tag, function = CURVES[name]
    levels = np.linspace(0, 1, icc.CURVE_POINTS)
    read = icc.read_profile(grey_profile(tag), 1).curves[0]
    assert np.abs(read - function(levels)).max() < 1e-4


def test_the_space_of_a_scan_is_known_without_its_pixels() -> None:
    scans = [read_scan(tiff(every_corner(3, 8), profile)) for profile in (b"", LIBVIPS_SRGB, ADOBE_RGB)]
    assert [working_space(scan) is None for scan in scans] == [True, True, False]
    with pytest.raises(UnusableProfileError, match="is for GRAY"):
        working_space(read_scan(tiff(every_corner(3, 8), GREY_GAMMA)))


@pytest.mark.parametrize("name", ["Adobe RGB", "ProPhoto", "a curve a channel", "linear", "sRGB"])
def test_a_profile_written_anew_shows_what_the_masters_own_does(name: str) -> None:
    scan = replace(read_scan(encoded(every_corner(3, 8), "png")), icc_profile=PROFILES[name])
    written = plain_profile(scan)
    assert written is not None
    picture, srgb = Image.fromarray(scan.pixels), ImageCms.createProfile("sRGB")
    shown = [
        ImageCms.profileToProfile(picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb)
        for profile in (PROFILES[name], written)
    ]
    first, second = (np.asarray(one).astype(int) for one in shown)
    assert np.abs(first - second).max() <= 2


def test_of_a_profile_that_is_not_applied_none_is_written() -> None:
    scan = read_scan(encoded(every_corner(3, 8), "png"))
    for profile in (None, b"garbage" * 50, LIBVIPS_CMYK):
        assert plain_profile(replace(scan, icc_profile=profile)) is None
