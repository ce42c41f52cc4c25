"""Decoder processes: what they read is what is read here, and what kills them kills one photo.

The faults are real: `faults/sitecustomize.py` makes decoder processes, and no other, do what a planted file says.
"""

from __future__ import annotations

import io
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from fakes import InvertingRestorer, fill, mark
from icc_files import ADOBE_RGB
from looks import looked
from PIL import ImageCms
from places import SUPPORT, python_path
from runs import restore
from scan_kinds import KINDS
from waiting import wait_until

from oldphoto_core.errors import CrashesDecoder, ScanError, ScanTooLarge, TimedOut, TruncatedScan
from oldphoto_core.restoration import Photo, RestoreOptions, ShardCallbacks, restore_photos
from oldphoto_core.scans import (
    Decoders,
    SparseCopy,
    SpooledScan,
    header_probe,
    headers,
    read_header,
    read_scan,
    reader,
    write_scan,
)
from oldphoto_core.scans.container_metadata import ContainerMetadata, Encoding, Resolution
from oldphoto_core.scans.header_probe import TooScattered
from oldphoto_core.scans.isolation.confinement import Confinement
from oldphoto_core.scans.isolation.memory import Plane
from oldphoto_core.scans.isolation.messages import GoOn, Headers, Missing, Ready, Reply, Request, receive, send
from oldphoto_core.scans.scan import ScanHeader
from oldphoto_core.scans.selection import PageSelection
from oldphoto_core.storage import Bucket, LedgerRow

FAULTS = SUPPORT / "faults"
PNG = KINDS["png"]


def planted(word: str) -> bytes:
    """A file at whose beginning a fault stands."""
    return b"\x89PNG\r\n\x1a\nFAULT:" + word.encode()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders() as decoders:
        yield decoders


@pytest.fixture
def faulty(faults: None) -> Iterator[Decoders]:
    with Decoders() as decoders:
        yield decoders


def still_there(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def wait_until_gone(processes: list[int]) -> None:
    wait_until(lambda: not any(map(still_there, processes)), f"the end of {processes}", every=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_decoder_reads_is_what_is_read_here(decoders: Decoders, tmp_path: Path, kind: str) -> None:
    data = KINDS[kind]
    (tmp_path / "file").write_bytes(data)
    assert decoders.read_header(data) == decoders.read_header(tmp_path / "file") == read_header(data)
    ours, theirs = read_scan(data), decoders.read_scan(data)
    (tmp_path / "pixels").mkdir()
    with decoders.spool_scan(tmp_path / "file", tmp_path / "pixels") as spooled:
        for scan in (theirs, spooled):
            for name in ("format", "encoding", "orientation", "resolution", "icc_profile", "metadata", "converted"):
                assert getattr(scan, name) == getattr(ours, name)
            for plane in ("pixels", "alpha"):
                assert np.array_equal(all_of(scan, plane), all_of(ours, plane))


def all_of(scan: object, plane: str) -> np.ndarray:
    pixels = getattr(scan, plane)
    if isinstance(scan, SpooledScan) and pixels is not None:
        pixels = pixels.read(0, scan.height)
    return np.zeros(0) if pixels is None else np.squeeze(pixels)


def test_pixels_of_a_decoder_may_be_written_to_and_belong_to_the_caller_alone(decoders: Decoders) -> None:
    first, second = decoders.read_scan(PNG), decoders.read_scan(PNG)
    first.pixels[:] = 0
    assert np.array_equal(second.pixels, read_scan(PNG).pixels)


def test_what_is_refused_here_is_refused_there_in_the_same_words(decoders: Decoders) -> None:
    for data in (b"", b"just text", PNG[:-50], b"%PDF-1.7", KINDS["lzw tiff"][:500]):
        told = []
        for read in (read_scan, decoders.read_scan):
            with pytest.raises(ScanError) as caught:
                read(data)
            told.append((type(caught.value), str(caught.value)))
        assert told[0] == told[1]
    with pytest.raises(ScanTooLarge, match="96 x 64"):
        decoders.read_scan(PNG, max_pixels=96 * 64 - 1)


@pytest.mark.parametrize(
    ("word", "told"), [("SEGV", "SIGSEGV"), ("ABRT", "SIGABRT"), ("KILL", "SIGKILL"), ("EXIT", "exit code 7")]
)
def test_a_file_that_kills_its_decoder_is_told_so_and_the_next_file_is_read(
    faulty: Decoders, word: str, told: str
) -> None:
    faulty.read_scan(PNG)
    for read in (faulty.read_scan, faulty.read_header):
        with pytest.raises(CrashesDecoder, match=told) as caught:
            read(planted(word))
        assert caught.value.reason == "crashes the decoder"
    assert np.array_equal(faulty.read_scan(PNG).pixels, read_scan(PNG).pixels)


def test_a_file_is_not_blamed_for_a_process_that_somebody_else_kills(decoders: Decoders) -> None:
    decoders.read_scan(PNG)
    before = decoders.processes
    for process in before:
        os.kill(process, signal.SIGSTOP)
    killer = threading.Timer(0.3, lambda: [os.kill(process, signal.SIGKILL) for process in before])
    killer.start()
    assert np.array_equal(decoders.read_scan(PNG).pixels, read_scan(PNG).pixels)
    killer.join()
    assert not set(before) & set(decoders.processes)


@pytest.mark.parametrize("word", ["HANG", "SPIN"])
def test_a_decoder_that_hangs_is_killed_when_its_time_is_over(faulty: Decoders, word: str) -> None:
    faulty.read_scan(PNG)
    hanging = list(faulty.processes)
    with pytest.raises(TimedOut, match=r"stopped after 0\.5 s"):
        faulty.read_scan(planted(word), seconds=0.5)
    wait_until_gone(hanging)
    assert faulty.read_scan(PNG).width == 96


def test_a_file_that_wants_more_memory_than_its_size_warrants_is_too_large(faulty: Decoders) -> None:
    with pytest.raises(ScanTooLarge):
        faulty.read_scan(planted("MEMORY"))


def test_where_no_process_starts_files_are_read_in_this_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for program in ("/bin/false", "/no/such/python"):
        monkeypatch.setattr(sys, "executable", program)
        with caplog.at_level(logging.WARNING), Decoders() as decoders:
            assert np.array_equal(decoders.read_scan(PNG).pixels, read_scan(PNG).pixels)
            assert decoders.read_header(PNG).width == 96
            assert decoders.processes == ()
        assert "may crash" in caplog.text
        caplog.clear()


def test_a_suspect_file_is_never_read_in_this_process(faulty: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty.read_scan(PNG)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(CrashesDecoder, match="no other starts"):
        faulty.read_scan(planted("SEGV"))


def test_isolation_can_be_switched_off() -> None:
    with Decoders(isolated=False) as decoders:
        assert np.array_equal(decoders.read_scan(PNG).pixels, read_scan(PNG).pixels)
        assert decoders.processes == ()


def test_decoders_know_no_credentials_and_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "PREFECT_API_AUTH_STRING", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "secret")
    with Decoders() as decoders:
        decoders.read_scan(PNG)
        process = psutil.Process(decoders.processes[0])
        assert "secret" not in process.environ().values()
        assert not [file.path for file in process.memory_maps() if "torch" in file.path]


def test_many_threads_share_a_few_processes() -> None:
    seen: set[int] = set()
    wrong: list[str] = []

    def read(decoders: Decoders, kind: str) -> None:
        for _ in range(4):
            if not np.array_equal(decoders.read_scan(KINDS[kind]).pixels, read_scan(KINDS[kind]).pixels):
                wrong.append(kind)
            seen.update(decoders.processes)

    with Decoders(2) as decoders:
        threads = [threading.Thread(target=read, args=(decoders, kind)) for kind in list(KINDS)[:8]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert 1 <= len(seen) <= 2


def test_nothing_is_left_behind_when_the_decoders_are_closed(faults: None) -> None:
    here = set(os.listdir("/proc/self/fd"))
    shared = set(os.listdir("/dev/shm"))
    with Decoders() as decoders:
        scan = decoders.read_scan(PNG)
        with pytest.raises(CrashesDecoder):
            decoders.read_scan(planted("SEGV"))
        scan = decoders.read_scan(PNG)
        processes = list(decoders.processes)
        assert processes
    assert not any(map(still_there, processes))
    assert scan.pixels.any()
    del scan
    assert set(os.listdir("/dev/shm")) == shared
    assert len(os.listdir("/proc/self/fd")) == len(here)


def test_closing_ends_a_file_that_is_being_read(faulty: Decoders) -> None:
    ended: list[BaseException] = []

    def read() -> None:
        try:
            faulty.read_scan(planted("HANG"))
        except ScanError as error:
            ended.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    wait_until(faulty._pool._idle.empty, "the file in its decoder")
    faulty.close()
    thread.join(900)
    assert not thread.is_alive()
    assert len(ended) == 1


@pytest.mark.parametrize("word", ["HANG", "SPIN", ""])
def test_decoders_end_with_the_process_that_is_killed(word: str) -> None:
    code = f"""
import sys, threading
from waiting import wait_until
from oldphoto_core.errors import ScanError
from oldphoto_core.scans import Decoders
decoders = Decoders()
try:
    decoders.read_scan(b"no image")
except ScanError:
    print(*decoders.processes, flush=True)
def tell():
    wait_until(decoders._pool._idle.empty, "the file in its decoder")
    print("reading", flush=True)
if {word!r}:
    threading.Thread(target=tell, daemon=True).start()
    decoders.read_scan({planted(word)!r})
sys.stdin.read()
"""
    environment = {**os.environ, "PYTHONPATH": python_path(FAULTS)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        processes = [int(process) for process in parent.stdout.readline().split()]
        assert not word or parent.stdout.readline() == "reading\n"
        assert processes
        assert all(map(still_there, processes))
        parent.kill()
    wait_until_gone(processes)


def restored(source: Path, target: Path, **options: object) -> dict[str, LedgerRow]:
    rows: dict[str, LedgerRow] = {}
    photos = [Photo(o.key, o.version, o.size) for o in Bucket(source).list()]
    chosen = RestoreOptions(**options)  # type: ignore[arg-type]
    places = Bucket(source), Bucket(target)
    restore_photos(
        InvertingRestorer(), *places, photos, chosen, ShardCallbacks(on_row=lambda row: rows.update({row.key: row}))
    )
    return rows


def test_files_that_crash_and_hang_cost_one_photo_each(tmp_path: Path, faults: None) -> None:
    good = [f"{number:02}.png" for number in range(6)]
    fill(tmp_path / "old", good)
    (tmp_path / "old/03-crash.png").write_bytes(planted("SEGV"))
    (tmp_path / "old/04-abort.tif").write_bytes(planted("ABRT"))
    (tmp_path / "old/05-hang.jpg").write_bytes(planted("HANG"))
    children = set(psutil.Process().children())
    rows = restored(tmp_path / "old", tmp_path / "new", photo_timeout=10)
    assert {key: row.status for key, row in rows.items() if row.status == "restored"} == dict.fromkeys(good, "restored")
    failed = {key: row.reason for key, row in rows.items() if row.status == "failed"}
    assert failed == {
        "03-crash.png": "crashes the decoder",
        "04-abort.tif": "crashes the decoder",
        "05-hang.jpg": "timed out",
    }
    assert "SIGSEGV" in rows["03-crash.png"].detail
    assert set(psutil.Process().children()) <= children


def test_a_mask_that_crashes_the_decoder_costs_its_photo(tmp_path: Path, faults: None) -> None:
    fill(tmp_path / "old", ["a.png", "b.png"])
    mark(tmp_path / "masks", ["b.png"])
    (tmp_path / "masks/a.png").write_bytes(planted("SEGV"))
    from oldphoto_core.runs.mask_index import MaskIndex

    index = MaskIndex(Bucket(tmp_path / "masks").list())
    photos = [Photo(o.key, o.version, o.size, index.candidates(o.key)) for o in Bucket(tmp_path / "old").list()]
    rows: dict[str, LedgerRow] = {}
    places = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    restore_photos(
        InvertingRestorer(), *places, photos, RestoreOptions(),
        ShardCallbacks(on_row=lambda row: rows.update({row.key: row})), masks=Bucket(tmp_path / "masks"),
    )  # fmt: skip
    assert (rows["a.png"].reason, rows["b.png"].status) == ("crashes the decoder", "restored")


def test_files_that_crash_or_hang_a_decoder_cost_a_check_one_line_each(tmp_path: Path, faults: None) -> None:
    fill(tmp_path / "old", ["a.png", "b.tif"])
    for name, word in (("crash.png", "SEGV"), ("hang.tif", "HANG")):
        (tmp_path / "old" / name).write_bytes(planted(word))
    checked = looked(Bucket(tmp_path / "old"), Bucket(tmp_path / "new"), photo_timeout=5)
    assert {file.key: file.reason or file.status for file in checked.files} == {
        "a.png": "restored",
        "b.tif": "restored",
        "crash.png": "crashes the decoder",
        "hang.tif": "timed out",
    }


def test_neither_a_run_nor_a_check_opens_a_file_or_its_profile_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = Bucket(tmp_path / "old"), Bucket(tmp_path / "new")
    scan = replace(read_scan(PNG), icc_profile=ADOBE_RGB)
    for key, format_ in (("a.png", "png"), ("b.tif", "tiff")):
        source.write(key, write_scan(scan, scan.pixels, format=format_))  # type: ignore[arg-type]
    for module in (headers, reader, header_probe):
        monkeypatch.setattr(module, "recognise", None)
    profiles: list[bytes] = []

    class Remembering(ImageCms.ImageCmsProfile):
        def __init__(self, profile: Any) -> None:
            profiles.extend([profile.getvalue()] if isinstance(profile, io.BytesIO) else [])
            super().__init__(profile)

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", Remembering)
    assert looked(source, target).counts["restored"] == restore(source, target, isolate=True)["restored"] == 2
    assert profiles
    assert ADOBE_RGB not in profiles


@pytest.mark.parametrize("wanted", [(0, 1), (10**9,)])
def test_a_decoder_that_wants_what_it_has_or_what_is_not_there_is_not_asked_for_ever(
    tmp_path: Path, wanted: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Decoders(1) as decoders, SparseCopy(tmp_path / "copy", 10_000, lambda a, b: bytes(b - a)) as copy:
        copy.fill(0, 10_000)
        monkeypatch.setattr(decoders._pool, "ask", lambda *_: Missing(wanted))
        with pytest.raises(ScanError):
            decoders.probe_header(copy)


@pytest.mark.parametrize(
    "message",
    [
        GoOn(),
        Ready(confinement=Confinement(calls=True, landlock=7)),
        Headers((ScanHeader("tiff", 3, 2, 3, 8, 2), ScanHeader("tiff", 30_000, 2, 1, 16, 2))),
        Request(what="pages", path="/a/\udcff", selection=PageSelection(((1, 2), (5, None))), seconds=2.5),
        Request(what="probe", there=frozenset((1, 2)), seconds=math.inf),
        Reply(
            format="png", pixels=Plane(shape=(2, 3, 1), dtype="|u1"), alpha=None,
            container=ContainerMetadata(
                encoding=Encoding(lossless=True, tile=(256, 128)), resolution=Resolution(12.0, 11.5, "in"),
                icc_profile=bytes(range(256)) * 999, metadata={"exif": b"II", "xmp": b"", "png:1:tEXt": b"\0"},
            ),
        ),
    ],
)  # fmt: skip
def test_a_message_arrives_as_it_was_sent(message: object) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=send, args=(theirs, message))
        sender.start()
        assert receive(ours) == message
        sender.join()


def test_an_error_arrives_as_the_kind_that_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for error in (TruncatedScan("cut short"), TooScattered("far apart"), RuntimeError("odd")):
            send(theirs, error)
            answer = receive(ours)
            assert type(answer) is type(error)
            assert str(answer) == str(error)
