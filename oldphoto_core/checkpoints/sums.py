"""SHA256SUMS: the digests of everything in a folder, in the format of `sha256sum -c`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from oldphoto_core.errors import DamagedWeights, SourceMissing
from oldphoto_core.storage import Bucket

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S+)")


def sums_text(digests: Mapping[str, str]) -> bytes:
    """One line a file, sorted by name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def parsed_sums(text: bytes, name: str) -> dict[str, str]:
    """File -> sha256. `name` is for the message of DamagedWeights."""
    lines = text.decode("utf-8", "replace").splitlines()
    found = [_LINE.fullmatch(line) for line in lines]
    if not lines or None in found:
        raise DamagedWeights(f"{name} is not a list of digests; publish the model as another version")
    return {match[2]: match[1] for match in found if match}


def read_verified(folder: Bucket, file: str, recorded: str | None = None) -> bytes:
    """The file's bytes; DamagedWeights if the folder has a SHA256SUMS and they are not those it names.

    `recorded`: sha256 that this SHA256SUMS must have.
    """
    data = folder.read(file)
    try:
        text = folder.read(SUMS)
    except SourceMissing:
        text = b""
    if recorded is not None and hashlib.sha256(text).hexdigest() != recorded:
        raise DamagedWeights(f"{folder.url}/{SUMS} is not the one that was published or promoted: use another version")
    if not text:
        return data
    sums, found = parsed_sums(text, f"{folder.url}/{SUMS}"), hashlib.sha256(data).hexdigest()
    if sums.get(file) != found:
        raise DamagedWeights(
            f"{folder.url}/{file} has sha256 {found[:12]}..., {SUMS} says {sums.get(file, 'nothing')[:12]}...;"
            " it was altered since it was published: take another version"
        )
    return data
