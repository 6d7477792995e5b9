"""Storing reports: a chunk of a feed, its cursor, the events and their jobs, in one transaction."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import database, events, intake, replay
from pipeline.chunk_plan import NewReportVersion, Plan, SetAside, Standing, take
from pipeline.feeds.record import Item, Record, Skipped, Unreadable
from pipeline.intake import Current, Decision, Outcome
from pipeline.labelling import LabelRules
from pipeline.language import language
from pipeline.settings import FeedSettings
from pipeline.tables import Feed, Quarantine, Report, SkippedCount


def store(
    session: Session,
    feed: Feed,
    items: Sequence[Item],
    *,
    cursor: dict[str, Any],
    rules: LabelRules,
    job_id: int | None = None,
    record_numbers: Sequence[str] = (),
) -> Counter[str]:
    """Store a chunk and move the feed's cursor behind it; how many records had which outcome.

    `job_id` is the pull that brought it; `record_numbers` are the patterns of the hospital's own record numbers.
    """
    lock(session, feed)
    plan = Plan(standing(session, feed, items, lock=True))
    for item in items:
        take(plan, item, record_numbers=record_numbers)
    _write(session, feed, plan, rules=rules, job_id=job_id)
    feed.cursor, feed.updated_at = cursor, func.now()
    return plan.outcomes


def store_released(
    session: Session,
    feed: Feed,
    record: Record,
    *,
    waived: Collection[str],
    record_numbers: Sequence[str],
    rules: LabelRules,
) -> tuple[Decision, int | None]:
    """Store one record, which was quarantined, as a pull would, but for the kinds of identifying data `waived`.

    The decision, and the report version that says what the record says, if one does. A record with other kinds
    is `QUARANTINED` still: nothing is written then.
    """
    lock(session, feed)
    plan = Plan(standing(session, feed, [record], lock=True))
    decision = take(plan, record, record_numbers=record_numbers, waived=waived)
    if decision.outcome is Outcome.QUARANTINED:
        return decision, None
    stored = _write(session, feed, plan, rules=rules)
    if decision.outcome is Outcome.UNCHANGED:
        return decision, plan.standing[record.source_id].report_id
    return decision, stored[0] if decision.outcome in intake.STORED else None


def lock(session: Session, feed: Feed) -> None:
    """Wait for whoever stores reports of this source, and let nobody store any until the caller commits.

    Two feeds may hold the same report: one waits for the other rather than fail on a conflict.
    """
    session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"{feed.site}\x1f{feed.source_system}", 0)))
    )


def record_hash(item: Record | Unreadable) -> str:
    """SHA-256, in hex, of what tells a quarantined record from others: place, id and time."""
    return hashlib.sha256(f"{item.place}\x1f{item.source_id}\x1f{item.updated_at}".encode()).hexdigest()


def _write(session: Session, feed: Feed, plan: Plan, *, rules: LabelRules, job_id: int | None = None) -> Sequence[int]:
    """Write what a chunk came to, with its facts and their jobs; the report versions to be labelled."""
    now = session.scalars(select(func.now())).one()  # one clock for all machines, the quarantine's too
    _retire(session, plan, now)
    received, gone_already = _insert_versions(session, feed, plan.rows, now, job_id)
    _quarantine(session, feed, plan.quarantined)
    _count_skipped(session, feed, plan.skipped)
    withdrawn = [one.report_id for one in plan.standing.values() if one.withdraw and one.report_id is not None]
    withdrawn += gone_already
    replay.leave(session, [*plan.superseded, *withdrawn])
    if received:
        events.publish(session, events.ReportsReceived(feed.name, tuple(received)), rules=rules)
    if withdrawn:
        events.publish(session, events.ReportsWithdrawn(feed.name, tuple(withdrawn)), rules=rules)
    return received


def standing(
    session: Session, source: Feed | FeedSettings, items: Iterable[Item], *, lock: bool
) -> dict[str, Standing]:
    """What we hold of the reports that `items` name, by source id; locked until the caller commits, if asked."""
    ids = {item.source_id for item in items if not isinstance(item, Skipped) and item.source_id is not None}
    held = (
        select(
            Report.id,
            Report.source_id,
            Report.version,
            Report.content_hash,
            Report.source_updated_at,
            Report.withdrawn_at.is_not(None).label("withdrawn"),
        )
        .where(
            Report.site == source.site,
            Report.source_system == source.source_system,
            Report.source_id.in_(ids),
            Report.is_current,
        )
        .order_by(Report.id)  # everyone locks reports in this order
    )
    found = {source_id: Standing() for source_id in ids}
    for row in session.execute(held.with_for_update() if lock else held):
        current = Current(row.version, row.content_hash, row.source_updated_at, row.withdrawn)
        found[row.source_id] = Standing(current=current, report_id=row.id)
    _note_quarantined(session, source, items, found)
    return found


def _note_quarantined(
    session: Session, source: Feed | FeedSettings, items: Iterable[Item], found: dict[str, Standing]
) -> None:
    """Note which reports that are withdrawn now, and that we do not hold, have records in quarantine."""
    gone = {item.source_id for item in items if isinstance(item, Record) and item.withdrawn}
    unknown = {source_id: found[source_id] for source_id in gone if found[source_id].current is None}
    if not unknown:
        return
    held_back = set(
        session.scalars(
            select(Quarantine.source_id)
            .join(Feed, Feed.name == Quarantine.feed)
            .where(
                Feed.site == source.site,
                Feed.source_system == source.source_system,
                Quarantine.source_id.in_(unknown),
                Quarantine.released_at.is_(None),
            )
        )
    )
    for source_id, here in unknown.items():
        here.in_quarantine = source_id in held_back


def _retire(session: Session, plan: Plan, now: datetime) -> None:
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
    "content_hash", "feed", "job_id", "received_at",
)  # fmt: skip


def _insert_versions(
    session: Session, feed: Feed, rows: Sequence[NewReportVersion], now: datetime, job_id: int | None
) -> tuple[list[int], list[int]]:
    """Write new versions by COPY; the ids of those to be labelled, and of those withdrawn in the same chunk."""
    if not rows:
        return [], []
    database.copy_rows(session, "report", COLUMNS, (_values(feed, row, now, job_id) for row in rows))
    # Their ids, which COPY does not give back: what was current before is superseded by now.
    stored = session.execute(
        select(Report.id, Report.withdrawn_at.is_not(None).label("withdrawn"))
        .where(
            Report.site == feed.site,
            Report.source_system == feed.source_system,
            Report.source_id.in_([row.record.source_id for row in rows if row.is_current]),
            Report.is_current,
        )
        .order_by(Report.id)
    ).all()
    return [row.id for row in stored if not row.withdrawn], [row.id for row in stored if row.withdrawn]


def _values(feed: Feed, row: NewReportVersion, now: datetime, job_id: int | None) -> tuple[Any, ...]:
    record = row.record
    return (
        feed.site,
        feed.source_system,
        record.source_id,
        row.version,
        row.is_current,
        now if row.withdrawn else None,
        now if row.flagged else None,
        # The guard does not look at withdrawals, so of one that we never had nothing is kept that could name a person.
        None if record.text is None else record.accession,
        None if record.text is None else record.patient,
        record.study_at,
        record.issued_at,
        record.updated_at,
        record.code,
        record.modality,
        language(record.text or ""),
        record.text,
        row.content_hash,
        feed.name,
        job_id,
        now,
    )


def _quarantine(session: Session, feed: Feed, quarantined: Sequence[SetAside]) -> None:
    """One row per record and reason, however often it is read; a released one that is held back anew is open again."""
    rows = {
        (one.reason, record_hash(one.item)): {
            "feed": feed.name,
            "place": one.item.place,
            "reason": one.reason,
            "kinds": list(one.kinds),
            "source_id": one.item.source_id,
            "record_hash": record_hash(one.item),
        }
        for one in quarantined
    }
    if not rows:
        return
    adding = insert(Quarantine)
    released = Quarantine.released_at.is_not(None)
    session.execute(
        adding.on_conflict_do_update(
            constraint="uq_quarantine_feed_place_reason_record_hash",
            set_={
                "kinds": adding.excluded.kinds,  # as the guard sees it now: this is what a release waives
                "quarantined_at": case((released, func.now()), else_=Quarantine.quarantined_at),
                "released_at": None,
                "released_by": None,
                "release_note": None,
                "release_outcome": None,
                "released_report_id": None,
            },
            where=or_(released, Quarantine.kinds != adding.excluded.kinds),
        ),
        list(rows.values()),
    )


def _count_skipped(session: Session, feed: Feed, skipped: Counter[str]) -> None:
    for reason, records in skipped.items():
        adding = insert(SkippedCount).values(feed=feed.name, reason=reason, records=records)
        session.execute(
            adding.on_conflict_do_update(
                index_elements=["feed", "reason"],
                set_={"records": SkippedCount.records + adding.excluded.records},
            )
        )
