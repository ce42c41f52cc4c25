"""A target to review, and the desk's server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk_parts import HOSTILE, NAMES, WINDOWS, Server, serving
from fakes import encoded, picture, scratched
from PIL import Image
from runs import copied, restore

from oldphoto_core.storage import Bucket


@pytest.fixture(autouse=True)
def windows_are_closed() -> Iterator[None]:
    """After each test: a page whose server has ended asks for it again and again."""
    yield
    while WINDOWS:
        WINDOWS.pop().close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with photos of ordinary names, of names that attack, one that lies on its side and one too damaged."""
    folder = tmp_path_factory.mktemp("desk")
    source = Bucket(folder / "source")
    for seed, key in enumerate([*NAMES, *HOSTILE]):
        source.write(key, encoded(scratched(picture(300, 400, seed=seed), 40, 44 + seed), ".png"))
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(300, 400, seed=50)).save(turned, "JPEG", exif=exif)
    source.write("turned.jpg", turned.getvalue())
    source.write("lost.png", encoded(scratched(picture(), 2, 38), ".png"))
    restore(source, Bucket(folder / "target"), model="detect")
    return folder / "target"


@pytest.fixture
def target(original: Path, tmp_path: Path) -> Path:
    """A copy of that target, for one test to decide in."""
    copied(Bucket(original), Bucket(tmp_path / "target"))
    return tmp_path / "target"


@pytest.fixture
def server(target: Path) -> Iterator[Server]:
    with serving(target) as started:
        yield started
