from __future__ import annotations

import errno
import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import decoded

from oldphoto_core.samples import SAMPLES
from oldphoto_core.storage import Bucket

pytestmark = pytest.mark.usefixtures("prefect_server")
pytest.importorskip("skimage")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing can be reached but this machine itself, where Prefect's server is, and nobody tries."""
    connect, tried = socket.socket.connect, []

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1"):
            return connect(self, address)
        if self.type == socket.SOCK_STREAM:
            tried.append(address)
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", local_only)
    yield
    assert not tried


@pytest.mark.usefixtures("no_network")
def test_the_demo_makes_restores_and_shows_a_collection(tmp_path: Path, oldphoto) -> None:
    ended = oldphoto("demo", tmp_path / "demo", "--model", "invert")
    assert ended.code == 0, ended.err
    keys = sorted(sample.key for sample in SAMPLES)
    for folder in ("source", "restored/photos"):
        assert [o.key for o in Bucket(tmp_path / "demo" / folder).list()] == keys
    truths = {o.key for o in Bucket(tmp_path / "demo/masks").list()}
    assert 3 <= len(truths) <= sum(bool(sample.damage) for sample in SAMPLES)
    sheet = decoded((tmp_path / "demo/before-after.png").read_bytes())
    assert sheet.shape[0] > sheet.shape[1] > 900
    assert len(ended.err.splitlines()) == 2, ended.err
    assert f"side by side: {tmp_path}/demo/before-after.png" in ended.out
    assert f"restored photos: {tmp_path}/demo/restored/photos" in ended.out
    again = oldphoto("demo", tmp_path / "demo", "--model", "invert")
    assert (again.code, "nothing new to restore" in again.out) == (0, True)


def test_the_collection_is_a_mixture_of_what_archives_hold() -> None:
    assert {(Path(s.key).suffix, s.bits, s.grey) for s in SAMPLES} >= {
        (".jpg", 8, False),
        (".jpg", 8, True),
        (".png", 8, False),
        (".png", 8, True),
        (".tif", 16, False),
        (".tif", 16, True),
    }


def test_the_demo_without_scikit_image_tells_the_way_out(
    tmp_path: Path, oldphoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ended = oldphoto("demo", tmp_path / "demo")
    assert ended.code == 1
    assert ended.err.startswith("oldphoto: ")
    assert "pip install 'oldphoto[demo]'" in ended.err


@pytest.mark.long
def test_the_demo_with_its_own_weights_improves_the_photos(tmp_path: Path, oldphoto) -> None:
    from oldphoto_core.checkpoints import shipped_models

    if "starter" not in shipped_models():
        pytest.skip("the weights of the demo are not there")
    ended = oldphoto("demo", tmp_path)
    assert ended.code == 0, ended.err
    old, restored = (
        float(word) for word in ended.out.partition("aged: ")[2].replace("dB", "").replace(",", "").split()[::2]
    )
    assert restored > old
