"""The registry of a house: immutable versions of models in a bucket, and which of them is the champion.

    URL/registry/<model>/<version>/    weights, parts, card.json; SHA256SUMS last, which makes the version one
    URL/published/<model>/<version>.json  digest of its SHA256SUMS, who published it and when; never replaced
    URL/promotions/00000001.json ...   who made what the champion, when and why; never replaced

Every version is held to the digest that `published` has of it, and to those of its promotions. A version that was
published before there was such a record, and never promoted, is read as it is.

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
from typing import Any, Literal

from oldphoto_core.checkpoints.odd_values import Check, OddValue, check_fields, is_count, is_sha256, is_text, read_json
from oldphoto_core.checkpoints.sums import SUMS, parsed_sums
from oldphoto_core.errors import DamagedWeights, RegistryRefused, SourceMissing, UnknownModel, UsageError
from oldphoto_core.storage import Bucket, Journal

ENVIRONMENT = "OLDPHOTO_REGISTRY"
CHAMPION, PREVIOUS = "champion", "previous"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_REFERENCE = re.compile(rf"({_NAME})@({_NAME})")


_TEXT = (is_text, "text")
_PUBLICATION: dict[str, tuple[Check, str]] = {
    "version": _TEXT,
    "digest": (is_sha256, "a sha256 in hex"),
    "who": _TEXT,
    "when": _TEXT,
}


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and bool(_REFERENCE.fullmatch(value))


_PROMOTION: dict[str, tuple[Check, str]] = {
    "action": (lambda value: value in ("promote", "rollback"), "promote or rollback"),
    "champion": (_is_version, "NAME@VERSION"),
    "digest": (is_sha256, "a sha256 in hex"),
    "previous": (lambda value: value is None or _is_version(value), "NAME@VERSION or null"),
    "before": (lambda value: value is None or is_count(value), "a number of an entry or null"),
    **dict.fromkeys(("who", "when", "why", "token"), _TEXT),
}


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
            DamagedWeights: the version's digests are not those that were recorded when it was published or promoted.
        """
        if model not in (CHAMPION, PREVIOUS):
            self._held(model)
            return model
        now = self.current()
        reference = None if now is None else now[1].champion if model == CHAMPION else now[1].previous
        if reference is None:
            raise UnknownModel(f"the registry {self.bucket.url} has no {model} yet; promote a version")
        found = self._held(reference)
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
            DamagedWeights: it was altered since it was published or first promoted.
        """
        digest = self._held(model)
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
        if self._held(then.champion) != then.digest:
            raise self._exchanged(then.champion)
        entry = _entry("rollback", then.champion, then.digest, then.previous, then.before, who, why)
        if not self._promotions.append(number, entry.to_json()):
            raise RegistryRefused(f"the champion of {self.bucket.url} was moved meanwhile; look again")
        return entry

    def recorded_digest(self, reference: str) -> str | None:
        """sha256 that the version's SHA256SUMS must have, however the version is named; None if none was recorded.

        Raises DamagedWeights if it has another, or none at all.
        """
        if self._recorded(reference) is None and not any(done.champion == reference for _, done in self.history()):
            return None
        try:
            return self._held(reference)
        except UnknownModel as error:
            raise self._exchanged(reference) from error

    def record_publication(self, reference: str, sums: bytes, who: str = "") -> None:
        """Pins a version to its SHA256SUMS, before that file makes it one.

        Raises RegistryRefused if it is pinned to others.
        """
        digest = hashlib.sha256(sums).hexdigest()
        record = {"version": reference, "digest": digest, "who": who or _who(), "when": _now()}
        key = _published_key(reference)
        data = (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
        if not self.bucket.create(key, data) and self._recorded(reference) != digest:
            raise RegistryRefused(f"{reference} was begun with other files; publish under another version")

    def _held(self, reference: str) -> str:
        """The digest of a version's SHA256SUMS, which is the recorded one. Raises UnknownModel, DamagedWeights."""
        found = self._digest(reference)
        published = self._recorded(reference)
        promoted = [done.digest for _, done in self.history() if done.champion == reference]
        if (published and found != published) or (promoted and found not in promoted):
            raise self._exchanged(reference)
        return found

    def _recorded(self, reference: str) -> str | None:
        """What its publication recorded; None for a version from before there were such records."""
        key = _published_key(reference)
        try:
            values = check_fields(read_json(self.bucket.read(key)), _PUBLICATION, _PUBLICATION)
        except SourceMissing:
            return None
        except OddValue as error:
            raise DamagedWeights(f"{key} of {self.bucket.url} cannot be read ({error})") from error
        return str(values["digest"])

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
            f"{SUMS} of {reference} in {self.bucket.url} is not the one that was published or promoted: use another"
            " version"
        )

    def _parsed(self, number: int, data: bytes) -> Promotion:
        try:
            return Promotion(**check_fields(read_json(data), _PROMOTION, _PROMOTION))
        except OddValue as error:
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


def recorded_digest(folder: Bucket) -> str | None:
    """What `Registry.recorded_digest` says of the version whose folder this is; None for any other folder."""
    root, _, reference = folder.url.rpartition("/registry/")
    name, _, version = reference.partition("/")
    if not root or not _REFERENCE.fullmatch(f"{name}@{version}"):
        return None
    return Registry(root).recorded_digest(f"{name}@{version}")


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
        when=_now(), why=why, token=secrets.token_hex(8),
    )  # fmt: skip


def _published_key(reference: str) -> str:
    name, version = parsed(reference)
    return f"published/{name}/{version}.json"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
