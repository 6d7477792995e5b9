"""Storing reports: a chunk of a feed, its cursor, the events and their jobs, in one transaction."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import events, identifying, intake
from pipeline.database import insert_by_copy
from pipeline.feeds.record import Item, Record, Skipped, Unreadable
from pipeline.identifying import Identifier
from pipeline.intake import Current, Decision, Outcome
from pipeline.labelling import JobSizes
from pipeline.language import language
from pipeline.tables import Feed, Quarantine, Report, SkippedCount


@dataclass
class _Standing:
    """A report as it stands while its chunk is gone through; `row` is its new version, if it gets one."""

    current: Current | None = None
    in_quarantine: bool = False
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


@dataclass(frozen=True)
class _SetAside:
    item: Record | Unreadable
    reason: str
    kinds: tuple[str, ...] = ()


@dataclass
class _Plan:
    """What a chunk comes to, before anything is written."""

    standing: dict[str, _Standing]
    rows: list[_NewVersion] = field(default_factory=list)
    superseded: list[int] = field(default_factory=list)
    quarantined: list[_SetAside] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)


def store(
    session: Session,
    feed: Feed,
    items: Sequence[Item],
    *,
    cursor: dict[str, Any],
    sizes: JobSizes,
    job_id: int | None = None,
    record_numbers: Sequence[str] = (),
) -> Counter[str]:
    """Store a chunk and move the feed's cursor behind it; how many records had which outcome.

    `job_id` is the pull that brought it; `record_numbers` are the patterns of the hospital's own record numbers.
    """
    lock(session, feed)
    plan = _plan(items, _standing(session, feed, items), record_numbers=record_numbers)
    _write(session, feed, plan, sizes=sizes, job_id=job_id)
    feed.cursor, feed.updated_at = cursor, func.now()
    return plan.outcomes


def store_released(
    session: Session,
    feed: Feed,
    record: Record,
    *,
    waived: Collection[str],
    record_numbers: Sequence[str],
    sizes: JobSizes,
) -> tuple[Decision, int | None]:
    """Store one record, which was quarantined, as a pull would, but for the kinds of identifying data `waived`.

    The decision, and the report version that says what the record says, if one does. A record with other kinds
    is `QUARANTINED` still: nothing is written then.
    """
    lock(session, feed)
    plan = _plan([record], _standing(session, feed, [record]), record_numbers=record_numbers, waived=waived)
    (outcome,) = map(Outcome, plan.outcomes)
    if plan.quarantined:
        return Decision(outcome, plan.quarantined[0].reason, plan.quarantined[0].kinds), None
    stored = _write(session, feed, plan, sizes=sizes)
    if outcome is Outcome.UNCHANGED:
        return Decision(outcome), plan.standing[record.source_id].report_id
    return Decision(outcome), stored[0] if outcome in intake.STORED else None


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


def _write(session: Session, feed: Feed, plan: _Plan, *, sizes: JobSizes, job_id: int | None = None) -> Sequence[int]:
    """Write what a chunk came to, with its facts and their jobs; the report versions to be labelled."""
    now = session.scalars(select(func.now())).one()  # one clock for all machines, the quarantine's too
    _retire(session, plan, now)
    received, gone_already = _insert_versions(session, feed, plan.rows, now, job_id)
    _quarantine(session, feed, plan.quarantined)
    _count_skipped(session, feed, plan.skipped)
    withdrawn = [one.report_id for one in plan.standing.values() if one.withdraw and one.report_id is not None]
    withdrawn += gone_already
    if received:
        events.publish(session, events.ReportsReceived(feed.name, tuple(received)), sizes=sizes)
    if withdrawn:
        events.publish(session, events.ReportsWithdrawn(feed.name, tuple(withdrawn)), sizes=sizes)
    return received


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
    _note_quarantined(session, feed, items, standing)
    return standing


def _note_quarantined(session: Session, feed: Feed, items: Iterable[Item], standing: dict[str, _Standing]) -> None:
    """Note which reports that are withdrawn now, and that we do not hold, have records in quarantine."""
    gone = {item.source_id for item in items if isinstance(item, Record) and item.withdrawn}
    unknown = {source_id: standing[source_id] for source_id in gone if standing[source_id].current is None}
    if not unknown:
        return
    held_back = set(
        session.scalars(
            select(Quarantine.source_id)
            .join(Feed, Feed.name == Quarantine.feed)
            .where(
                Feed.site == feed.site,
                Feed.source_system == feed.source_system,
                Quarantine.source_id.in_(unknown),
                Quarantine.released_at.is_(None),
            )
        )
    )
    for source_id, here in unknown.items():
        here.in_quarantine = source_id in held_back


def _plan(
    items: Sequence[Item],
    standing: dict[str, _Standing],
    *,
    record_numbers: Sequence[str],
    waived: Collection[str] = (),
) -> _Plan:
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
                here = standing[item.source_id]
                decision = intake.decide(
                    item,
                    new_hash=new_hash,
                    current=here.current,
                    identifiers=_identifiers(item, record_numbers, waived),
                    in_quarantine=here.in_quarantine,
                )
                _apply(plan, item, decision, new_hash)
    return plan


def _identifiers(record: Record, record_numbers: Sequence[str], waived: Collection[str]) -> tuple[Identifier, ...]:
    if record.text is None:
        return ()
    found = identifying.kinds_in_record(
        text=record.text, patient=record.patient, accession=record.accession, record_numbers=record_numbers
    )
    return tuple(kind for kind in found if kind not in waived)


def _apply(plan: _Plan, record: Record, decision: Decision, new_hash: str) -> None:
    here = plan.standing[record.source_id]
    match decision.outcome:
        case Outcome.QUARANTINED:
            _set_aside(plan, record, decision.reason or "", decision.kinds)
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


def _set_aside(plan: _Plan, item: Record | Unreadable, reason: str, kinds: tuple[str, ...] = ()) -> None:
    plan.quarantined.append(_SetAside(item, reason, kinds))
    plan.outcomes[Outcome.QUARANTINED] += 1
    here = plan.standing.get(item.source_id) if item.source_id is not None else None
    if here is None:
        return
    here.in_quarantine = True
    if here.current is None:
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
    "content_hash", "feed", "job_id", "received_at",
)  # fmt: skip


def _insert_versions(
    session: Session, feed: Feed, rows: Sequence[_NewVersion], now: datetime, job_id: int | None
) -> tuple[list[int], list[int]]:
    """Write new versions by COPY; the ids of those to be labelled, and of those withdrawn in the same chunk."""
    if not rows:
        return [], []
    stored = insert_by_copy(
        session,
        "report",
        COLUMNS,
        (_values(feed, row, now, job_id) for row in rows),
        returning="id, is_current, withdrawn_at IS NOT NULL AS withdrawn",
    )
    current = [row for row in stored if row.is_current]
    return [row.id for row in current if not row.withdrawn], [row.id for row in current if row.withdrawn]


def _values(feed: Feed, row: _NewVersion, now: datetime, job_id: int | None) -> tuple[Any, ...]:
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


def _quarantine(session: Session, feed: Feed, quarantined: Sequence[_SetAside]) -> None:
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
