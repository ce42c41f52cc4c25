"""Decisions of curators, held against their history, their masks and the derivatives that they are about."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from oldphoto_core.custody.claims import Record, read_record
from oldphoto_core.custody.findings import Finding, Kind, Outcome
from oldphoto_core.errors import DamagedDecision, ScanError, SourceMissing, StorageError
from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.states import statement
from oldphoto_core.reviews.store import (
    REVIEWS,
    Reviews,
    entry_key,
    history_part,
    mask_in_history,
    mask_of,
    review_key,
)
from oldphoto_core.scans import read_header
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.parallel import THREADS, map_objects

STRANGER = "no decision, and no corrected mask that one names"


def decision_outcomes(target: Bucket, threads: int = THREADS) -> Iterator[Outcome]:
    """What is found of the decisions about each photo, and of everything else that lies in `reviews/`."""
    last: defaultdict[str, int] = defaultdict(int)
    others: set[str] = set()
    for info in target.list(REVIEWS):
        key, number = history_part(info.key) or ("", 0)
        if number:
            last[key] = max(last[key], number)
        elif not key and not info.is_unlisted:
            others.add(info.key)
    strangers = others - {place for key in last for place in (review_key(key), mask_of(key))}
    yield Outcome(findings=[Finding(key=key, kind="extra", detail=STRANGER) for key in strangers])
    yield from map_objects(partial(_photo_outcome, target), last.items(), threads)


def name_accepted(findings: list[Finding], accepted: Mapping[str, str]) -> list[Finding]:
    """The findings; those about derivatives that a curator accepted say so. `accepted`: key -> statement."""
    return [
        replace(finding, detail=f"{finding.detail}; {accepted[finding.key]}") if finding.key in accepted else finding
        for finding in findings
    ]


def _photo_outcome(target: Bucket, photo: tuple[str, int]) -> Outcome:
    """What is found of the decisions about one photo: its key, and the number of its last decision."""
    key, last = photo
    outcome = Outcome()
    decisions = list(_entries(target, key, last, outcome))
    try:
        if len(decisions) == last:
            _check_copies(target, key, decisions, outcome)
        for decision in decisions:
            _check_mask(target, decision, decision.mask, outcome)
            _check_mask(target, decision, decision.uncorrected, outcome)
        if decisions and decisions[-1].number == last:
            _check_derivative(target, decisions[-1], outcome)
    except StorageError as error:
        outcome.findings.append(Finding(key=review_key(key), kind="unreadable", detail=str(error)))
    if not outcome.findings:
        outcome.good.append(review_key(key))
    return outcome


def _entries(target: Bucket, key: str, last: int, outcome: Outcome) -> Iterator[Decision]:
    """The entries of a history that are sound."""
    for number in range(1, last + 1):
        place = entry_key(key, number)
        try:
            yield Reviews(target).entry(key, number)
        except DamagedDecision as error:
            detail = str(error).removeprefix(f"{place}: ")
            outcome.findings.append(Finding(key=place, kind="altered", detail=detail))
        except SourceMissing:
            outcome.findings.append(
                Finding(key=place, kind="missing", detail="later decisions lie there, and not this")
            )
        except StorageError as error:
            outcome.findings.append(Finding(key=place, kind="unreadable", detail=str(error)))


def _check_copies(target: Bucket, key: str, decisions: list[Decision], outcome: Outcome) -> None:
    """Hold what is made from the history for people against it: `<key>.json`, and the mask of the last decision."""
    place, again = review_key(key), "the next decision about it writes it again"
    try:
        if _listed(target.read(place)) != [each.as_dict() for each in decisions]:
            outcome.findings.append(Finding(key=place, kind="altered", detail=f"not what the history says; {again}"))
    except SourceMissing:
        outcome.findings.append(Finding(key=place, kind="missing", detail=f"the history has decisions; {again}"))
    last, mask = decisions[-1].mask, mask_of(key)
    there = target.sha256(mask) if target.info(mask) is not None else ""
    if there != last:
        kind: Kind = "altered" if there and last else "extra" if there else "missing"
        detail = "not the corrected mask of the last decision; oldphoto review --import takes it up with redo"
        outcome.findings.append(
            Finding(key=mask, kind=kind, detail=detail if there else again, expected_sha256=last, found_sha256=there)
        )


def _listed(file: bytes) -> Any:
    """The decisions in a `<key>.json`; None if it is damaged."""
    try:
        found = json.loads(file)
    except ValueError:
        return None
    return found.get("decisions") if isinstance(found, dict) else None


def _check_mask(target: Bucket, decision: Decision, sha256: str, outcome: Outcome) -> None:
    """Hold a mask that a decision names against its digest."""
    if not sha256:
        return
    place = mask_in_history(decision.key, sha256)
    try:
        found = target.sha256(place)
    except SourceMissing:
        detail = f"decision {decision.number} names it, and it is not there"
        outcome.findings.append(Finding(key=place, kind="missing", detail=detail, expected_sha256=sha256))
        return
    if found != sha256:
        detail = f"not the mask that decision {decision.number} names"
        outcome.findings.append(
            Finding(key=place, kind="altered", detail=detail, expected_sha256=sha256, found_sha256=found)
        )


def _check_derivative(target: Bucket, last: Decision, outcome: Outcome) -> None:
    """Hold the decision that counts against the record of the derivative that lies there."""
    record = read_record(target, last.key)
    sha256 = record.derivative.sha256 if record else ""
    place = entry_key(last.key, last.number)
    answered = record is not None and record.answers >= last.number
    if record is not None and last.verdict == "accept" and last.seen == sha256:
        outcome.accepted[record.derivative.key] = statement(last, sha256)
    if last.verdict != "reject" and last.seen != sha256 and not answered:
        now = f"run {record.run_id} made another one since" if record else "no derivative is recorded any more"
        detail = f"{statement(last, last.seen)}; {now}: look at it again"
        outcome.findings.append(
            Finding(key=place, kind="mismatched", detail=detail, expected_sha256=last.seen, found_sha256=sha256)
        )
    if record is not None and last.mask and (wrong := _wrong_size(target, last, record)):
        outcome.findings.append(Finding(key=mask_in_history(last.key, last.mask), kind="mismatched", detail=wrong))


def _wrong_size(target: Bucket, last: Decision, record: Record) -> str:
    """How a corrected mask does not fit its photo; empty: it does, or nobody knows."""
    try:
        data = target.read(mask_in_history(last.key, last.mask))
        if hashlib.sha256(data).hexdigest() != last.mask:
            return ""  # found already
        mask = read_header(data)
    except SourceMissing:
        return ""
    except ScanError as error:
        return f"it is no mask that can be read: {error}"
    if max(mask.pages, 1) != record.pages:
        return f"it has {mask.pages} pages, its photo {record.pages}: make a TIFF of a mask for each page"
    if record.size is None or (mask.height, mask.width) == record.size:
        return ""
    height, width = record.size
    return f"it has {mask.width} x {mask.height} pixels, its photo {width} x {height}: correct the mask again"
