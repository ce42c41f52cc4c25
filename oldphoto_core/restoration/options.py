"""What a user may decide about a restoration, typed and checked on construction."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal, get_args

from oldphoto_core.errors import ConfigError

OutputFormat = Literal["keep", "tiff", "png", "jpeg"]
ExistingPolicy = Literal["skip", "overwrite", "abort"]
FailurePolicy = Literal["skip", "copy", "abort"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]

_EXTENSIONS: dict[OutputFormat, str] = {"keep": "", "tiff": ".tif", "png": ".png", "jpeg": ".jpg"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreOptions:
    """How a collection is restored. Only what changes the derivative's bytes enters the digest."""

    format: OutputFormat = "keep"
    """File format of the derivatives; `keep` is each source's own."""

    existing: ExistingPolicy = "skip"
    """A derivative that is there already: leave it if up to date or not ours, do it again, or stop at once."""

    on_failure: FailurePolicy = "skip"
    """A photo that fails: leave it out, put a copy of the original in its place, or stop the run."""

    max_failure_rate: float = 1.0
    """The run stops once more than this share (0 to 1) of the photos it set out to restore has failed; 1: never."""

    in_flight_megapixels: float = 64.0
    """Decoded megapixels held in memory at once; a larger photo goes alone, from disk to disk."""

    threads: int = 0
    """Dask threads that read, decode, encode and write around the network; 0 takes one per core, two at least."""

    def __post_init__(self) -> None:
        _check_choice("format", self.format, get_args(OutputFormat))
        _check_choice("existing", self.existing, get_args(ExistingPolicy))
        _check_choice("on_failure", self.on_failure, get_args(FailurePolicy))
        if not 0.0 <= self.max_failure_rate <= 1.0:
            raise ConfigError(f"max_failure_rate is {self.max_failure_rate}; give a share between 0 and 1")
        if not self.in_flight_megapixels > 0:
            raise ConfigError(f"in_flight_megapixels is {self.in_flight_megapixels}; give a number above 0")
        if self.threads < 0:
            raise ConfigError(f"threads is {self.threads}; give 0 (one per core) or more")

    def digest(self, mask_version: str = "") -> str:
        """Of what changes a derivative, which is the format and its mask's version: 16 hex digits of their sha256."""
        relevant = json.dumps({"format": self.format, "mask": mask_version}, sort_keys=True)
        return hashlib.sha256(relevant.encode()).hexdigest()[:16]

    def output_key(self, key: str) -> str:
        """Key of the derivative below `photos/`. The extension is always added, never replaced, so no two keys meet."""
        return key + _EXTENSIONS[self.format]


def _check_choice(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{field} is {value!r}; choose one of {', '.join(allowed)}")
