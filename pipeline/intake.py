"""What counts as a new report: one pure decision per record."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.feeds.record import Record
from pipeline.identifying import Identifier


class Outcome(StrEnum):
    NEW = "new"
    AMENDED = "amended"
    UNCHANGED = "unchanged"
    OUTDATED = "outdated"
    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"
    QUARANTINED = "quarantined"
    SKIPPED = "skipped"


# Outcomes that store a new version of a report, which then wants labels.
STORED = frozenset({Outcome.NEW, Outcome.AMENDED, Outcome.REINSTATED})

UNKNOWN_DELETION = "deletion-of-unknown-report"
IDENTIFYING_DATA = "identifying-data"


_encoded = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Current:
    """The version we hold of a report, as far as a decision needs it."""

    version: int
    content_hash: str
    source_updated_at: datetime | None
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a record, why if it is not taken in, and the kinds of identifying data if that is why."""

    outcome: Outcome
    reason: str | None = None
    kinds: tuple[str, ...] = ()


def content_hash(record: Record) -> str:
    """SHA-256, in hex, of everything that is stored of a record; when it was sent does not count."""
    dates = [moment and moment.isoformat() for moment in (record.study_at, record.issued_at)]
    stored = [record.text, record.accession, record.patient, *dates, record.code, record.modality]
    return hashlib.sha256(_encoded(stored).encode()).hexdigest()


def decide(
    record: Record,
    *,
    new_hash: str,
    current: Current | None,
    identifiers: tuple[Identifier, ...],
    in_quarantine: bool = False,
) -> Decision:
    """Compare a record with the current version only.

    `identifiers` is what the guard holds against its text, its patient and its accession number.

    `in_quarantine` says that we hold none, but that a record of this report was quarantined.
    """
    if current is not None and _older(record.updated_at, current.source_updated_at):
        return Decision(Outcome.OUTDATED)
    if record.withdrawn:
        return _withdrawal(record, current, in_quarantine=in_quarantine)
    if current is not None and current.content_hash == new_hash and not _returns(record, current):
        return Decision(Outcome.UNCHANGED)
    if current is not None and current.withdrawn and not _returns(record, current, changed=True):
        return Decision(Outcome.OUTDATED)
    if identifiers:
        return Decision(Outcome.QUARANTINED, IDENTIFYING_DATA, identifiers)
    if current is None:
        return Decision(Outcome.NEW)
    return Decision(Outcome.REINSTATED if current.withdrawn else Outcome.AMENDED)


def _withdrawal(record: Record, current: Current | None, *, in_quarantine: bool) -> Decision:
    if current is None and record.code is None and not in_quarantine:
        # A bare deletion names no examination, so nobody knows whether this feed ever wanted the report.
        return Decision(Outcome.SKIPPED, UNKNOWN_DELETION)
    if current is not None and current.withdrawn:
        return Decision(Outcome.UNCHANGED)
    # One that was withdrawn before we had it is kept without text, so that a late older copy is outdated, and so
    # is one that someone releases.
    return Decision(Outcome.WITHDRAWN)


def _older(sent: datetime | None, held: datetime | None) -> bool:
    return sent is not None and held is not None and sent < held


def _returns(record: Record, current: Current, *, changed: bool = False) -> bool:
    """Whether a withdrawn report comes back: said later than the withdrawal, or, without times, said differently.

    A file that is merely read again must not bring a withdrawn report back.
    """
    if not current.withdrawn:
        return False
    if record.updated_at is None or current.source_updated_at is None:
        return changed
    return record.updated_at > current.source_updated_at
