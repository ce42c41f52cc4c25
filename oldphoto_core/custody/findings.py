"""What an audit looked at, and what it found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from oldphoto_core.storage import Bucket

Kind = Literal["missing", "altered", "extra", "unreadable", "unfinished", "mismatched"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One object that is not what ledgers and records say."""

    key: str
    """In the target."""
    kind: Kind
    """missing: recorded, not there; altered: other bytes; extra: nobody recorded it; unreadable: the store failed;
    unfinished: begun by a writer that was killed; mismatched: a decision that does not fit its photo any more."""
    detail: str
    """For people, in one line."""
    run_id: str = ""
    """The run that wrote it, by ledgers and records."""
    expected_sha256: str = ""
    found_sha256: str = ""


@dataclass(slots=True)
class Outcome:
    """Of one record, of one claim without a record, or of the decisions about one photo."""

    findings: list[Finding] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Keys that somebody answers for."""
    good: list[str] = field(default_factory=list)
    not_recorded: int = 0
    accepted: dict[str, str] = field(default_factory=dict)
    """Derivatives that a curator accepted, and who did, when and why."""


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
    decisions: int = 0
    """Photos whose decisions are sound and about what lies there."""
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

    def add(self, outcome: Outcome, sizes: Mapping[str, int]) -> None:
        """Counts what was found of one record or one claim; `sizes` in bytes of the objects by key."""
        self.findings += outcome.findings
        self.derivatives += sum(key.startswith("photos/") for key in outcome.good)
        self.masks += sum(key.startswith("masks/") for key in outcome.good)
        self.decisions += sum(key.startswith("reviews/") for key in outcome.good)
        self.masks_not_recorded += outcome.not_recorded
        self.bytes_read += sum(sizes.get(key, 0) for key in outcome.good)

    def write(self, out: Bucket) -> None:
        """Puts audit.json (all of it) and audit.csv (a row per finding) there. Raises WriteFailed, NoCredentials."""
        import pandas as pd

        from oldphoto_core.storage.tables import write_csv

        columns = [column.name for column in fields(Finding)]
        table = pd.DataFrame([asdict(finding) for finding in self.findings], columns=columns)
        out.write("audit.json", (json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n").encode())
        write_csv(out, "audit.csv", table)
