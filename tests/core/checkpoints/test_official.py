"""Published checkpoints: their layout, their numbers, their archives and what is refused of those."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stand_in import constant_state, members, random_state, saved, zipped

from oldphoto_core import Restorer
from oldphoto_core.checkpoints import imported_models, load_detector, official, read_card
from oldphoto_core.checkpoints.archives import files_in, read_state
from oldphoto_core.checkpoints.importing import pieces_in
from oldphoto_core.checkpoints.published import FACE, GLOBAL, PIECES
from oldphoto_core.checkpoints.store import models_folder
from oldphoto_core.errors import DamagedWeights, ModelError, ScanTooLarge, UnknownModel, UsageError
from oldphoto_core.nets.luminance import luminance
from oldphoto_core.nets.vae import PaperVAE

PUBLISHED = {
    "vae_old": (44, "f69b2848b6aa24a8"),
    "vae_quality": (44, "f69b2848b6aa24a8"),
    "vae_scratch": (44, "f69b2848b6aa24a8"),
    "mapping_quality": (40, "70d96876c59eaa3d"),
    "mapping_scratch": (60, "e7034ef7e146c6d9"),
    "mapping_high_resolution": (66, "2ff1b932886c4e2b"),
    "detector": (156, "036f5d53d0dba2d6"),
    "face_256": (234, "c76a7890f0c851f7"),
    "face_512": (234, "c76a7890f0c851f7"),
}
"""Number of entries of each published file, and a digest of their names and shapes."""
VAE_FILE = f"checkpoints/{PIECES['vae_old'].file}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own global_checkpoints.zip: a VAE with numbers, the others constant."""
    return zipped(tmp_path_factory.mktemp("archives") / GLOBAL, members(GLOBAL))


@pytest.fixture(scope="module")
def loaded(archive: Path) -> official.Official:
    return official.load(archive)


def picture(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


# layout


@pytest.mark.parametrize("name", PIECES)
def test_networks_have_the_published_entries(name: str) -> None:
    lines = sorted(f"{key} {list(shape)}" for key, shape in PIECES[name].entries().items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    assert (len(lines), digest) == PUBLISHED[name]


def test_the_numbers_of_a_file_arrive_in_its_network(loaded: official.Official) -> None:
    vae = PaperVAE().eval()
    vae.load_state_dict(random_state("vae_old"))
    image = picture(32, 48)
    with torch.no_grad():
        assert torch.allclose(loaded.encode(image), vae.encode(image), atol=1e-5)
        assert torch.allclose(loaded.reconstruct(image), vae.decode(vae.encode(image)), atol=1e-5)


def test_spectral_norm_is_folded_as_torch_applies_it() -> None:
    torch.manual_seed(0)
    layer = torch.nn.utils.spectral_norm(torch.nn.Conv2d(1024, 512, 1, bias=False))
    layer(torch.rand(1, 1024, 2, 2))
    state = constant_state("face_256") | {
        f"up_0.conv_s.{key}": value for key, value in layer.state_dict().items() if key != "bias"
    }
    network = PIECES["face_256"].network(state, "stand-in")
    x = torch.rand(1, 1024, 4, 4)
    with torch.no_grad():
        ours = network.get_submodule("up_0.conv_s")(x)
        assert torch.allclose(ours, layer.eval()(x), atol=1e-5)


@pytest.mark.parametrize("where", ["", "checkpoints", "Global/checkpoints"])
def test_unpacked_folders_are_as_good_as_the_archive(archive: Path, tmp_path: Path, where: str) -> None:
    for name, data in members(GLOBAL).items():
        file = tmp_path / where / name.removeprefix("checkpoints/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    unpacked, packed = pieces_in(tmp_path), pieces_in(archive)
    assert {name: reader() for name, reader in unpacked.items()} == {name: reader() for name, reader in packed.items()}


def test_a_folder_with_the_archive_inside_will_do(archive: Path) -> None:
    assert pieces_in(archive.parent).keys() == pieces_in(archive).keys()


def test_files_in_the_old_format_of_torch_are_read() -> None:
    state = read_state(saved({"a": torch.arange(3.0)}, _use_new_zipfile_serialization=False), "old")
    assert state["a"].tolist() == [0, 1, 2]


# methods


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (33, 47), (64, 64)])
def test_pictures_of_any_size_come_back_in_their_size(loaded: official.Official, size: tuple[int, int]) -> None:
    image, mask = picture(*size), (picture(*size, channels=1) > 0.8).float()
    assert loaded.encode(image).shape == (1, 64, -(-size[0] // 4), -(-size[1] // 4))
    assert loaded.reconstruct(image).shape == image.shape
    assert loaded.scratch_logits(picture(*size, channels=1)).shape == (1, 1, *size)
    if size == (33, 47):
        restored = [loaded.quality(image), loaded.scratch(image, mask), loaded.high_resolution(image, mask)]
        assert {result.shape for result in restored} == {image.shape}
        assert all(torch.isfinite(result).all() for result in restored)


@pytest.mark.parametrize(
    ("call", "archive_name"),
    [
        (lambda o: o.encode(picture(32, 32)), GLOBAL),
        (lambda o: o.quality(picture(32, 32)), GLOBAL),
        (lambda o: o.scratch(picture(32, 32), picture(32, 32, 1)), GLOBAL),
        (lambda o: o.high_resolution(picture(32, 32), picture(32, 32, 1)), GLOBAL),
        (lambda o: o.scratch_logits(picture(32, 32, 1)), GLOBAL),
        (lambda o: o.face(picture(256, 256)), FACE),
    ],
)
def test_a_missing_network_names_its_archive(call: Callable[[Any], Any], archive_name: str) -> None:
    with pytest.raises(ModelError, match=archive_name):
        call(official.Official({}))


@pytest.mark.parametrize(
    "call",
    [
        lambda o: o.encode(picture(32, 32, channels=1)),
        lambda o: o.encode(picture(32, 32).double()),
        lambda o: o.encode(picture(32, 32)[0]),
        lambda o: o.scratch(picture(32, 32), picture(32, 36, 1)),
        lambda o: o.face(picture(256, 512)),
        lambda o: o.face(picture(128, 128)),
    ],
)
def test_other_tensors_are_wrong_usage(loaded: official.Official, call: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match=r"give|make"):
        call(loaded)


# what is refused


def refused(path: Path, match: str) -> None:
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(DamagedWeights, match=match) as caught:
        official.load(path)
    assert "\n" not in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.0])
def test_a_truncated_archive_is_refused(archive: Path, tmp_path: Path, kept: float) -> None:
    data = archive.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: int(len(data) * kept)])
    refused(tmp_path / "cut.zip", "not a whole zip archive")


def test_an_archive_with_a_flipped_bit_is_refused(archive: Path, tmp_path: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.zip").write_bytes(data)
    refused(tmp_path / "bad.zip", "not a whole zip archive|truncated or damaged|cannot be read")


@pytest.mark.parametrize("name", ["../evil.pth", "checkpoints/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "a\nb"])
def test_a_member_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    refused(zipped(tmp_path / "a.zip", {**members(GLOBAL), name: b"x"}), "would leave its folder")


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("checkpoints/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "a.zip", members(GLOBAL))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(path, "is a link")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    files = members(GLOBAL) | {"checkpoints/bomb": bytes(8 * 2**20)}
    refused(zipped(tmp_path / "a.zip", files, zipfile.ZIP_DEFLATED), "bomb' would unpack from")


def test_a_bomb_inside_a_checkpoint_is_refused(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.pth", {"archive/data.pkl": bytes(900_000)}, zipfile.ZIP_DEFLATED)
    files = members(GLOBAL) | {VAE_FILE: inner.read_bytes()}
    refused(zipped(tmp_path / "a.zip", files), "records would unpack to more")


def test_a_size_that_is_claimed_and_not_there_is_refused(archive: Path, tmp_path: Path) -> None:
    data = archive.read_bytes()
    at = data.rindex(b"PK\x01\x02") + 24  # the unpacked size of the directory's last member
    (tmp_path / "a.zip").write_bytes(data[:at] + (2**31).to_bytes(4, "little") + data[at + 4 :])
    refused(tmp_path / "a.zip", "would unpack to 2147483648 bytes")


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    refused(zipped(tmp_path / "a.zip", {f"{number}": b"" for number in range(1001)}), "1001 members")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", members(GLOBAL))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(VAE_FILE, b"other")
    refused(path, "is there twice")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil",)


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changed = zipped(tmp_path / "a.zip", members(GLOBAL, {"vae_old": lambda state: state | {"x": Evil()}}))
    refused(changed, r"asks for (posix|nt|os)\.system")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "encoder.1.bias"}, "encoder.1.bias is missing"),
        (lambda s: s | {"encoder.99.bias": torch.zeros(1)}, "encoder.99.bias is unknown"),
        (lambda s: s | {"encoder.1.bias": torch.zeros(63)}, r"encoder.1.bias is \(63,\), the network has \(64,\)"),
        (lambda s: s | {"encoder.1.bias": torch.full((64,), torch.nan)}, "encoder.1.bias does not hold finite"),
        (lambda s: s | {"encoder.1.bias": torch.zeros(64, dtype=torch.int32)}, "encoder.1.bias does not hold finite"),
        (lambda s: s | {"encoder.1.bias": "text"}, "'encoder.1.bias' is no dense tensor"),
        (lambda s: list(s), "holds no weights"),
        (lambda s: {}, r"is missing.*44 entries in all"),
    ],
)
def test_entries_that_do_not_fit_name_themselves(tmp_path: Path, change: Callable[[Any], Any], match: str) -> None:
    refused(zipped(tmp_path / "a.zip", members(GLOBAL, {"vae_old": change})), f"VAE_A_quality.*{match}")


def test_a_detector_outside_its_wrapper_is_refused(tmp_path: Path) -> None:
    files = members(GLOBAL) | {f"checkpoints/{PIECES['detector'].file}": saved(constant_state("detector"))}
    refused(zipped(tmp_path / "a.zip", files), "no weights under 'model_state'")


def test_an_archive_without_one_of_its_files_is_refused(tmp_path: Path) -> None:
    files = {name: data for name, data in members(GLOBAL).items() if name != VAE_FILE}
    refused(zipped(tmp_path / "a.zip", files), "lacks restoration/VAE_A_quality")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    refused(zipped(tmp_path / "a.zip", {"holiday/photo.jpg": b"x"}), r"none of the published.*holiday/photo\.jpg")


def test_nothing_at_all_and_the_same_twice_are_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="there is no"):
        official.load(tmp_path / "nowhere.zip")
    with pytest.raises(UsageError, match="no checkpoints were given"):
        official.load([])
    with pytest.raises(UsageError, match="another path holds too"):
        official.load([archive, archive])


def test_members_are_named_without_being_read(archive: Path) -> None:
    assert len(files_in(archive)) == 7


# import


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLDPHOTO_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_archives_in_each_others_place_are_told(archive: Path, models: Path, tmp_path: Path) -> None:
    face = zipped(tmp_path / FACE, dict.fromkeys(members(FACE), b"never read"))
    with pytest.raises(UsageError, match="holds what is published as face_checkpoints"):
        official.convert(face)
    with pytest.raises(UsageError, match="holds what is published as global_checkpoints"):
        official.convert(archive, archive)
    assert not models.exists()


def test_a_failed_import_leaves_the_model_that_was_there(models: Path, tmp_path: Path) -> None:
    (models / "official").mkdir(parents=True)
    (models / "official/card.json").write_text("{}")
    bad = zipped(tmp_path / "a.zip", members(GLOBAL, {"vae_old": lambda state: {}}))
    with pytest.raises(DamagedWeights, match="is missing"):
        official.convert(bad)
    assert [path.name for path in sorted(models.rglob("*"))] == ["official", "card.json"]


def test_where_imported_models_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OLDPHOTO_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "oldphoto/models"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert models_folder() == Path.home() / ".local/share/oldphoto/models"
    monkeypatch.setenv("OLDPHOTO_MODELS", str(tmp_path / "mine"))
    assert models_folder() == tmp_path / "mine"


def test_an_unknown_name_lists_imported_models_too(models: Path) -> None:
    (models / "official").mkdir(parents=True)
    (models / "official/card.json").write_text("{}")
    with pytest.raises(UnknownModel, match=r"official \(imported\)"):
        read_card("no-such-model")


@pytest.mark.long
def test_an_imported_model_restores_by_its_name(archive: Path, models: Path, loaded: official.Official) -> None:
    folder = official.convert(archive)
    assert (folder, imported_models()) == (models / "official", ["official"])
    restorer = Restorer.load("official", device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    for mask in (None, np.eye(37, 50, dtype=bool)):
        assert restorer.restore(pixels, mask).shape == pixels.shape
    detector = load_detector("official")
    assert detector is not None
    assert detector.threshold == 0.4
    grey = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    published = torch.sigmoid(loaded.scratch_logits(luminance(grey)))[0, 0] >= 0.4
    assert (restorer.find(pixels) == published.numpy()).mean() > 0.98  # other padding, 8-bit probabilities
    high = Restorer.load("official:high-resolution", device="cpu")
    assert high.detector_digest == restorer.detector_digest
    assert high.name == "official:high-resolution"
    assert high.digest != restorer.digest
    assert high.restore(pixels, mask).shape == pixels.shape
    assert np.array_equal(high.restore(pixels), restorer.restore(pixels))
    with pytest.raises(ScanTooLarge, match="patch attention needs the whole picture"):
        Restorer.load("official:high-resolution", device="cpu", memory=2_000_000).restore(pixels, mask)
    again = official.load("official")
    assert torch.equal(again.encode(picture(32, 32)), loaded.encode(picture(32, 32)))
    assert "detector" in again.networks
    assert "face_256" not in again.networks
    for file in folder.glob("*.safetensors"):  # pytest keeps temporary folders, and these are large
        file.unlink()


def test_a_model_without_the_high_resolution_mapping_says_so() -> None:
    with pytest.raises(UnknownModel, match="only an imported `official` has"):
        Restorer.load("starter:high-resolution", device="cpu")


# the whole comparison


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[official.Official, dict[str, torch.Tensor]]:
    """Networks with the stand-in weights of OLDPHOTO_TEST_OFFICIAL, and what the published code made with them."""
    named = os.environ.get("OLDPHOTO_TEST_OFFICIAL", "")
    if not named or not (Path(named) / "recipe.py").is_file():
        pytest.skip("OLDPHOTO_TEST_OFFICIAL names no folder with recipe.py and cases/")
    folder = tmp_path_factory.mktemp("official")
    subprocess.run([sys.executable, "-B", str(Path(named) / "recipe.py"), str(folder)], check=True)
    cases: dict[str, torch.Tensor] = {}
    for file in Path(named).glob("cases/*.npz"):
        with np.load(file) as arrays:
            cases |= {key: torch.from_numpy(arrays[key]).float() for key in arrays}
    networks = official.load([folder / GLOBAL, folder / FACE])
    for archive in (GLOBAL, FACE):
        (folder / archive).unlink()
    return networks, cases


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "run", "bar"),
    [
        ("vae_latent", lambda o, c: o.encode(c["image"]), 1e-4),
        ("vae_reconstruction", lambda o, c: o.reconstruct(c["image"]), 1e-4),
        ("quality_restored", lambda o, c: o.quality(c["image"]), 1e-4),
        ("scratch_restored", lambda o, c: o.scratch(c["holed"], c["mask"]), 1e-4),
        ("hr_restored", lambda o, c: o.high_resolution(c["holed"], c["mask"]), 1e-4),
        ("scratch_logits", lambda o, c: o.scratch_logits(c["gray"]), 1e-4),
        ("face256_output_f16", lambda o, c: o.face(c["face256_input_u8"] / 127.5 - 1), 2e-3),
        ("face512_output_f16", lambda o, c: o.face(c["face512_input_u8"] / 127.5 - 1), 2e-3),
    ],
)
def test_every_output_is_the_published_one(reference: Any, key: str, run: Callable[..., Any], bar: float) -> None:
    networks, cases = reference
    ours, theirs = run(networks, cases), cases[key]
    assert float((ours - theirs).norm() / theirs.norm()) <= bar
