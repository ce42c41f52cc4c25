"""Decoders that a file has taken over: what they try comes to nothing, and costs one photo."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from places import SUPPORT
from scan_kinds import KINDS
from test_decoders import PNG, wait_until_gone

from oldphoto_core.errors import CrashesDecoder, TimedOut, UnreadableScan
from oldphoto_core.scans import Decoders, read_scan
from oldphoto_core.scans.container_metadata import ContainerMetadata, Encoding
from oldphoto_core.scans.isolation import landlock, seccomp
from oldphoto_core.scans.isolation.wire import packed

TAKEN_OVER = SUPPORT / "taken_over"
filtered = pytest.mark.skipif(not seccomp.is_known_here(), reason="no filter of system calls on this machine")
landlocked = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


def attack(name: str, argument: object = "") -> bytes:
    """A file that takes its decoder over."""
    return f"ATTACK:{name} {argument};".encode()


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoders]:
    monkeypatch.setenv("PYTHONPATH", str(TAKEN_OVER))
    with Decoders(1) as decoders:
        yield decoders


@pytest.fixture
def unconfined(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoders]:
    monkeypatch.setenv("PYTHONPATH", str(TAKEN_OVER / "unconfined"))
    with Decoders(1) as decoders:
        yield decoders


def outcome(decoders: Decoders, name: str, argument: object = "") -> object:
    """What an attack came to: what it found out, or the name of its error."""
    with pytest.raises(UnreadableScan) as caught:
        decoders.read_header(attack(name, argument))
    return json.loads(str(caught.value))


@filtered
@pytest.mark.parametrize(
    "name",
    [
        "opens_a_socket", "starts_a_program", "starts_a_process", "traces_its_parent", "signals_its_parent",
        "limits_its_parent", "leaves_its_group", "makes_shared_memory", "has_its_parent_signalled",
        "has_its_parent_signalled_otherwise", "chooses_the_signal",
    ],
)  # fmt: skip
def test_a_decoder_reaches_no_network_and_no_other_process(decoders: Decoders, name: str) -> None:
    assert outcome(decoders, name) == "PermissionError"


@filtered
@pytest.mark.parametrize(
    "name",
    [
        "writes_a_file", "removes_a_file", "renames_a_file", "changes_the_rights_of_a_file", "makes_a_folder",
        "changes_the_attributes_of_a_file", "gives_a_file_an_extended_attribute",
    ],
)  # fmt: skip
def test_a_decoder_changes_no_file(decoders: Decoders, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("master")
    victim.chmod(0o640)
    assert outcome(decoders, name, victim) == "PermissionError"
    assert os.listdir(tmp_path) == ["victim"]
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("master", 0o640)


@landlocked
@pytest.mark.parametrize(
    "name",
    [
        "reads_a_file_elsewhere", "reads_what_lies_beside_the_package", "reads_the_environment_of_its_parent",
        "reads_the_memory_of_its_parent",
    ],
)  # fmt: skip
def test_a_decoder_reads_nothing_but_libraries_and_files_that_it_is_given(decoders: Decoders, name: str) -> None:
    assert outcome(decoders, name) == "PermissionError"


def test_a_file_in_any_folder_is_read_by_a_decoder_that_may_read_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "photo.png").write_bytes(PNG)
    with Decoders(1) as decoders:
        for path in (tmp_path / "photo.png", tmp_path / "temporary" / ".." / "photo.png"):
            assert np.array_equal(decoders.read_scan(path).pixels, read_scan(PNG).pixels)


def test_a_decoder_is_given_no_variable_but_those_that_libraries_need(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://user:secret@host")
    with Decoders(1) as later:
        names = outcome(later, "tells_its_environment")
    assert isinstance(names, list)
    assert "PATH" in names
    assert not {"DATABASE_URL", "PREFECT_API_URL", "OLDPHOTO_TEST_DATA"} & set(names)


def test_a_decoder_inherits_its_line_and_nothing_else(decoders: Decoders, tmp_path: Path) -> None:
    secret = os.open(tmp_path / "secret", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(secret, True)
    try:
        with Decoders(1) as later:
            found = outcome(later, "tells_its_descriptors")
    finally:
        os.close(secret)
    assert isinstance(found, list)
    assert set(found) <= {"/dev/null", "socket", "/memfd"}


@pytest.mark.parametrize("fixture", ["decoders", "unconfined"])
def test_memory_that_is_mapped_here_cannot_be_cut_short(fixture: str, request: pytest.FixtureRequest) -> None:
    decoders = request.getfixturevalue(fixture)
    with pytest.raises(UnreadableScan, match="PermissionError"):
        decoders.read_scan(attack("cuts_its_memory_short"))
    assert np.array_equal(decoders.read_scan(PNG).pixels, read_scan(PNG).pixels)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("announces_a_long_message", ""),
        ("says", "Nonsense {}"),
        ("says", "ScanHeader no JSON"),
        ("says", "ScanHeader " + "[" * 500),
        ("says", 'ScanHeader ["png","wide",64,3,8,1]'),
        ("says", 'ScanHeader ["png",-96,64,3,8,1]'),
        ("says", 'ScanHeader ["gif",96,64,3,8,1]'),
        ("says", "GoOn []"),
    ],
)
def test_an_answer_that_makes_no_sense_costs_one_photo(decoders: Decoders, name: str, argument: str) -> None:
    with pytest.raises(CrashesDecoder, match="no decoder should"):
        decoders.read_header(attack(name, argument), seconds=30)
    assert np.array_equal(decoders.read_scan(PNG).pixels, read_scan(PNG).pixels)


CARRIED = packed(ContainerMetadata(encoding=Encoding(lossless=True)))[0].decode()


@pytest.mark.parametrize(
    "planes",
    [
        '[[64,96,3],"|u1"],[[9,9],"|u1"]',
        '[[64,96,3],"<f8"],null',
        '[[64,96,3],"|O"],null',
        '[[64,-96,-3],"|u1"],null',
        '[[100000,100000,3],"<u2"],null',
    ],
)
def test_pixels_that_do_not_fit_into_their_memory_are_not_mapped(decoders: Decoders, planes: str) -> None:
    with pytest.raises(CrashesDecoder, match="none of a photo"):
        decoders.read_scan(attack("says", f'Reply ["png",{planes},{CARRIED},null]'), max_pixels=96 * 64)


@pytest.mark.parametrize(
    "message",
    [
        f'Reply ["png",[[64,96,3],"|u1"],null,{CARRIED},null]',
        'Slab [[[64,96,3],"|u1"],null,1,2]',
        'Slab [[[64,96,3],"|u1"],null,0,65]',
        'Slab [[[100000,100000,3],"|u1"],null,0,1]',
    ],
)
def test_rows_that_are_not_the_next_ones_are_not_written(decoders: Decoders, tmp_path: Path, message: str) -> None:
    path, folder = tmp_path / "scan", tmp_path / "pixels"
    path.write_bytes(attack("says", message))
    folder.mkdir()
    with pytest.raises(CrashesDecoder):
        decoders.spool_scan(path, folder, max_pixels=96 * 64, seconds=30)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("name", ["complains_at_length", "names_many_sides_of_a_picture"])
def test_what_a_decoder_says_in_words_is_cut(decoders: Decoders, name: str) -> None:
    with pytest.raises((RuntimeError, CrashesDecoder), match=r"xxx|pixels of") as caught:
        decoders.read_scan(attack(name), seconds=30)
    assert len(str(caught.value)) < 3000


def test_an_answer_that_never_ends_is_stopped_in_time(decoders: Decoders) -> None:
    with pytest.raises((TimedOut, CrashesDecoder)):
        decoders.read_header(attack("sends_one_byte_after_the_other"), seconds=1.0)


def test_a_process_that_a_decoder_leaves_is_ended_with_it(unconfined: Decoders, tmp_path: Path) -> None:
    with pytest.raises(CrashesDecoder, match="exit code 7"):
        unconfined.read_header(attack("leaves_a_process_that_holds_the_line", tmp_path), seconds=500)
    left = list(map(int, os.listdir(tmp_path)))
    assert left
    wait_until_gone(left)


def test_pixels_come_back_where_the_kernel_confines_nothing(unconfined: Decoders, tmp_path: Path) -> None:
    for data in (PNG, KINDS["lzw tiff"]):
        assert np.array_equal(unconfined.read_scan(data).pixels, read_scan(data).pixels)
    (tmp_path / "scan").write_bytes(PNG)
    with unconfined.spool_scan(tmp_path / "scan", tmp_path) as spooled:
        assert np.array_equal(spooled.pixels.read(0, spooled.height), read_scan(PNG).pixels)
    assert unconfined.confinement is not None
    assert (unconfined.confinement.calls, unconfined.confinement.landlock) == (False, 0)


def test_the_filter_knows_every_call_on_both_processors() -> None:
    for machine in ("x86_64", "aarch64"):
        program = seccomp.instructions(machine, 1)
        assert len(program) < 4096
        # no jump leaves the program, and it ends with an answer
        assert all(at + 1 + max(yes, no) < len(program) for at, (_, yes, no, _) in enumerate(program[:-1]))
        assert program[-1][0] == 0x06
