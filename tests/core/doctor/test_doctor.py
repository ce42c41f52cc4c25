"""What the doctor says is what was tried."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from fakes import encoded, picture
from places import SUPPORT

from oldphoto_core.checkpoints import shipped_models
from oldphoto_core.doctor import Finding, file_kinds, formats, machine, models, place, redacted
from oldphoto_core.doctor.file_kinds import KINDS, written
from oldphoto_core.errors import UsageError
from oldphoto_core.scans import read_scan
from oldphoto_core.scans.formats import Sample
from oldphoto_core.storage import Bucket


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_every_format_is_read_and_written_here() -> None:
    found = by_name(list(formats()))
    rights = found.pop("decoder rights")
    assert ("Landlock" in rights.value) == ("seccomp" in rights.value) == (sys.platform == "linux")
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found["TIFF, 16 bits"].value == found["BigTIFF"].value == "read and written"
    for name in ("JPEG 2000, 16 bits", "AVIF", "HEIC"):
        assert found[name].value == "read; derivatives are TIFF"


def test_a_format_whose_decoder_is_broken_is_bad_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT / "faults"))
    crash = Sample(name="Crashes", encode=lambda: b"\x89PNG\r\n\x1a\nFAULT:SEGV")
    garbage = Sample(name="Garbage", encode=lambda: b"\x89PNG\r\n\x1a\n no more")
    monkeypatch.setattr(file_kinds, "KINDS", (crash, garbage, *KINDS[:1]))
    found = by_name(list(formats()))
    assert [found[name].state for name in ("Crashes", "Garbage", "TIFF, 8 bits", "decoder processes")] == [
        "bad",
        "bad",
        "ok",
        "ok",
    ]
    assert "SIGSEGV" in found["Crashes"].value


def test_a_format_that_wants_a_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_kinds, "KINDS", (Sample(name="Odd", encode=bytes, wants="no_such_module odd"),))
    found = by_name(list(formats()))["Odd"]
    assert (found.state, found.value) == ("note", "not read here: pip install 'oldphoto[odd]'")


def test_where_no_decoder_process_starts_the_doctor_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = by_name(list(formats()))
    assert found["decoder processes"].state == "note"
    assert found["PNG, 8 bits"].state == "ok"


def test_rights_that_this_machine_cannot_take_from_a_decoder_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT / "taken_over/unconfined"))
    monkeypatch.setattr(file_kinds, "KINDS", KINDS[:1])
    rights = by_name(list(formats()))["decoder rights"]
    assert rights.state == "note"
    assert rights.value.startswith("none is given up; this system cannot enforce: no network")
    assert rights.value.endswith("(Landlock)")


def test_a_big_tiff_that_is_tried_is_one() -> None:
    (kind,) = [kind for kind in KINDS if kind.name == "BigTIFF"]
    assert written(kind, read_scan(kind.encode()))[:4] == b"II+\0"


def test_the_machine_is_described() -> None:
    import torch

    found = by_name(list(machine()))
    assert {"Python", "cores", "memory", "temporary files", "torch"} <= found.keys()
    assert found["torch"].value.startswith(str(torch.__version__))
    assert not [finding for finding in found.values() if finding.state == "bad"]
    assert ("GPU" in found) != torch.cuda.is_available()


def test_little_room_on_the_disk_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oldphoto_core.doctor.capacities.LEAST_ROOM", 1e18)
    room = by_name(list(machine()))["temporary files"]
    assert room.state == "note"
    assert "set TMPDIR" in room.value


def test_every_model_that_comes_along_is_verified() -> None:
    found = by_name(list(models()))
    assert set(shipped_models()) <= found.keys()
    assert all(found[name].state == "ok" for name in shipped_models())


def test_a_damaged_model_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import resources

    shipped = Path(str(resources.files("oldphoto_core.checkpoints"))) / "weights" / shipped_models()[0]
    for name in ("damaged", "lost"):
        shutil.copytree(shipped, tmp_path / name)
    (tmp_path / "lost/weights.safetensors").unlink()
    with (tmp_path / "damaged/weights.safetensors").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\xff")
    monkeypatch.setenv("OLDPHOTO_MODELS", str(tmp_path))
    found = by_name(list(models()))
    assert (found["damaged"].state, found["lost"].state) == ("bad", "bad")
    assert "its card says" in found["damaged"].value
    assert "no weights.safetensors" in found["lost"].value


def test_a_place_is_listed_and_read_and_written_only_when_asked(bucket_url: str) -> None:
    bucket = Bucket(bucket_url)
    bucket.write("album/a.png", encoded(picture(), ".png"))
    before = [(info.key, info.version) for info in bucket.list()]
    assert {(f.name, f.state) for f in place(bucket_url) if f.name != "credentials"} == {("list", "ok"), ("read", "ok")}
    found = by_name(list(place(bucket_url, write=True)))
    assert found["write"].state == "ok"
    assert [(info.key, info.version) for info in bucket.list()] == before


def test_a_bucket_that_is_not_there_is_bad(s3_endpoint: str) -> None:
    found = by_name(list(place("s3://no-such-bucket/x", write=True)))
    assert (found["list"].state, found["write"].state) == ("bad", "bad")
    with pytest.raises(UsageError):
        list(place("ftp://elsewhere"))


def test_credentials_are_named_and_never_shown(s3_bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-token-1234")
    credentials = by_name(list(place(s3_bucket_url)))["credentials"]
    assert "AWS_SESSION_TOKEN" in credentials.value
    assert "planted" not in credentials.value
    assert "test-secret" not in credentials.value


def test_what_is_called_like_a_secret_is_blacked_out_wherever_it_stands() -> None:
    environment = {"MY_TOKEN": "abcdef", "AWS_SECRET_ACCESS_KEY": "abcdefgh", "HOME": "/root", "A_KEY": "x"}
    assert redacted("abcdefgh and abcdef in /root, x", environment) == "*** and *** in /root, x"
