"""The last checkpoints of a stage: each named by its step and digest, the newest whole one is gone on from."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator

from oldphoto_core.errors import SourceMissing
from oldphoto_core.storage import Bucket

_NAME = re.compile(r"(\d{8})-([0-9a-f]{16})\.safetensors")
_log = logging.getLogger("oldphoto.training")


class CheckpointStore:
    """Files `<step>-<digest>.safetensors` in one folder."""

    def __init__(self, folder: Bucket, keep: int) -> None:
        self.folder, self._keep = folder, keep

    def write(self, step: int, data: bytes) -> None:
        """Writes one, then removes all but the last `keep`. A write that fails leaves the ones before."""
        name = f"{step:08d}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        self.folder.write(name, data)
        before = [other for other in self._names() if int(other[:8]) < step]
        kept = {name, *before[max(0, len(before) - self._keep + 1) :]}
        for other in self._names():  # those of this step or later are of steps that were done again
            if other not in kept:
                self.folder.delete(other)

    def whole(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of those that are as they were written, the newest first; the others are logged."""
        for name in reversed(self._names()):
            match = _NAME.fullmatch(name)
            try:
                data = self.folder.read(name)
            except SourceMissing:
                continue
            if match and hashlib.sha256(data).hexdigest().startswith(match[2]):
                yield name, data
            else:
                _log.warning("checkpoint %s/%s is damaged; going on from the one before", self.folder.url, name)

    def last_step(self) -> int:
        """Of the newest, 0 without any."""
        return max((int(name[:8]) for name in self._names()), default=0)

    def _names(self) -> list[str]:
        return sorted(entry.key for entry in self.folder.list() if _NAME.fullmatch(entry.key))
