"""One tree of errors: what libraries raise is translated at one place each, and nothing is raised beside the tree."""

from __future__ import annotations

import ast
import importlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scan_files import encoded, photo

from oldphoto_core import errors
from oldphoto_core.errors import REASONS, DamagedWeights, OldPhotoError, ScanError, StorageError
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.store import Unfinished

CORE = Path(errors.__file__).parent
ROOT = CORE.parent


def tree(root: type = OldPhotoError) -> Iterator[type]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def test_the_tree_in_the_docstring_is_the_tree_there_is() -> None:
    drawn = re.findall(r"(?:── |^    )([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted(cls.__name__ for cls in tree())


def test_every_error_of_a_photo_has_a_reason_of_the_vocabulary() -> None:
    assert {cls.reason for cls in tree() if issubclass(cls, ScanError | StorageError)} <= REASONS["failed"]


def test_every_reason_is_explained_in_the_manual() -> None:
    rows = [line for line in (ROOT / "docs/bad-input.md").read_text().splitlines() if line.startswith("| ")]
    told = {(status, word) for status, words in (re.split(r" \| ", row[2:])[:2] for row in rows if row.count(" | ") > 1)
            for word in re.findall(r"`([^`]+)`", words)}  # fmt: skip
    for status in ("skipped", "failed"):
        assert {word for known, word in told if known == status} == REASONS[status]


# --- nothing beside the tree ---------------------------------------------------------------------------------------

INNER = {
    "scans/metadata/ifd.py": {"BrokenIfdError"},  # never leaves scans/: `translated` and its own callers catch it
    "scans/metadata/xmp.py": {"BrokenXmpError"},  # never leaves scans/: labelling and the reader of JPEGs catch it
    "scans/raw.py": {"OSError"},  # caught a few lines above, in `_named`
    # ends the decoder, and fails one photo
    "scans/isolation/messages.py": {"EOFError", "BadMessage"},
    "scans/isolation/memory.py": {"EOFError"},
    "scans/isolation/wire.py": {"BadMessage"},
    "scans/isolation/answers.py": {"BadMessage"},
    "scans/isolation/spooling.py": {"BadMessage"},
    "scans/isolation/decoder.py": {"NotStarted", "EOFError", "TimeoutError"},
    "scans/isolation/pool.py": {"NotStarted", "_Died"},
    "storage/folders.py": {"NotADirectoryError"},
    "storage/local/files.py": {"OSError", "IsADirectoryError", "NoLinks"},
    "checkpoints/archives.py": {"BadZipFile"},
    "checkpoints/card.py": {"OddValue"},  # never leaves checkpoints/: its readers turn it into an error of theirs
    "checkpoints/numpy_pickles.py": {"ValueError"},  # caught in the same file
    "checkpoints/odd_values.py": {"OddValue"},
    "checkpoints/photos.py": {"OddValue"},
    "arrivals/spool.py": {"ValueError"},  # a damaged file, which `SpoolFiles.read` puts aside
    "arrivals/spool_files.py": {"ValueError"},
    "doctor/file_kinds.py": {"ValueError"},  # a finding of the doctor's, caught by it
    "scans/formats/samples.py": {"ValueError"},  # the same
}
"""What a file may raise beside the tree, because the same room catches it."""
MISTAKES = {"AttributeError", "AssertionError", "TypeError", "NotImplementedError", "KeyboardInterrupt"}
"""Of programs, not of input."""


def defined_below(tree: set[str]) -> set[str]:
    """Classes that other files of the core derive from the tree."""
    classes = [node for path in CORE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
               if isinstance(node, ast.ClassDef)]  # fmt: skip
    return {cls.name for cls in classes if {ast.unparse(base) for base in cls.bases} & tree}


def raised(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and node.exc is not None:
            called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            choices = [called.body, called.orelse] if isinstance(called, ast.IfExp) else [called]
            names = [ast.unparse(choice).split(".")[-1].split("(")[0] for choice in choices]
            yield from (name for name in names if re.match(r"_?[A-Z]", name))


OURS = {cls.__name__ for cls in tree()}
OURS |= defined_below(OURS)


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_nothing_is_raised_on_purpose_that_is_not_of_the_tree(path: Path) -> None:
    ours = OURS | MISTAKES | INNER.get(str(path.relative_to(CORE)), set())
    open_to_all = path.relative_to(CORE).parts[0] in ("nets", "inference", "pipeline")
    mistakes = {"ValueError", "OSError"} if open_to_all else set()
    assert set(raised(path)) <= ours | mistakes


# --- libraries that answer bad input with exceptions are called in few places --------------------------------------

SEAMS = {
    "pyvips": {"scans/vips.py", "scans/colour_conversion.py"},
    "pi_heif": {"scans/formats/heif.py"},
    "s3fs": {"storage/s3_client.py"},
    "aiohttp": {"storage/s3_client.py"},
    "fsspec": {"storage/s3_requests.py", "storage/memory.py"},
    "safetensors": {"checkpoints/tensors.py"},
    "zipfile": {"checkpoints/archives.py"},
    "pyarrow": {"storage/tables.py"},
    "pickle": {"checkpoints/numpy_pickles.py"},  # a reader that knows arrays of numbers alone
    "subprocess": {"scans/isolation/decoder.py", "training/process.py"},
    "tarfile": {"degradation/pairs.py", "degradation/pair_folder.py"},  # shards of our own, by their digest
    **{name: set() for name in ("botocore", "boto3", "aiobotocore", "tifffile", "imageio", "skimage.io")},
}  # fmt: skip
DECODING = {
    "cv2.imdecode": {"scans/opencv.py", "degradation/pair_folder.py", "degradation/unstructured.py"},
    "cv2.imread": set(),
    "torch.load": {"checkpoints/archives.py"},
    "Image.open": set(),
    "np.load": set(),
    "pd.read_parquet": {"storage/tables.py"},
}
"""Calls that read files, of libraries that are used for other things, too; those of degradation/ read what it wrote."""


def test_libraries_that_read_untrusted_input_are_called_at_their_seams_only() -> None:
    strayed = []
    for path in sorted(CORE.rglob("*.py")):
        here, text = str(path.relative_to(CORE)), path.read_text()
        nodes = list(ast.walk(ast.parse(text)))
        imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        imported += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        called = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
        for library, homes in SEAMS.items():
            uses = [name for name in imported if name == library or name.startswith(f"{library}.")]
            strayed += [f"{here} imports {name}" for name in uses if here not in homes]
        strayed += [f"{here} calls {name}" for name, homes in DECODING.items() if name in called and here not in homes]
    assert strayed == []


# --- every exception of a library, raised at its seam --------------------------------------------------------------

BUILTIN: list[type[Exception]] = [
    ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, OSError, PermissionError, FileNotFoundError,
    TimeoutError, ConnectionResetError, RuntimeError, AttributeError, UnicodeDecodeError, ZeroDivisionError,
    RecursionError, MemoryError, AssertionError, struct.error, zlib.error, zipfile.BadZipFile,
]  # fmt: skip


def exceptions_of(*modules: str) -> list[type[Exception]]:
    """All exception classes that the libraries of these modules have defined once the modules are imported."""
    libraries = {importlib.import_module(name).__name__.split(".")[0] for name in modules}

    def below(cls: type) -> Iterator[type]:
        for child in type.__subclasses__(cls):
            yield child
            yield from below(child)

    found = {cls for cls in below(Exception) if cls.__module__.split(".")[0] in libraries and speaks(cls)}
    assert found
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))


def made(cls: type[Exception]) -> Exception:
    """One of it, without the arguments of its own that some want."""
    try:
        return cls("as the library says it")
    except Exception:
        error = cls.__new__(cls)
        error.args = ("as the library says it",)
        return error


def speaks(cls: type[Exception]) -> bool:
    try:
        return bool(str(made(cls)))
    except Exception:
        return False


class Raising:
    """Stands in for a library's function; raises one class of error after the other."""

    def __init__(self) -> None:
        self.cls: type[Exception] = Exception

    def __call__(self, *_arguments: Any, **_options: Any) -> None:
        raise made(self.cls)

    def through(self, call: Callable[[], Any]) -> Callable[[type[Exception]], Any]:
        """The call, once it is said what the function is to raise."""

        def with_it_raising(cls: type[Exception]) -> Any:
            self.cls = cls
            return call()

        return with_it_raising


def leaks(call: Callable[[], Any], translated: type[Exception]) -> str:
    """What comes out of a call beside one line of our own; empty if nothing does."""
    try:
        call()
    except translated as error:
        return "several lines" if "\n" in str(error) else ""
    except Exception as error:
        return type(error).__name__
    return "nothing"


def unmapped(
    classes: list[type[Exception]], calls: dict[str, Callable[[type[Exception]], Any]], translated: type[Exception]
) -> list[str]:
    found = [(cls, name, leaks(lambda: calls[name](cls), translated)) for cls in classes for name in calls]  # noqa: B023
    return [f"{cls.__module__}.{cls.__qualname__} by {name}: {leak}" for cls, name, leak in found if leak]


def test_whatever_a_decoder_raises_is_a_scan_error() -> None:
    from oldphoto_core.scans.vips import translated

    def fail(cls: type[Exception], done: str) -> None:
        with translated(done):
            raise made(cls)

    calls = {done: lambda cls, done=done: fail(cls, done) for done in ("read", "decoded", "written")}
    assert unmapped([*BUILTIN, *exceptions_of("pyvips", "PIL.JpegImagePlugin", "cv2")], calls, ScanError) == []


def test_whatever_libvips_raises_is_a_scan_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through the functions that users call, at the call that the library gets."""
    import pyvips

    from oldphoto_core.scans import read_header, read_scan, write_scan

    data = encoded(photo(3, 8), "png")
    scan = read_scan(data)
    library = Raising()
    calls = {
        "read_header": library.through(lambda: read_header(data)),
        "read_scan": library.through(lambda: read_scan(data)),
        "write_scan": library.through(lambda: write_scan(scan, scan.pixels)),
    }
    monkeypatch.setattr(pyvips.Operation, "call", library)
    assert unmapped([*BUILTIN, *exceptions_of("pyvips.error")], calls, ScanError) == []


@pytest.fixture
def bucket(s3_bucket_url: str) -> Bucket:
    bucket = Bucket(s3_bucket_url)
    bucket.write("there", b"bytes")
    return bucket


def of_the_network() -> list[type[Exception]]:
    """What s3fs and what lies below it raise."""
    return [
        *BUILTIN,
        *exceptions_of("botocore.exceptions", "aiohttp", "aiobotocore.session", "s3fs.core", "fsspec.asyn"),
    ]


def test_whatever_the_object_store_raises_is_a_storage_error(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    library = Raising()
    calls = {
        "list": library.through(lambda: list(bucket.list())),
        "folders": library.through(lambda: list(bucket.folders())),
        "info": library.through(lambda: bucket.info("there")),
        "read": library.through(lambda: bucket.read("there")),
        "write": library.through(lambda: bucket.write("here", b"x")),
        "delete": library.through(lambda: bucket.delete("here")),
        "check_writable": library.through(bucket.check_writable),
        "unfinished": library.through(lambda: list(bucket.unfinished(("photos",)))),
        "discard": library.through(lambda: bucket.discard(Unfinished("here", 0.0, upload="1"))),
    }
    monkeypatch.setattr(bucket._store._requests._files, "call_s3", library)
    monkeypatch.setattr("oldphoto_core.storage.s3_client.PAUSE_SECONDS", 0)
    found = unmapped(of_the_network(), calls, StorageError)
    # of an object that is not there `info` says None, and an upload that is over need not be ended
    quiet = ("by info: nothing", "by discard: nothing")
    assert [line for line in found if not line.endswith(quiet)] == []


def test_whatever_breaks_a_body_off_is_a_storage_error(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    from oldphoto_core.storage import s3_requests

    library = Raising()

    async def fail(_body: Any) -> None:
        library()

    monkeypatch.setattr(s3_requests, "_chunk", fail)
    monkeypatch.setattr("oldphoto_core.storage.s3_client.PAUSE_SECONDS", 0)
    assert unmapped(of_the_network(), {"read": library.through(lambda: bucket.read("there"))}, StorageError) == []


def test_whatever_the_system_says_of_a_folder_is_a_storage_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket = Bucket(tmp_path / "bucket")
    bucket.write("there", b"bytes")
    real, system = os.open, Raising()

    def fail(path: Any, *arguments: Any, **options: Any) -> Any:
        inside = options.get("dir_fd") is not None or str(path).startswith(str(tmp_path))
        return system() if inside else real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", fail)
    of_files = [cls for cls in BUILTIN if issubclass(cls, OSError)]
    calls = {
        "read": system.through(lambda: bucket.read("there")),
        "write": system.through(lambda: bucket.write("there", b"other bytes")),
    }
    assert unmapped(of_files, calls, StorageError) == []


def test_whatever_reads_weights_raises_is_damaged_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from oldphoto_core.checkpoints import archives, tensors

    library = Raising()
    monkeypatch.setattr(tensors, "load", library)
    monkeypatch.setattr(torch, "load", library)
    calls = {
        "unpack": library.through(lambda: tensors.unpack(b"", "weights")),
        "read_state": library.through(lambda: archives.read_state(b"no zip", "weights")),
    }
    assert unmapped([*BUILTIN, *exceptions_of("safetensors", "torch")], calls, DamagedWeights) == []


@pytest.mark.parametrize("metadata", ["[]", "3", '"text"', "null", "{", "[" * 100_000])
def test_metadata_of_weights_that_is_no_table_is_damaged(metadata: str) -> None:
    import torch
    from safetensors.torch import save

    from oldphoto_core.checkpoints import tensors

    with pytest.raises(DamagedWeights):
        tensors.unpack(save({"a": torch.zeros(1)}, metadata={tensors.METADATA_KEY: metadata}), "weights")


def test_whatever_a_table_raises_is_a_storage_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pandas as pd

    from oldphoto_core.storage.tables import read_table

    bucket, library = Bucket(tmp_path), Raising()
    bucket.write("table.parquet", b"no table")
    with pytest.raises(StorageError):
        read_table(bucket, "table.parquet")
    monkeypatch.setattr(pd, "read_parquet", library)
    calls = {"read_table": library.through(lambda: read_table(bucket, "table.parquet"))}
    assert unmapped([*BUILTIN, *exceptions_of("pyarrow")], calls, StorageError) == []
