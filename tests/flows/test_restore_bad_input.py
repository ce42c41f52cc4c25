"""Wrong calls get one line that names the thing and the way out; 2 is wrong usage, 1 what cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import fill


def refused(ended, code: int, *words: str) -> None:
    assert ended.code == code, ended.err
    line = ended.err.strip().splitlines()[-1]
    assert line.startswith("oldphoto: ")
    for word in words:
        assert word in line
    assert "Traceback" not in ended.err


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return fill(tmp_path / "old", ["a.png"])


def test_a_source_that_does_not_exist_is_refused(oldphoto, tmp_path: Path) -> None:
    refused(oldphoto("restore", tmp_path / "nowhere", tmp_path / "new"), 1, "nowhere", "check the name")
    assert not (tmp_path / "new").exists()


def test_a_source_that_is_empty_is_refused(oldphoto, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(oldphoto("restore", tmp_path / "empty", tmp_path / "new"), 1, "empty", "nothing lies in")


def test_a_target_inside_the_source_is_refused(oldphoto, old: Path) -> None:
    refused(oldphoto("restore", old, old / "new"), 2, "inside source", "name a place outside")


def test_a_target_behind_a_link_into_the_source_is_refused(oldphoto, old: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(old)
    refused(oldphoto("restore", old, tmp_path / "link/new"), 2, "inside source")


def test_masks_alone_without_masks_are_refused(oldphoto, old: Path, tmp_path: Path) -> None:
    refused(
        oldphoto("restore", old, tmp_path / "new", "--masks-only"), 2, "--masks-only", "name their bucket", "--masks"
    )
    assert not (tmp_path / "new").exists()


def test_a_format_that_cannot_leave_pixels_alone_is_refused(oldphoto, old: Path, tmp_path: Path) -> None:
    wrong = ("--mode", "scratches", "--format", "jpeg")
    refused(
        oldphoto("restore", old, tmp_path / "new", *wrong), 2, "'jpeg' in mode scratches", "choose keep, png or tiff"
    )
    assert not (tmp_path / "new").exists()


def test_filling_damage_that_nobody_can_find_is_refused(
    oldphoto, old: Path, tmp_path: Path, prefect_server: str
) -> None:
    call = ("restore", old, tmp_path / "new", "--model", "invert", "--mode", "scratches")
    refused(oldphoto(*call), 2, "model invert has no detector", "--masks URL")


def test_an_output_place_that_cannot_be_written_is_refused(oldphoto, old: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(oldphoto("restore", old, tmp_path / "file/new", "--model", "invert"), 1, "cannot write", "file/new")


def test_a_model_that_does_not_exist_is_refused(oldphoto, old: Path, tmp_path: Path, prefect_server: str) -> None:
    refused(oldphoto("restore", old, tmp_path / "new", "--model", "nonesuch"), 1, "nonesuch", "there are:")


def test_a_damaged_weights_file_is_refused(oldphoto, old: Path, tmp_path: Path, prefect_server: str) -> None:
    from importlib.resources import files

    shipped = files("oldphoto_core.checkpoints") / "weights" / "starter"
    (tmp_path / "model").mkdir()
    for part in shipped.iterdir():
        data = part.read_bytes()
        damaged = data[:-100] + bytes(100) if part.name.endswith("safetensors") else data
        (tmp_path / "model" / part.name).write_bytes(damaged)
    refused(oldphoto("restore", old, tmp_path / "new", "--model", tmp_path / "model"), 1, "sha256", "model")


def test_a_run_without_credentials_is_refused(oldphoto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    refused(oldphoto("restore", "s3://some-bucket/old", tmp_path / "new"), 1, "no credentials", "AWS_ACCESS_KEY_ID")


def test_a_bucket_that_does_not_exist_is_refused(oldphoto, tmp_path: Path, s3_bucket_url: str) -> None:
    refused(oldphoto("restore", "s3://no-such-bucket-at-all/old", tmp_path / "new"), 1, "no-such-bucket-at-all")


def test_a_store_that_is_not_known_is_refused(oldphoto, tmp_path: Path) -> None:
    refused(oldphoto("restore", "ftp://somewhere/old", tmp_path / "new"), 2, "ftp", "s3://")


def test_a_prefect_server_that_does_not_answer_is_waited_for_and_named(
    oldphoto, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setattr("flows.session.prefect_session.SECONDS_TO_ANSWER", 2.0)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        ended = oldphoto("restore", old, tmp_path / "new", "--model", "invert")
    assert "it does not answer; waiting up to 2 s" in ended.err
    refused(ended, 1, "http://127.0.0.1:9/api has not answered for 2 s", "unset PREFECT_API_URL")


def test_a_device_that_is_none_is_refused_before_a_training_begins(oldphoto, old: Path, tmp_path: Path) -> None:
    ended = oldphoto("train", "all", "--clean", old, "--old", old, "--out", tmp_path / "out", "--device", "toaster")
    assert (ended.code, "'toaster' is no device" in ended.err) == (2, True)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--existing", "maybe"],
        ["--format", "gif"],
        ["--limit", "0"],
        ["--max-failure-rate", "2"],
        ["--device", "toaster"],
        ["--no-such-option"],
    ],
)
def test_an_option_that_makes_no_sense_is_refused(oldphoto, old: Path, tmp_path: Path, wrong: list[str]) -> None:
    ended = oldphoto("restore", old, tmp_path / "new", *wrong)
    assert ended.code == 2
    assert wrong[0] in ended.err
    assert not (tmp_path / "new").exists()
