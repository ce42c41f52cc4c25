"""Checkpoints out of archives that nobody vouches for: read in memory, within bounds, never unpacked to a disk."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from oldphoto_core.errors import DamagedWeights, ModelError, UnknownModel

MEMBERS = 1000
"""An archive of checkpoints has nine files; more members than this is something else."""
MEMBER_BYTES = 2**30
"""The largest published file has 369 MB."""
ARCHIVE_BYTES = 4 * 2**30
"""What all members may have together once unpacked; the larger published archive has 0.8 GB."""
RATIO = 50
"""Weights hardly compress; what unpacks to more than this many times its size is a bomb."""

Reader = Callable[[], bytes]


def files_in(path: Path) -> dict[str, Reader]:
    """Files of a zip archive, or of a folder, by "/"-separated name; each is read when its reader is called.

    Raises:
        UnknownModel: there is neither.
        DamagedWeights: the archive is truncated, or built to do harm.
    """
    if path.is_dir():
        files = sorted(entry for entry in path.rglob("*.pt*") if entry.is_file())
        return {file.relative_to(path).as_posix(): lambda file=file: _file(file) for file in files}  # type: ignore[misc]
    if not path.is_file():
        raise UnknownModel(f"there is no {path}; give a published zip archive, or the folder that it was unpacked to")
    with _opened(path) as archive:
        infos = archive.infolist()
    names = [info.filename for info in infos if not info.is_dir()]
    return {name: lambda name=name: _member(path, name) for name in names}  # type: ignore[misc]


def _file(path: Path) -> bytes:
    try:
        if path.stat().st_size > MEMBER_BYTES:
            raise DamagedWeights(f"{path} has {path.stat().st_size} bytes, a checkpoint has at most {MEMBER_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _member(path: Path, name: str) -> bytes:
    # what the archive declares was checked, and zipfile gives no more than that: a wrong size fails the checksum
    with _opened(path) as archive:
        return archive.read(name)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive.infolist(), str(path))
            yield archive
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, KeyError) as error:
        if isinstance(error, DamagedWeights):
            raise
        raise DamagedWeights(f"{path} is not a whole zip archive ({error}); fetch it again") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}); check it and its permissions") from error


def _check(infos: list[zipfile.ZipInfo], name: str) -> None:
    refused = f"{name} is refused"
    if len(infos) > MEMBERS:
        raise DamagedWeights(f"{refused}: it has {len(infos)} members, archives of checkpoints have a few")
    if infos and min(info.header_offset for info in infos) > 0:
        # zipfile takes the end of a checkpoint inside, itself a zip, for the end of an archive that was cut after it
        raise zipfile.BadZipFile("its directory is not that of the whole file")
    seen: set[str] = set()
    for info in infos:
        if reason := _harm(info) or ("is there twice" if info.filename in seen else ""):
            raise DamagedWeights(
                f"{refused}: its member {info.orig_filename[:100]!r} {reason}; fetch the archive again"
            )
        seen.add(info.filename)
    if (total := sum(info.file_size for info in infos)) > ARCHIVE_BYTES:
        raise DamagedWeights(f"{refused}: it would unpack to {total} bytes, the limit is {ARCHIVE_BYTES}")


def _harm(info: zipfile.ZipInfo) -> str:
    """Why a member is refused; empty if it is not."""
    name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
    parts = re.split(r"[/\\]", name)
    if ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", name) or not name.isprintable():
        return "would leave its folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {info.compress_type}, not stored or deflated"
    if info.file_size > MEMBER_BYTES:
        return f"would unpack to {info.file_size} bytes, the limit is {MEMBER_BYTES}"
    if info.file_size > max(2**20, RATIO * info.compress_size):
        return f"would unpack from {info.compress_size} to {info.file_size} bytes"
    return ""


def read_state(data: bytes, name: str, wrapper: str = "") -> dict[str, Tensor]:
    """The tensors of one file that torch saved, in the present or the old format, without running anything in it.

    `wrapper`: the key under which the file keeps them. DamagedWeights tells what is not weights.
    """
    _check_records(data, name)
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    # a damaged pickle can raise anything at all
    except Exception as error:
        raise DamagedWeights(f"{name} cannot be read as weights ({_why(error)}); fetch the archive again") from error
    if wrapper:
        state = state.get(wrapper) if isinstance(state, dict) else None
    if not isinstance(state, dict):
        where = f"no weights under {wrapper!r}" if wrapper else "no weights"
        raise DamagedWeights(f"{name} holds {where}; fetch the archive again")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise DamagedWeights(f"{name}: {str(key)[:100]!r} is no dense tensor; fetch the archive again")
    return state


def _check_records(data: bytes, name: str) -> None:
    """The format is itself a zip, never compressed: compressed records would be a bomb inside the checked member."""
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as records:
            infos = records.infolist()
    except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError) as error:
        raise DamagedWeights(f"{name} is truncated or damaged ({error}); fetch the archive again") from error
    stored = all(info.compress_type == zipfile.ZIP_STORED for info in infos)
    if not stored or sum(info.file_size for info in infos) > len(data):
        raise DamagedWeights(
            f"{name} is refused: its records would unpack to more than it has; fetch the archive again"
        )


def _why(error: Exception) -> str:
    """What torch objects to, without its advice."""
    text = str(error)
    if found := re.search(r"(?:GLOBAL|global|class|type) ([\w.]+\.[\w.]+)", text):
        return f"it asks for {found[1]}, which weights never need"
    return f"{type(error).__name__}: {text.splitlines()[0][:100]}" if text else type(error).__name__
