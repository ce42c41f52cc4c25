"""A bucket folder by its URL: listed, read at a pinned version, written atomically and verified."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import quote, unquote

from oldphoto_core.errors import DamagedOnTheWay, NoConditions, StorageError, UsageError, WriteFailed
from oldphoto_core.storage.keys import Folding, file_name, key_of, printable, safe_key
from oldphoto_core.storage.store import ObjectInfo, Store, Unfinished, chunks_of, why
from oldphoto_core.storage.temporary import temporary_name

Taken = TypeVar("Taken")

READS = 3
"""How often an object is read whose bytes do not match its checksum."""


class Bucket:
    """One folder of a store: "folder", "file:///folder", "s3://bucket/prefix" or "memory://name".

    Opening touches nothing: what is not there shows when it is used. Safe to share between threads; pickles as its URL.

    Raises:
        UsageError: a URL of another scheme, without a bucket name, or with a password in it.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.scheme, self._root = _parse(os.fspath(url))
        self._anchor = self._root
        """What the user named: below it no link is followed to write or delete."""
        self._opened: tuple[int, Store] | None = None

    @property
    def url(self) -> str:
        """The name for messages and records: an absolute path, or scheme://bucket/prefix.

        A path that is not UTF-8, or that this process's locale reads as something else, is a file:// URL: that means
        the same folder everywhere.
        """
        if self.scheme != "file":
            return f"{self.scheme}://{self._root}"
        is_plain = file_name(self._root) == self._root == printable(self._root)
        return self._root if is_plain else f"file://{quote(os.fsencode(self._root))}"

    @property
    def folder(self) -> Path | None:
        """The folder of this machine, for the operating system's functions; None: it is none."""
        return Path(self._root) if self.scheme == "file" else None

    def exists(self) -> bool:
        """Whether the folder is there; in object stores, which have no folders: whether anything lies in it."""
        return self._store.is_there()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object in the folder `prefix` of this bucket, recursive, sorted by key; nothing for no such folder.

        Keys are relative to this bucket, whatever the prefix. Names that `safe_key` refuses are listed too:
        they are refused when they are read. Unfinished writes are not.

        Raises:
            SourceMissing: no such S3 bucket, or the URL names a file.
            NoCredentials, StorageError: the store does not let itself be listed.
        """
        prefix = prefix.strip("/")
        return self._store.list(safe_key(prefix) if prefix else "")

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Names of the folders directly inside the folder `prefix`, sorted, without listing what they hold."""
        prefix = prefix.strip("/")
        return self._store.folders(safe_key(prefix) if prefix else "")

    def info(self, key: str) -> ObjectInfo | None:
        """The object as it is now, or None."""
        return self._store.info(safe_key(key))

    def read(self, key: str, *, version: str | None = None) -> bytes:
        """All bytes of an object, of exactly this version when one is given.

        Raises:
            SourceMissing: no such object.
            ChangedWhileReading: it is not, or no longer, that version.
            DamagedOnTheWay: its bytes do not match its checksum, three times in a row.
            NoCredentials, UnsafeKey, StorageError: it cannot be read.
        """
        return self._whole(key, version, _gathered)

    def read_inside(self, key: str, *, version: str | None = None) -> bytes:
        """`read`, but in folders only what really lies in this bucket, and not what a link in it leads to.

        Raises:
            UnsafeLink: a link leads out of the bucket; the others as `read`.
        """
        return self._whole(key, version, _gathered, self._store.read_inside)

    def read_range(self, key: str, start: int, end: int, *, version: str | None = None) -> bytes:
        """The bytes from `start` to before `end`, and no others; both lie in the object. Raises as `read`."""
        return self._store.read_range(safe_key(key), version, start, end) if start < end else b""

    def sha256(self, key: str, *, version: str | None = None) -> str:
        """Of all bytes of an object, in hex; some MiB of it are in memory at a time. Raises as `read`."""

        def hashed(chunks: Iterator[bytes]) -> str:
            digest = hashlib.sha256()
            for chunk in chunks:
                digest.update(chunk)
            return digest.hexdigest()

        return self._whole(key, version, hashed)

    def download(
        self, key: str, path: str | os.PathLike[str], *, version: str | None = None, inside: bool = False
    ) -> str:
        """`read` into a file of this machine, some MiB at a time.

        Args:
            key: Of the object.
            path: Of a file that is not there yet, in a folder that is; none is left when this fails.
            version: The version that it must be.
            inside: As `read_inside`: what a link leads to outside of the bucket is refused with UnsafeLink.

        Returns:
            The sha256 of the bytes, in hex.

        Raises:
            SourceMissing, ChangedWhileReading, DamagedOnTheWay, NoCredentials, UnsafeKey: as `read`.
            StorageError: it cannot be read, or the file cannot be written, or is there already.
        """
        key = safe_key(key)
        try:
            with open(path, "xb") as file, _removed_on_failure(path):

                def keep(chunks: Iterator[bytes]) -> str:
                    file.seek(0)
                    file.truncate()
                    digest = hashlib.sha256()
                    for chunk in chunks:
                        file.write(chunk)
                        digest.update(chunk)
                    file.flush()
                    return digest.hexdigest()

                return self._whole(key, version, keep, self._store.read_inside if inside else None)
        except OSError as error:
            name = printable(os.fspath(path))
            raise StorageError(f"cannot write {name}: {why(error)}: make room, or name another file") from error

    def write(self, key: str, data: bytes) -> str:
        """Puts all bytes under the key, or nothing, and checks that they arrived.

        Returns:
            The sha256 of the bytes, in hex.

        Raises:
            WriteFailed: the store did not take them or did not keep them; what was there before is still there.
            NoCredentials, UnsafeKey: it cannot be written.
        """
        return self._put(key, io.BytesIO(data))

    def create(self, key: str, data: bytes) -> bool:
        """`write`, but only where nothing lies yet. Of several callers at once, on any machines, exactly one succeeds.

        Returns:
            False if something was there already, which is left as it is. After a lost reply of S3 it may be these very
            bytes: who must know reads them.

        Raises:
            NoConditions: the store cannot do that; what lies there is as it was.
            WriteFailed, NoCredentials, UnsafeKey: as `write`.
        """
        return self._store.create(safe_key(key), io.BytesIO(data))

    def upload(self, key: str, path: str | os.PathLike[str]) -> str:
        """`write` of a file of this machine, some MiB at a time; it must not change meanwhile.

        Returns:
            The sha256 of the bytes, in hex.

        Raises:
            WriteFailed: as `write`, or the file cannot be read.
            NoCredentials, UnsafeKey: it cannot be written.
        """
        try:
            with open(path, "rb") as source:
                return self._put(key, source)
        except OSError as error:
            name = printable(os.fspath(path))
            raise WriteFailed(f"cannot write {key}: {name} cannot be read: {why(error)}") from error

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        self._store.delete(safe_key(key))

    def unfinished(self, folders: tuple[str, ...]) -> Iterator[Unfinished]:
        """Writes under way, or left by the killed: those directly in this bucket, and all that are in these folders.

        `temporary.is_abandoned` tells the ones from the others.

        Raises:
            NoCredentials, StorageError: the store does not list them, or not to everybody.
        """
        return self._store.unfinished(folders)

    def discard(self, write: Unfinished) -> None:
        """Removes what `unfinished` told of; one that has ended meanwhile is no error."""
        self._store.discard(write)

    def join(self, *parts: str) -> Bucket:
        """The bucket of a sub-folder."""
        inner = "/".join(safe_key(part.strip("/")) for part in parts)
        base = f"file://{key_of(self._root).replace('%', '%25')}" if self.scheme == "file" else self.url
        joined = Bucket(f"{base.rstrip('/')}/{inner.replace('%', '%25') if self.scheme == 'file' else inner}")
        joined._anchor = self._anchor
        return joined

    def check_writable(self) -> None:
        """Writes a small object and removes it again.

        Raises:
            WriteFailed: with the reason.
        """
        probe = temporary_name("probe-")
        try:
            self.write(probe, b"oldphoto checks that it may write here, and removes this again")
            self.delete(probe)
        except WriteFailed:
            raise
        except StorageError as error:
            raise WriteFailed(f"cannot write to {self.url}: {error}") from error

    def check_conditions(self) -> None:
        """Tries whether `create` leaves alone what is there, with a small object that is removed again.

        Raises:
            NoConditions: the store does not know how, or takes no notice.
            WriteFailed, NoCredentials: it cannot be written.
        """
        probe = temporary_name("probe-")
        try:
            if self.create(probe, b"first") and self.create(probe, b"second"):
                raise NoConditions(
                    f"{self.url} replaces an object that was to be created only if absent (If-None-Match); use a store"
                    " that knows conditional writes to have that"
                )
        finally:
            with contextlib.suppress(StorageError):
                self.delete(probe)

    def check_destination(self, key: str) -> None:
        """Looks whether the key can be written, as far as that shows without writing.

        Raises:
            UnsafeLink: one of its folders is a link, below the folder that the user named.
            UnsafeKey: its name is longer than the store takes.
        """
        self._store.check_destination(safe_key(key))

    def folder_links(self, prefix: str) -> Iterator[str]:
        """Keys of the links in the folder `prefix` that lead to folders; nothing is written through them."""
        return self._store.folder_links(safe_key(prefix))

    def folds_names(self) -> tuple[Folding, ...]:
        """What is not told apart here: keys that differ in upper and lower case only, or in Unicode's forms only.

        In folders it depends on the drive, and a small file is written and removed again. Raises WriteFailed.
        """
        return self._store.folds_names()

    def refuses(self, awkward: Iterable[str]) -> set[str]:
        """Of these characters, and " " or "." for one at the end of a name, what no name can hold here.

        In folders it depends on the drive, and a small file for each is written and removed again.
        """
        return self._store.refuses(awkward)

    def contains(self, other: Bucket) -> bool:
        """Whether the other is this same place, or lies inside it (symbolic links and second mounts resolved)."""
        if self.scheme != other.scheme:
            return False
        mine, its = (os.path.realpath(b._root) if b.scheme == "file" else b._root for b in (self, other))
        if its == mine or its.startswith(mine.rstrip("/") + "/"):
            return True
        return self.scheme == "file" and any(_are_same(mine, str(each)) for each in (Path(its), *Path(its).parents))

    def _whole(
        self,
        key: str,
        version: str | None,
        take: Callable[[Iterator[bytes]], Taken],
        read: Callable[[str, str | None], Iterator[bytes]] | None = None,
    ) -> Taken:
        """`take` of all bytes of an object, from the beginning again where they turn out to be damaged."""
        key, read = safe_key(key), read or self._store.read
        for _ in range(READS - 1):
            with contextlib.suppress(DamagedOnTheWay):
                return take(read(key, version))
        return take(read(key, version))

    def _put(self, key: str, source: BinaryIO) -> str:
        self._store.write(safe_key(key), source)
        digest = hashlib.sha256()
        for chunk in chunks_of(source):
            digest.update(chunk)
        return digest.hexdigest()

    @property
    def _store(self) -> Store:
        # a forked child must open its own: sockets and event loops do not survive a fork
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), _open(self.scheme, self._root, self._anchor))
        return self._opened[1]

    def __getstate__(self) -> dict[str, object]:
        return {"scheme": self.scheme, "_root": self._root, "_anchor": self._anchor, "_opened": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bucket) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"Bucket({self.url!r})"


def _are_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _gathered(chunks: Iterator[bytes]) -> bytes:
    buffer = io.BytesIO()
    buffer.writelines(chunks)
    return buffer.getvalue()


@contextlib.contextmanager
def _removed_on_failure(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def _parse(url: str) -> tuple[str, str]:
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "file", url
    elif scheme == "file":
        rest = file_name(unquote(rest, errors="surrogateescape"))
    if not rest or (scheme != "file" and not rest.strip("/")):
        raise UsageError(f"{url!r} names no bucket: write a folder, s3://bucket/folder or memory://name")
    if scheme == "file":
        return "file", os.path.abspath(Path(rest).expanduser())
    if scheme not in ("s3", "memory"):
        raise UsageError(f"scheme {scheme!r} is not known: write a folder, file://, s3:// or memory://")
    if set("@:") & set(rest.split("/")[0]):
        raise UsageError(
            f"write {scheme}://bucket/folder: credentials and ports come from AWS_PROFILE or the AWS_* variables"
        )
    return scheme, safe_key(rest.strip("/"))


def _open(scheme: str, root: str, anchor: str) -> Store:
    if scheme == "file":
        from oldphoto_core.storage.local.store import LocalStore

        return LocalStore(Path(root), Path(anchor))
    if scheme == "memory":
        from oldphoto_core.storage.memory import MemoryStore

        return MemoryStore(f"/{root}")
    from oldphoto_core.storage.s3 import S3Store

    bucket, _, prefix = root.partition("/")
    return S3Store(bucket, prefix)
