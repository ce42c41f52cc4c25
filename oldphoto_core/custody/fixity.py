"""Fixity of a target: every derivative and mask is read again and held against its record, or its run's ledger.

Decisions of curators are held against what they are about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from oldphoto_core.custody.claims import Claim, Record, claims_of_ledgers, read_record
from oldphoto_core.custody.decisions import decision_outcomes, name_accepted
from oldphoto_core.custody.findings import AuditReport, Finding, Outcome
from oldphoto_core.errors import SourceMissing, StorageError, UsageError
from oldphoto_core.reports.record import mask_key
from oldphoto_core.reviews.store import REVIEWS
from oldphoto_core.runs.job import RESULT_FOLDERS
from oldphoto_core.storage import Bucket, ObjectInfo
from oldphoto_core.storage.ledger import FACTS_KEY
from oldphoto_core.storage.parallel import THREADS, map_objects
from oldphoto_core.storage.temporary import is_abandoned

FOLDERS = ("photos", "masks", "records")


def audit(
    target: Bucket,
    on_object: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    out: Bucket | None = None,
    threads: int = THREADS,
) -> AuditReport:
    """Reads every derivative, mask and decision of the target; nothing is written there.

    Objects are read in chunks of some MiB, one for each thread; beyond that memory holds the keys of the target and the
    rows of its ledgers. `on_object` is called with how many records and derivatives are done, of how many. Where `out`
    is given, audit.json (all of the report) and audit.csv (a row per finding) are written there.

    Raises:
        SourceMissing, UsageError, WriteFailed: as `check_places`.
        StorageError, NoCredentials: it cannot be listed.
    """
    check_places(target, out)
    begun = datetime.now(UTC)
    report = AuditReport(target.url, begun.isoformat(timespec="seconds"))
    claims = claims_of_ledgers(target)
    listed = [info for folder in FOLDERS for info in target.list(folder)]
    sizes = {info.key: info.size for info in listed if not info.is_unlisted}
    reviews = target.list(REVIEWS)
    report.findings += _unlisted(info for info in (*listed, *reviews) if info.is_unlisted)
    answered: set[str] = set()
    for done, (outcome, total) in enumerate(_outcomes(target, claims, sizes, threads), start=1):
        answered.update(outcome.seen)
        report.add(outcome, sizes)
        on_object(done, total)
    accepted: dict[str, str] = {}
    for outcome in decision_outcomes(target, threads):
        accepted.update(outcome.accepted)
        report.add(outcome, sizes)
    report.findings = name_accepted(report.findings, accepted)
    report.records = len(_recorded(sizes))
    report.findings += _extra(sizes, answered)
    report.findings += _links(target)
    try:
        report.findings += _unfinished(target)
    except StorageError as error:
        report.unfinished_unknown = str(error)
    report.findings.sort(key=lambda finding: finding.key)
    report.seconds = round((datetime.now(UTC) - begun).total_seconds(), 3)
    if out is not None:
        report.write(out)
    return report


def check_places(target: Bucket, out: Bucket | None) -> None:
    """Refuses places that cannot work.

    Raises:
        SourceMissing: there is no run in the target.
        UsageError: the report would lie among what is audited, or among masters.
        WriteFailed: the report cannot be written.
    """
    if next(target.folders("runs"), None) is None:
        raise SourceMissing(f"{target.url} holds no run of oldphoto: name the target of a restoration")
    if out is None:
        return
    for folder in (*FOLDERS, REVIEWS):
        if target.join(folder).contains(out):
            raise UsageError(f"--out {out} lies in {target.join(folder)}, which is audited; name another place")
    for source in _sources(target):
        if source.contains(out):
            raise UsageError(f"--out {out} lies in {source}, where the masters are; name a place outside")
    out.check_writable()


def _sources(target: Bucket) -> Iterator[Bucket]:
    """The places whose photos were restored into the target, as far as its runs say."""
    for run_id in target.folders("runs"):
        with suppress(StorageError, ValueError, KeyError, TypeError):
            yield Bucket(json.loads(target.join("runs", run_id).read(FACTS_KEY))["source"])


def _outcomes(
    target: Bucket, claims: dict[str, Claim], sizes: dict[str, int], threads: int
) -> Iterator[tuple[Outcome, int]]:
    """Of every record, then of what no record answers for any more; each with how many are known to come in all."""
    keys = _recorded(sizes)
    answered: set[str] = set()
    for outcome in map_objects(partial(_record_outcome, target, claims, sizes), keys, threads):
        answered.update(outcome.seen)
        yield outcome, len(keys)
    # derivatives of other formats, whose records a later run replaced
    rest = [claim for key, claim in claims.items() if key not in answered]
    for outcome in map_objects(partial(_claim_outcome, target), rest, threads):
        yield outcome, len(keys) + len(rest)


def _recorded(sizes: dict[str, int]) -> list[str]:
    """Source keys of the photos that have a record."""
    names = (key for key in sizes if key.startswith("records/") and key.endswith(".json"))
    return [name.removeprefix("records/").removesuffix(".json") for name in names]


def _record_outcome(target: Bucket, claims: dict[str, Claim], sizes: dict[str, int], key: str) -> Outcome:
    """What one record answers for."""
    name = f"records/{key}.json"
    outcome = Outcome(seen=[name])
    try:
        record = read_record(target, key)
        problem = Finding(key=name, kind="altered", detail="what lies there is no record")
    except StorageError as error:
        record, problem = None, Finding(key=name, kind="unreadable", detail=str(error))
    if record is None:
        # derivative and mask are not extra for that: the ledger knows the one, its name tells the other
        outcome.seen += [mask_key(key, paged=paged) for paged in (False, True)]
        outcome.findings.append(problem)
        return outcome
    outcome.seen.append(record.derivative.key)
    claim = claims.get(record.derivative.key)
    _check(target, record.derivative, outcome, _before(record, claim))
    if claim and claim.run_id == record.run_id and claim.sha256 != record.derivative.sha256:
        detail = f"it names another digest than its run's ledger, which says {claim.sha256}"
        outcome.findings.append(Finding(key=name, kind="altered", detail=detail, run_id=record.run_id))
    if record.has_mask:
        mask = record.mask_key
        outcome.seen.append(mask)
        if record.mask_sha256 or mask not in sizes:
            _check(target, Claim(mask, record.mask_sha256, record.run_id, 0.0), outcome)
        else:
            outcome.not_recorded += 1
    return outcome


def _claim_outcome(target: Bucket, claim: Claim) -> Outcome:
    outcome = Outcome(seen=[claim.key])
    _check(target, claim, outcome)
    return outcome


def _before(record: Record, claim: Claim | None) -> Claim | None:
    """The run whose bytes lie there when that of the record was killed between record and derivative."""
    return claim if claim and claim.run_id != record.run_id else None


def _check(target: Bucket, claim: Claim, outcome: Outcome, before: Claim | None = None) -> None:
    """Holds one object against what was written."""
    what = {"key": claim.key, "run_id": claim.run_id, "expected_sha256": claim.sha256}
    try:
        found = target.sha256(claim.key)
    except SourceMissing:
        outcome.findings.append(Finding(**what, kind="missing", detail="recorded, and not there"))
        return
    except StorageError as error:
        outcome.findings.append(Finding(**what, kind="unreadable", detail=str(error)))
        return
    if found == claim.sha256:
        outcome.good.append(claim.key)
        return
    detail = "other bytes than were written"
    if before and found == before.sha256:
        detail = f"still what run {before.run_id} wrote: the run of its record was stopped before it; restore again"
    outcome.findings.append(Finding(**what, kind="altered", detail=detail, found_sha256=found))


def _extra(sizes: dict[str, int], answered: set[str]) -> Iterator[Finding]:
    for key in sizes:
        if key not in answered:
            yield Finding(key=key, kind="extra", detail="no record and no ledger knows it")


def _unlisted(folders: Iterable[ObjectInfo]) -> Iterator[Finding]:
    for folder in folders:
        yield Finding(key=folder.key, kind="unreadable", detail=f"it {folder.version}: what lies in it is not audited")


def _links(target: Bucket) -> Iterator[Finding]:
    for key in (link for folder in RESULT_FOLDERS for link in target.folder_links(folder)):
        yield Finding(key=key, kind="extra", detail="a link to a folder: nothing is written or removed through it")


def _unfinished(target: Bucket) -> list[Finding]:
    what = "an upload in parts that nobody ends", "begun by a process that was killed"
    return [
        Finding(key=write.key, kind="unfinished", detail=f"{what[not write.upload]}; the next run removes it")
        for write in target.unfinished(RESULT_FOLDERS)
        if is_abandoned(write)
    ]
