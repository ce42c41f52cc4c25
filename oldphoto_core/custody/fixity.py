"""Fixity of a target: every derivative and mask is read again and held against its record, or its run's ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, get_args

from oldphoto_core.custody.claims import Claim, Record, claims_of_ledgers, read_record
from oldphoto_core.errors import SourceMissing, StorageError, UsageError
from oldphoto_core.reports.record import mask_key
from oldphoto_core.restoration.job import RESULT_FOLDERS
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import THREADS, map_objects
from oldphoto_core.storage.temporary import is_abandoned

Kind = Literal["missing", "altered", "extra", "unreadable", "unfinished"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FOLDERS = ("photos", "masks", "records")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One object that is not what the books say."""

    key: str
    """In the target."""
    kind: Kind
    """missing: recorded, not there; altered: other bytes; extra: nobody recorded it; unreadable: the store failed;
    unfinished: begun by a writer that was killed."""
    detail: str
    """For people, in one line."""
    run_id: str = ""
    """The run that wrote it, by the books."""
    expected_sha256: str = ""
    found_sha256: str = ""


@dataclass(slots=True)
class AuditReport:
    """What was looked at, and what was found."""

    target: str
    started: str
    seconds: float = 0.0
    derivatives: int = 0
    """Read and found as recorded."""
    masks: int = 0
    """Likewise."""
    masks_not_recorded: int = 0
    """Masks that are there, and of which no digest was recorded."""
    records: int = 0
    bytes_read: int = 0
    """Of derivatives and masks."""
    unfinished_unknown: str = ""
    """Why the store did not say what killed writers began; empty: it did."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Findings of each kind."""
        return {kind: sum(finding.kind == kind for finding in self.findings) for kind in KINDS}

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in audit.json."""
        return {**asdict(self), "counts": self.counts, "findings": [asdict(finding) for finding in self.findings]}


@dataclass(slots=True)
class _Outcome:
    """Of one record, or of one claim without a record."""

    findings: list[Finding] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Keys that somebody answers for."""
    good: list[str] = field(default_factory=list)
    not_recorded: int = 0


def audit(
    target: Bucket,
    on_object: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    out: Bucket | None = None,
    threads: int = THREADS,
) -> AuditReport:
    """Reads every derivative and mask of the target; nothing is written there.

    Objects are read in chunks of some MiB, one for each thread; beyond that memory holds the keys of the target and the
    rows of its ledgers. `on_object` hears how many records and derivatives are done, of how many. Where `out` is given,
    audit.json (all of the report) and audit.csv (a row per finding) are written there.

    Raises:
        SourceMissing, UsageError, WriteFailed: as `check_places`.
        StorageError, NoCredentials: it cannot be listed.
    """
    check_places(target, out)
    begun = datetime.now(UTC)
    report = AuditReport(target.url, begun.isoformat(timespec="seconds"))
    claims = claims_of_ledgers(target)
    sizes = {info.key: info.size for folder in FOLDERS for info in target.list(folder)}
    names = [key for key in sizes if key.startswith("records/") and key.endswith(".json")]
    keys = [name.removeprefix("records/").removesuffix(".json") for name in names]
    seen: set[str] = set()
    done = 0

    def settle(outcome: _Outcome, total: int) -> None:
        nonlocal done
        seen.update(outcome.seen)
        report.findings += outcome.findings
        report.derivatives += sum(key.startswith("photos/") for key in outcome.good)
        report.masks += sum(key.startswith("masks/") for key in outcome.good)
        report.masks_not_recorded += outcome.not_recorded
        report.bytes_read += sum(sizes.get(key, 0) for key in outcome.good)
        done += 1
        on_object(done, total)

    for outcome in map_objects(partial(_record_outcome, target, claims, sizes), keys, threads):
        settle(outcome, len(keys))
    report.records = len(keys)
    # derivatives of other formats, whose records a later run replaced
    rest = [claim for key, claim in claims.items() if key not in seen]
    for outcome in map_objects(partial(_claim_outcome, target), rest, threads):
        settle(outcome, len(keys) + len(rest))
    report.findings += _extra(sizes, seen)
    try:
        report.findings += _unfinished(target)
    except StorageError as error:
        report.unfinished_unknown = str(error)
    report.findings.sort(key=lambda finding: finding.key)
    report.seconds = round((datetime.now(UTC) - begun).total_seconds(), 3)
    if out is not None:
        _write(report, out)
    return report


def _write(report: AuditReport, out: Bucket) -> None:
    import pandas as pd

    columns = [column.name for column in fields(Finding)]
    table = pd.DataFrame([asdict(finding) for finding in report.findings], columns=columns)
    out.write("audit.json", (json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n").encode())
    out.write("audit.csv", table.to_csv(index=False).encode())


def check_places(target: Bucket, out: Bucket | None) -> None:
    """Refuses places that cannot work.

    Raises:
        SourceMissing: there is no run in the target.
        UsageError: the report would lie among what is audited.
        WriteFailed: the report cannot be written.
    """
    if next(target.folders("runs"), None) is None:
        raise SourceMissing(f"{target.url} holds no run of oldphoto: name the target of a restoration")
    if out is None:
        return
    for folder in FOLDERS:
        if target.join(folder).contains(out):
            raise UsageError(f"--out {out} lies in {target.join(folder)}, which is audited; name another place")
    out.check_writable()


def _record_outcome(target: Bucket, claims: dict[str, Claim], sizes: dict[str, int], key: str) -> _Outcome:
    """What one record answers for."""
    name = f"records/{key}.json"
    outcome = _Outcome(seen=[name])
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


def _claim_outcome(target: Bucket, claim: Claim) -> _Outcome:
    outcome = _Outcome(seen=[claim.key])
    _check(target, claim, outcome)
    return outcome


def _before(record: Record, claim: Claim | None) -> Claim | None:
    """The run whose bytes lie there when that of the record was killed between record and derivative."""
    return claim if claim and claim.run_id != record.run_id else None


def _check(target: Bucket, claim: Claim, outcome: _Outcome, before: Claim | None = None) -> None:
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


def _extra(sizes: dict[str, int], seen: set[str]) -> Iterator[Finding]:
    for key in sizes:
        if key not in seen:
            yield Finding(key=key, kind="extra", detail="no record and no ledger knows it")


def _unfinished(target: Bucket) -> list[Finding]:
    what = "an upload in parts that nobody ends", "begun by a process that was killed"
    return [
        Finding(key=write.key, kind="unfinished", detail=f"{what[not write.upload]}; the next run removes it")
        for write in target.unfinished(RESULT_FOLDERS)
        if is_abandoned(write)
    ]
