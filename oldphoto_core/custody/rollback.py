"""Removing what one run wrote, and only that.

A derivative is the run's when it has the bytes that the run wrote and no later run claims it; a record is when it names
the run; a mask when that record has its digest. Of each photo the derivative goes first and the record last, so that
what was begun can be told, and finished, by a second call. The run's folder stays, with `rollback.json` in it: from
the moment it lies there, nobody takes the run's ledger for what the target holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from oldphoto_core.custody.claims import Claim, Record, last_claims, read_record
from oldphoto_core.errors import RollbackRefused, SourceMissing, StorageError, UnsafeLink, UsageError
from oldphoto_core.runs.destinations import Destinations, Masters
from oldphoto_core.runs.recovery import FACTS, finalise_killed_run
from oldphoto_core.storage import Bucket, read_ledger, read_manifest
from oldphoto_core.storage.ledger import ROLLBACK_KEY, rows_of_all_runs
from oldphoto_core.storage.parallel import map_objects

if TYPE_CHECKING:
    import pandas as pd

Fate = Literal["removed", "altered", "kept", "gone"]
OnPhoto = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class OwnFile:
    """One object that the run wrote, and what becomes of it."""

    key: str
    fate: Fate
    """removed: it is the run's; altered: it was, and has other bytes by now; kept: it stays; gone: it is not there."""
    detail: str = ""
    version: str = ""
    """Of what was looked at: nothing else is removed."""


@dataclass(slots=True)
class Rollback:
    """What rolling a run back does, or did, in the order in which it is done."""

    target: str
    run_id: str
    photos: list[list[OwnFile]] = field(default_factory=list)
    """Of each photo of the run, what was written for it."""
    begun: str = ""
    """When the run was first rolled back, in UTC; empty: not yet."""
    finished: str = ""
    """When that was done; empty: not yet, or a call was killed."""

    def of(self, fate: Fate) -> list[OwnFile]:
        """The objects with this fate."""
        return [file for files in self.photos for file in files if file.fate == fate]


def plan_rollback(target: Bucket, run_id: str, on_photo: OnPhoto = lambda _done, _total: None) -> Rollback:
    """What `roll_back` would do; nothing is written. Every derivative and mask of the run is read.

    Raises:
        UsageError: the target has no run of that name.
        StorageError: something cannot be read, so that nobody can tell whether it is the run's.
    """
    run = target.join("runs", run_id)
    if run.info(FACTS) is None:
        known = list(target.folders("runs"))
        raise UsageError(f"{target.url} has no run {run_id!r}; it has: {', '.join(known[-10:]) or 'none'}")
    ledger = read_ledger(run).assign(run_id=run_id)
    claims = last_claims(ledger)
    outputs = ledger[["key", "output"]].itertuples(index=False, name=None)
    mine = {key: claims[output] for key, output in outputs if output in claims}
    rows = rows_of_all_runs(target)
    others = last_claims(rows[rows["run_id"] != run_id])
    keys = _keys(run, ledger)
    marker = _marker_of(run)
    destinations = _destinations(target, run, keys)
    plan = Rollback(target.url, run_id, begun=marker.get("started") or "", finished=marker.get("finished") or "")
    for number, files in enumerate(
        map_objects(partial(_files, destinations, target, run_id, mine, others), keys), start=1
    ):
        plan.photos += [files] if files else []
        on_photo(number, len(keys))
    return plan


def roll_back(
    plan: Rollback, *, leave_altered: bool = False, on_photo: OnPhoto = lambda _done, _total: None
) -> Rollback:
    """Removes what a plan says. Planned and done again after a kill, it completes what is left; once more, nothing.

    `leave_altered`: what was altered since the run stays, and its record goes, so that a rerun takes it for somebody
    else's and leaves it alone. `on_photo` is called with how many photos are removed, of how many.

    Raises:
        RollbackRefused: something was altered since, and `leave_altered` is off; nothing was removed.
        StorageError: an object was written since the plan was made, or cannot be removed.
    """
    if plan.finished and not plan.of("removed"):
        return plan
    if (altered := plan.of("altered")) and not leave_altered:
        raise RollbackRefused(
            f"{len(altered)} objects of run {plan.run_id} were altered since, {altered[0].key} is the first; nothing"
            " was removed: copy them elsewhere and remove them, or roll back with --leave-altered, which leaves them"
        )
    target = Bucket(plan.target)
    run = target.join("runs", plan.run_id)
    # a killed run's ledger is completed while its records are still there to tell of it
    finalise_killed_run(target, plan.run_id)
    plan.begun = plan.begun or _now()
    run.write(ROLLBACK_KEY, _as_marker(plan))
    for number, _ in enumerate(map_objects(partial(_remove, target), plan.photos), start=1):
        on_photo(number, len(plan.photos))
    plan.finished = _now()
    run.write(ROLLBACK_KEY, _as_marker(plan))
    return plan


def _keys(run: Bucket, ledger: pd.DataFrame) -> list[str]:
    """Source keys of the photos for which the run may have written something, with or without a row."""
    try:
        manifest = read_manifest(run)
    except SourceMissing:
        return []
    left_alone = set(ledger.loc[(ledger["status"] == "skipped") & (ledger["reason"] != "run stopped"), "key"])
    return [key for key in manifest.loc[manifest["kind"] == "image", "key"] if key not in left_alone]


def _destinations(target: Bucket, run: Bucket, keys: list[str]) -> Destinations:
    """Where nothing is removed: behind links, and where folders of the run's source lie by now."""
    source = json.loads(run.read(FACTS)).get("source")
    folder = Bucket(source).folder if target.folder and isinstance(source, str) else None
    return Destinations(target, Masters(folder, keys) if folder else None)


def _files(
    destinations: Destinations,
    target: Bucket,
    run_id: str,
    mine: dict[str, Claim],
    others: dict[str, Claim],
    key: str,
) -> list[OwnFile]:
    """What the run wrote for one photo: derivative, mask, record."""
    name = f"records/{key}.json"
    record = read_record(target, key)
    own = record if record and record.run_id == run_id else None
    claim = mine.get(key) or (own.derivative if own else None)
    files = []
    if claim:
        files.append(_derivative(destinations, target, claim, record, others.get(claim.key)))
    if own and own.has_mask:
        files.append(_mask(destinations, target, own.mask_key, own))
    if own and claim and own.derivative.sha256 != claim.sha256:
        files.append(OwnFile(name, "altered", "it names another digest than the run's ledger"))
    elif own:
        files.append(_judged(destinations, target, name, None))
    elif claim and record is None and target.info(name):
        files.append(OwnFile(name, "altered", "what lies there is no record"))
    return files


def _derivative(
    destinations: Destinations, target: Bucket, claim: Claim, record: Record | None, other: Claim | None
) -> OwnFile:
    """`other` is what another run's ledger says of the same object, `record` the photo's, of whichever run."""
    if other and other.written_at > claim.written_at:
        return OwnFile(claim.key, "kept", f"run {other.run_id} wrote it later")
    file = _judged(destinations, target, claim.key, claim.sha256)
    theirs = record.derivative if record and record.run_id != claim.run_id else None
    # the later run was killed before its ledger was written, or is under way
    if theirs and theirs.key == claim.key and (file.fate == "altered" or theirs.sha256 == claim.sha256):
        return OwnFile(claim.key, "kept", f"run {theirs.run_id} wrote it later")
    # this run was killed before it replaced what lay there
    if other and file.fate == "altered" and target.sha256(claim.key) == other.sha256:
        return OwnFile(claim.key, "kept", f"it is still what run {other.run_id} wrote")
    return file


def _mask(destinations: Destinations, target: Bucket, name: str, record: Record) -> OwnFile:
    if record.mask_sha256:
        return _judged(destinations, target, name, record.mask_sha256)
    return OwnFile(name, "kept", "the run did not note that it wrote it")


def _judged(destinations: Destinations, target: Bucket, key: str, sha256: str | None) -> OwnFile:
    """By its bytes, which must have this digest; without one it is the run's as it is."""
    info = target.info(key)
    if info is None:
        return OwnFile(key, "gone")
    if isinstance(problem := destinations.at(key), UnsafeLink):
        return OwnFile(key, "kept", str(problem))
    if sha256 and target.sha256(key, version=info.version) != sha256:
        return OwnFile(key, "altered", "other bytes than the run wrote", info.version)
    return OwnFile(key, "removed", "", info.version)


def _remove(target: Bucket, files: list[OwnFile]) -> None:
    for file in files:
        if file.fate != "removed":
            continue
        info = target.info(file.key)
        if info and info.version != file.version:
            raise StorageError(f"{file.key} was just written by somebody else; end the other run, then roll back again")
        target.delete(file.key)


def _marker_of(run: Bucket) -> dict[str, Any]:
    try:
        marker: dict[str, Any] = json.loads(run.read(ROLLBACK_KEY))
    except SourceMissing:
        return {}
    return marker


def _as_marker(plan: Rollback) -> bytes:
    account = {
        "run_id": plan.run_id,
        "started": plan.begun,
        "finished": plan.finished or None,
        "removed": len(plan.of("removed")) + len(plan.of("gone")),
        "left": [{"key": file.key, "why": file.detail} for file in plan.of("altered") + plan.of("kept")],
    }
    return (json.dumps(account, indent=2, ensure_ascii=False) + "\n").encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
