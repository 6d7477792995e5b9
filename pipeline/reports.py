"""Storing reports: a chunk of a feed, its cursor, the events and their jobs, in one transaction."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import events, identifying, intake
from pipeline.database import insert_by_copy
from pipeline.feeds.record import Item, Record, Skipped, Unreadable
from pipeline.intake import Current, Decision, Outcome
from pipeline.labelling import JobSizes
from pipeline.language import language
from pipeline.tables import Feed, Quarantine, Report, SkippedCount


@dataclass
class _Standing:
    """A report as it stands while its chunk is gone through; `row` is its new version, if it gets one."""

    current: Current | None = None
    report_id: int | None = None
    row: "_NewVersion | None" = None
    withdraw: bool = False
    flag: bool | None = None
    touched_at: datetime | None = None


@dataclass
class _NewVersion:
    record: Record
    version: int
    content_hash: str
    is_current: bool = True
    withdrawn: bool = False
    flagged: bool = False


@dataclass
class _Plan:
    """What a chunk comes to, before anything is written."""

    standing: dict[str, _Standing]
    rows: list[_NewVersion] = field(default_factory=list)
    superseded: list[int] = field(default_factory=list)
    quarantined: list[tuple[str, str, str | None, datetime | None]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)


def store(
    session: Session, feed: Feed, items: Sequence[Item], *, cursor: dict[str, Any], sizes: JobSizes
) -> Counter[str]:
    """Store a chunk and move the feed's cursor behind it; how many records had which outcome."""
    # Two feeds may hold the same report: one waits for the other rather than fail on a conflict.
    session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"{feed.site}\x1f{feed.source_system}", 0)))
    )
    plan = _plan(items, _standing(session, feed, items))
    now = datetime.now(UTC)
    _retire(session, plan, now)
    received, gone_already = _insert_versions(session, feed, plan.rows, now)
    _quarantine(session, feed, plan)
    _count_skipped(session, feed, plan.skipped)
    feed.cursor, feed.updated_at = cursor, now
    withdrawn = [one.report_id for one in plan.standing.values() if one.withdraw and one.report_id is not None]
    withdrawn += gone_already
    if received:
        events.publish(session, events.ReportsReceived(feed.name, tuple(received)), sizes=sizes)
    if withdrawn:
        events.publish(session, events.ReportsWithdrawn(feed.name, tuple(withdrawn)), sizes=sizes)
    return plan.outcomes


def _standing(session: Session, feed: Feed, items: Iterable[Item]) -> dict[str, _Standing]:
    ids = {item.source_id for item in items if not isinstance(item, Skipped) and item.source_id is not None}
    rows = session.execute(
        select(
            Report.id,
            Report.source_id,
            Report.version,
            Report.content_hash,
            Report.source_updated_at,
            Report.withdrawn_at.is_not(None).label("withdrawn"),
        )
        .where(
            Report.site == feed.site,
            Report.source_system == feed.source_system,
            Report.source_id.in_(ids),
            Report.is_current,
        )
        .order_by(Report.id)  # everyone locks reports in this order
        .with_for_update()
    )
    standing = {source_id: _Standing() for source_id in ids}
    for row in rows:
        current = Current(row.version, row.content_hash, row.source_updated_at, row.withdrawn)
        standing[row.source_id] = _Standing(current=current, report_id=row.id)
    return standing


def _plan(items: Sequence[Item], standing: dict[str, _Standing]) -> _Plan:
    plan = _Plan(standing)
    for item in items:
        match item:
            case Skipped():
                plan.skipped[item.reason] += 1
                plan.outcomes[Outcome.SKIPPED] += 1
            case Unreadable():
                _set_aside(plan, item, item.reason)
            case Record():
                new_hash = intake.content_hash(item)
                decision = intake.decide(
                    item,
                    new_hash=new_hash,
                    current=standing[item.source_id].current,
                    identifiers=identifying.kinds(item.text) if item.text is not None else (),
                )
                _apply(plan, item, decision, new_hash)
    return plan


def _apply(plan: _Plan, record: Record, decision: Decision, new_hash: str) -> None:
    here = plan.standing[record.source_id]
    match decision.outcome:
        case Outcome.QUARANTINED:
            _set_aside(plan, record, decision.reason or "")
            return
        case Outcome.SKIPPED:
            plan.skipped[decision.reason or ""] += 1
        case Outcome.UNCHANGED:
            if _is_later(record.updated_at, here):
                _flag(here, False)
            _touch(here, record.updated_at)
        case Outcome.WITHDRAWN if here.current is not None:
            here.withdraw = here.row is None
            if here.row is not None:
                here.row.withdrawn = True
            here.current = replace(here.current, withdrawn=True)
            _touch(here, record.updated_at)
        case Outcome.NEW | Outcome.AMENDED | Outcome.REINSTATED | Outcome.WITHDRAWN:
            _supersede(plan, here, record, new_hash)
    plan.outcomes[decision.outcome] += 1


def _supersede(plan: _Plan, here: _Standing, record: Record, new_hash: str) -> None:
    if here.row is not None:
        here.row.is_current = False
    elif here.report_id is not None:
        plan.superseded.append(here.report_id)
    version = here.current.version + 1 if here.current else 1
    here.row = _NewVersion(record, version, new_hash, withdrawn=record.withdrawn)
    here.current = Current(version, new_hash, record.updated_at, record.withdrawn)
    plan.rows.append(here.row)


def _set_aside(plan: _Plan, item: Record | Unreadable, reason: str) -> None:
    plan.quarantined.append((item.place, reason, item.source_id, item.updated_at))
    plan.outcomes[Outcome.QUARANTINED] += 1
    here = plan.standing.get(item.source_id) if item.source_id is not None else None
    if here is None or here.current is None:
        return
    held = here.current.source_updated_at
    if item.updated_at is None or held is None or item.updated_at >= held:
        _flag(here, True)  # an amendment we could not take: the version that stands may be out of date


def _flag(here: _Standing, flagged: bool) -> None:
    if here.row is not None:
        here.row.flagged = flagged
    else:
        here.flag = flagged


def _is_later(updated_at: datetime | None, here: _Standing) -> bool:
    """Whether the source said the same again after what we could not take, rather than a file being read again."""
    held = here.current.source_updated_at if here.current else None
    return updated_at is None or held is None or updated_at > held


def _touch(here: _Standing, updated_at: datetime | None) -> None:
    """Remember that the source said the same again later, so that what it said before stays outdated."""
    if updated_at is None or here.current is None:
        return
    here.current = replace(here.current, source_updated_at=updated_at)
    here.touched_at = updated_at
    if here.row is not None:
        here.row.record = replace(here.row.record, updated_at=updated_at)


def _retire(session: Session, plan: _Plan, now: datetime) -> None:
    kept = {one.report_id: one for one in plan.standing.values() if one.report_id is not None}
    changes: list[tuple[dict[str, Any], list[int]]] = [
        ({"is_current": False}, plan.superseded),
        ({"withdrawn_at": now}, [key for key, one in kept.items() if one.withdraw]),
        ({"flagged_at": now}, [key for key, one in kept.items() if one.flag]),
        ({"flagged_at": None}, [key for key, one in kept.items() if one.flag is False]),
    ]
    for values, report_ids in changes:
        if report_ids:
            session.execute(update(Report).where(Report.id.in_(report_ids)).values(**values))
    touched = [
        {"id": key, "source_updated_at": one.touched_at}
        for key, one in kept.items()
        if one.touched_at is not None and one.row is None
    ]
    if touched:
        session.execute(update(Report), touched)


COLUMNS = (
    "site", "source_system", "source_id", "version", "is_current", "withdrawn_at", "flagged_at", "accession",
    "patient", "study_at", "issued_at", "source_updated_at", "code", "modality", "language", "text",
    "content_hash", "feed", "received_at",
)  # fmt: skip


def _insert_versions(
    session: Session, feed: Feed, rows: Sequence[_NewVersion], now: datetime
) -> tuple[list[int], list[int]]:
    """Write new versions by COPY; the ids of those to be labelled, and of those withdrawn in the same chunk."""
    if not rows:
        return [], []
    stored = insert_by_copy(
        session,
        "report",
        COLUMNS,
        (_values(feed, row, now) for row in rows),
        returning="id, is_current, withdrawn_at IS NOT NULL AS withdrawn",
    )
    current = [row for row in stored if row.is_current]
    return [row.id for row in current if not row.withdrawn], [row.id for row in current if row.withdrawn]


def _values(feed: Feed, row: _NewVersion, now: datetime) -> tuple[Any, ...]:
    record = row.record
    return (
        feed.site,
        feed.source_system,
        record.source_id,
        row.version,
        row.is_current,
        now if row.withdrawn else None,
        now if row.flagged else None,
        record.accession,
        record.patient,
        record.study_at,
        record.issued_at,
        record.updated_at,
        record.code,
        record.modality,
        language(record.text or ""),
        record.text,
        row.content_hash,
        feed.name,
        now,
    )


def _quarantine(session: Session, feed: Feed, plan: _Plan) -> None:
    if not plan.quarantined:
        return
    rows = [
        {
            "feed": feed.name,
            "place": place,
            "reason": reason,
            "source_id": source_id,
            "record_hash": hashlib.sha256(f"{place}\x1f{source_id}\x1f{updated_at}".encode()).hexdigest(),
        }
        for place, reason, source_id, updated_at in plan.quarantined
    ]
    session.execute(insert(Quarantine).on_conflict_do_nothing(), rows)


def _count_skipped(session: Session, feed: Feed, skipped: Counter[str]) -> None:
    for reason, records in skipped.items():
        adding = insert(SkippedCount).values(feed=feed.name, reason=reason, records=records)
        session.execute(
            adding.on_conflict_do_update(
                index_elements=["feed", "reason"],
                set_={"records": SkippedCount.records + adding.excluded.records},
            )
        )
