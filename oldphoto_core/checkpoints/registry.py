"""The registry of a house: immutable versions of models in a bucket, and which of them is the champion.

    URL/registry/<model>/<version>/    weights, parts, card.json; SHA256SUMS last, which makes the version one
    URL/promotions/00000001.json ...   who made what the champion, when and why; never replaced

The last promotion *is* the pair of pointers `champion` and `previous`: both move in one atomic step, and the history
can never tell anything else than the pointers do. Of two promotions at once one is entry N + 1, the other finds that
out and becomes N + 2.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from oldphoto_core.checkpoints.sums import SUMS, parsed_sums
from oldphoto_core.errors import DamagedWeights, RegistryRefused, SourceMissing, UnknownModel, UsageError
from oldphoto_core.storage import Bucket, Journal

ENVIRONMENT = "OLDPHOTO_REGISTRY"
CHAMPION, PREVIOUS = "champion", "previous"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_REFERENCE = re.compile(rf"({_NAME})@({_NAME})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """One entry of the history, and the pointers from then on."""

    action: Literal["promote", "rollback"]
    """What was done."""
    champion: str
    """NAME@VERSION that `champion` means from here on."""
    digest: str
    """sha256 of the version's SHA256SUMS: pins every byte of it."""
    previous: str | None
    """NAME@VERSION that was champion before it."""
    before: int | None
    """Number of the entry that a rollback goes back to; None: there is nothing before."""
    who: str
    """user@machine, or what was given."""
    when: str
    """ISO 8601, UTC, by the clock of who did it; the order is that of the numbers, not of these."""
    why: str
    """In their words."""
    token: str
    """Random, so that no two entries are the same bytes."""

    def to_json(self) -> bytes:
        """As it is stored."""
        return (json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n").encode()


class Registry:
    """The versions and promotions below one URL."""

    def __init__(self, url: str | None = None) -> None:
        """`url`, or what OLDPHOTO_REGISTRY says. Nothing is touched. Raises UsageError if neither names one."""
        url = url or os.environ.get(ENVIRONMENT)
        if not url:
            raise UsageError(f"no registry was named; give --registry URL or set {ENVIRONMENT}")
        self.bucket = Bucket(url)
        self._promotions = Journal(self.bucket.join("promotions"))

    def versions(self) -> list[str]:
        """NAME@VERSION of every version that was published to its end, sorted."""
        keys = (entry.key.split("/") for entry in self.bucket.list("registry"))
        return sorted(f"{key[1]}@{key[2]}" for key in keys if len(key) == 4 and key[3] == SUMS)

    def folder(self, reference: str) -> Bucket:
        """Where that version lies or would lie; UsageError for what is not NAME@VERSION."""
        return self.bucket.join("registry", *parsed(reference))

    def exact(self, model: str) -> str:
        """NAME@VERSION of `champion`, `previous`, or a NAME@VERSION that exists.

        Raises:
            UnknownModel: no such version, or nothing was promoted yet.
            DamagedWeights: the version's digests are not those that were promoted.
        """
        if model not in (CHAMPION, PREVIOUS):
            self._digest(model)
            return model
        now = self.current()
        reference = None if now is None else now[1].champion if model == CHAMPION else now[1].previous
        if reference is None:
            raise UnknownModel(f"the registry {self.bucket.url} has no {model} yet; promote a version")
        found = self._digest(reference)
        if now is not None and model == CHAMPION and found != now[1].digest:
            raise self._exchanged(reference)
        return reference

    def current(self) -> tuple[int, Promotion] | None:
        """The last promotion, whose champion and previous hold now, with its number."""
        last = self._promotions.last()
        return None if last is None else (last[0], self._parsed(*last))

    def history(self) -> Iterator[tuple[int, Promotion]]:
        """Every promotion and rollback, from the first."""
        return ((number, self._parsed(number, data)) for number, data in self._promotions.entries())

    def promote(self, model: str, *, why: str, who: str = "", replacing: str | None = None) -> Promotion:
        """Makes a version the champion; what was champion becomes `previous`.

        Args:
            model: NAME@VERSION.
            why: For the history.
            who: For the history; by default user@machine.
            replacing: NAME@VERSION that must be champion until then, as when a new model was compared with that one.

        Raises:
            UnknownModel: no such version.
            RegistryRefused: it is the champion already, or `replacing` is not the champion.
        """
        digest = self._digest(model)
        while True:
            number, now = self.current() or (0, None)
            champion = now.champion if now else None
            if replacing is not None and champion != replacing:
                raise RegistryRefused(
                    f"{replacing} is not the champion of {self.bucket.url}, but {champion or 'none'} is; look again"
                )
            if now is not None and (champion, now.digest) == (model, digest):
                raise RegistryRefused(f"{model} is the champion of {self.bucket.url} already; nothing was done")
            entry = _entry("promote", model, digest, champion, number or None, who, why)
            if self._promotions.append(number, entry.to_json()):
                return entry

    def rollback(self, *, why: str, who: str = "") -> Promotion:
        """Undoes the last promotion that was not undone: champion and previous are again what they were before it.

        Raises RegistryRefused if there is nothing to go back to, or if somebody moved the champion meanwhile.
        """
        number, now = self.current() or (0, None)
        if now is None or now.before is None:
            raise RegistryRefused(f"the registry {self.bucket.url} has no champion to go back to; promote a version")
        then = self._parsed(now.before, self._promotions.read(now.before))
        if self._digest(then.champion) != then.digest:
            raise self._exchanged(then.champion)
        entry = _entry("rollback", then.champion, then.digest, then.previous, then.before, who, why)
        if not self._promotions.append(number, entry.to_json()):
            raise RegistryRefused(f"the champion of {self.bucket.url} was moved meanwhile; look again")
        return entry

    def _digest(self, reference: str) -> str:
        folder = self.folder(reference)
        try:
            sums = folder.read(SUMS)
        except SourceMissing as error:
            known = ", ".join(self.versions()) or "none"
            raise UnknownModel(f"the registry {self.bucket.url} has no {reference}; there are: {known}") from error
        parsed_sums(sums, f"{folder.url}/{SUMS}")
        return hashlib.sha256(sums).hexdigest()

    def _exchanged(self, reference: str) -> DamagedWeights:
        return DamagedWeights(
            f"{SUMS} of {reference} in {self.bucket.url} is not the one that was promoted: promote another version"
        )

    def _parsed(self, number: int, data: bytes) -> Promotion:
        try:
            return Promotion(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise DamagedWeights(f"promotion {number} of {self.bucket.url} cannot be read ({error})") from error


def parsed(reference: str) -> tuple[str, str]:
    """Name and version; UsageError."""
    match = _REFERENCE.fullmatch(reference)
    if not match or match[1] in (CHAMPION, PREVIOUS):
        raise UsageError(f"{reference!r} is no version of a model: write NAME@VERSION, of letters, digits and . _ -")
    return match[1], match[2]


def is_reference(model: str) -> bool:
    """Whether a registry is meant: `champion`, `previous` or NAME@VERSION."""
    return model in (CHAMPION, PREVIOUS) or bool(_REFERENCE.fullmatch(model))


def place_of(model: str, registry: str | None = None) -> str:
    """What a registry calls `model`, as the URL of its folder, which means the same tomorrow; all else as it is.

    Raises UsageError without a registry, UnknownModel, DamagedWeights.
    """
    if not is_reference(model):
        return model
    there = Registry(registry)
    return there.folder(there.exact(model)).url


def _entry(
    action: Literal["promote", "rollback"],
    champion: str,
    digest: str,
    previous: str | None,
    before: int | None,
    who: str,
    why: str,
) -> Promotion:
    return Promotion(
        action=action, champion=champion, digest=digest, previous=previous, before=before, who=who or _who(),
        when=datetime.now(UTC).isoformat(timespec="seconds"), why=why, token=secrets.token_hex(8),
    )  # fmt: skip


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
