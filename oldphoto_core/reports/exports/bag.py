"""BagIt 1.0 (RFC 8493) without a second copy of the pixels: a bag whose payload is named in `fetch.txt`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from oldphoto_core.reports.exports.photo import Form, RecordedPhoto, object_url
from oldphoto_core.reports.record import software_versions

if TYPE_CHECKING:
    from oldphoto_core.storage import Bucket

FOLDER = "bag"
_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


class Bag(Form):
    """Photos, masks and records below `data/`, by their checksums."""

    def __init__(self, folder: Path, target: str, name: str) -> None:
        self._target, self._name = target, name
        self._manifest_path, self._fetch_path = folder / "manifest-sha256.txt", folder / "fetch.txt"
        self._manifest = self._manifest_path.open("w", encoding="utf-8", newline="\n")
        self._fetch = self._fetch_path.open("w", encoding="utf-8", newline="\n")
        self._bytes = self._count = 0
        self._latest = ""

    def add(self, photo: RecordedPhoto) -> None:
        """Its files."""
        for file in photo.files:
            path = f"data/{_encoded(file.key)}"
            self._manifest.write(f"{file.sha256}  {path}\n")
            self._fetch.write(f"{object_url(self._target, file.key)} {file.bytes} {path}\n")
            self._bytes += file.bytes
            self._count += 1
        self._latest = max(self._latest, photo.record["time"])

    def write(self, place: Bucket) -> list[str]:
        """The tag files into `bag/`; the one that vouches for the others comes last."""
        self._manifest.close()
        self._fetch.close()
        info = {
            "Bag-Software-Agent": f"oldphoto {software_versions()['oldphoto']}",
            "Bagging-Date": self._latest[:10],
            "External-Identifier": self._name,
            "Payload-Oxum": f"{self._bytes}.{self._count}",
        }
        bag = place.join(FOLDER)
        digests = {
            "bag-info.txt": bag.write("bag-info.txt", _lines(f"{tag}: {value}" for tag, value in info.items())),
            "bagit.txt": bag.write("bagit.txt", _DECLARATION.encode()),
            "fetch.txt": bag.upload("fetch.txt", self._fetch_path),
            "manifest-sha256.txt": bag.upload("manifest-sha256.txt", self._manifest_path),
        }
        bag.write("tagmanifest-sha256.txt", _lines(f"{digest}  {name}" for name, digest in digests.items()))
        return [f"{FOLDER}/manifest-sha256.txt"]


def _encoded(key: str) -> str:
    """As RFC 8493 wants file names: of what it encodes, keys can only hold the percent sign."""
    return key.replace("%", "%25")


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
