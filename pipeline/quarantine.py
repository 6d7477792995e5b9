"""The quarantine's life: looked through, looked into, and released by somebody who says why.

A row keeps place, kind and reason of what was not taken in; the text stays at its source. Who looks into a
record, or releases it, has its place read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, any_, func, literal, or_, select, update
from sqlalchemy.orm import Session

from pipeline import events, feeds, pulls, reports
from pipeline.errors import NightreadError
from pipeline.events import RecordReleased
from pipeline.feeds.record import Item, Record, Skipped, Unreadable
from pipeline.intake import STORED, Decision, Outcome
from pipeline.labelling import JobSizes
from pipeline.settings import Settings
from pipeline.tables import Feed, Quarantine, Report


class UnknownRecord(NightreadError):
    """No record of this number was ever quarantined."""


class NotReleased(NightreadError):
    """A record stays in quarantine; the message says why, and what would let it out."""


@dataclass(frozen=True)
class Quarantined:
    """A record that was not taken in, and who released it, if somebody did."""

    id: int
    feed: str
    place: str
    reason: str
    kinds: tuple[str, ...]
    source_id: str | None
    quarantined_at: datetime
    released_at: datetime | None
    released_by: str | None
    release_note: str | None
    release_outcome: str | None
    released_report_id: int | None

    @classmethod
    def of(cls, row: Quarantine) -> "Quarantined":
        return cls(
            id=row.id,
            feed=row.feed,
            place=row.place,
            reason=row.reason,
            kinds=tuple(row.kinds),
            source_id=row.source_id,
            quarantined_at=row.quarantined_at,
            released_at=row.released_at,
            released_by=row.released_by,
            release_note=row.release_note,
            release_outcome=row.release_outcome,
            released_report_id=row.released_report_id,
        )


@dataclass(frozen=True)
class HeldVersion:
    """A version that we hold of a quarantined record's report; `flagged` if it may be out of date."""

    report_id: int
    version: int
    received_at: datetime
    current: bool
    withdrawn: bool
    flagged: bool


def listed(
    session: Session, *, feed: str | None = None, reason: str | None = None, released: bool = False
) -> list[Quarantined]:
    """What is in quarantine, oldest first: of one feed, for one reason or kind; with `released`, what was, too."""
    wanted = select(Quarantine).order_by(Quarantine.id)
    if feed is not None:
        wanted = wanted.where(Quarantine.feed == feed)
    if reason is not None:
        wanted = wanted.where(or_(Quarantine.reason == reason, literal(reason) == any_(Quarantine.kinds)))
    if not released:
        wanted = wanted.where(Quarantine.released_at.is_(None))
    return [Quarantined.of(row) for row in session.scalars(wanted)]


def found(session: Session, quarantine_id: int) -> Quarantined:
    """One record. Raises `UnknownRecord`."""
    return Quarantined.of(_row(session, quarantine_id))


def history(session: Session, record: Quarantined) -> list[Quarantined]:
    """What else was quarantined of the same report, oldest first; nothing where the report's id is not known."""
    rows = session.scalars(
        _of_same_report(session.get_one(Feed, record.feed), record.source_id)
        .where(Quarantine.id != record.id)
        .order_by(Quarantine.id)
    )
    return [Quarantined.of(row) for row in rows]


def versions(session: Session, record: Quarantined) -> list[HeldVersion]:
    """What we hold of the same report, oldest first."""
    feed = session.get_one(Feed, record.feed)
    rows = session.execute(
        select(
            Report.id,
            Report.version,
            Report.received_at,
            Report.is_current,
            Report.withdrawn_at.is_not(None),
            Report.flagged_at.is_not(None),
        )
        .where(
            Report.site == feed.site,
            Report.source_system == feed.source_system,
            Report.source_id == record.source_id,
        )
        .order_by(Report.version)
    )
    return [HeldVersion(*row) for row in rows]


def read_again(settings: Settings, record: Quarantined) -> Item:
    """What lies now at a record's place.

    Raises `UnknownFeed` if the settings no longer name its feed, `PlaceGone` if the place is no more, and
    `FeedFolderMissing`.
    """
    feed = pulls.named(settings, record.feed)
    reader = feeds.reader(feed, {}, max_text_bytes=settings.max_report_bytes, zone=feed.zone(settings.zone))
    return reader.again(record.place)


def release(
    session: Session,
    quarantine_id: int,
    item: Item,
    *,
    by: str,
    note: str,
    record_numbers: Sequence[str],
    sizes: JobSizes,
) -> RecordReleased:
    """Take a record in from `item`, which is its place read again just now; the fact of it, already published.

    The guard waives the kinds that the record was quarantined for, and no others. Apart from that it is stored
    as any record is: an amendment amends, and what is older than what we hold by now, or was withdrawn
    meanwhile, is outdated. Raises `UnknownRecord`, and `NotReleased` if it is released already, cannot be read,
    is another record by now or holds other kinds.
    """
    row = _row(session, quarantine_id)
    feed = session.get_one(Feed, row.feed)
    reports.lock(session, feed)  # before the row, as a pull does
    session.refresh(row, with_for_update=True)
    if row.released_at is not None:
        raise NotReleased(
            f"record {row.id} was released by {row.released_by} already ({row.release_outcome}); "
            f"see `nightread quarantine show {row.id}`"
        )
    record = _same(row, item)
    if _withdrawn_since(session, feed, row):
        decision, report_id = Decision(Outcome.OUTDATED), None
    else:
        decision, report_id = reports.store_released(
            session, feed, record, waived=row.kinds, record_numbers=record_numbers, sizes=sizes
        )
    if decision.outcome is Outcome.QUARANTINED:
        raise NotReleased(
            f"record {row.id} holds identifying data that it was not quarantined for: {', '.join(decision.kinds)}; "
            "have it removed at the source, or touch the file: the next pull reads it again and then names these too"
        )
    if decision.outcome in STORED and _amendment_waits(session, feed, row):
        session.execute(update(Report).where(Report.id == report_id).values(flagged_at=func.now()))
    row.released_at = func.now()
    row.released_by, row.release_note = by, note
    row.release_outcome, row.released_report_id = decision.outcome, report_id
    fact = RecordReleased(row.id, feed.name, by, decision.outcome, report_id)
    events.publish(session, fact, sizes=sizes)
    return fact


def _row(session: Session, quarantine_id: int) -> Quarantine:
    row = session.get(Quarantine, quarantine_id)
    if row is None:
        raise UnknownRecord(
            f"no record {quarantine_id} was ever quarantined; `nightread quarantine list --all` shows all that were"
        )
    return row


def _same(row: Quarantine, item: Item) -> Record:
    """The record of a row, read again. Raises `NotReleased` if `item` is none or another one."""
    match item:
        case Unreadable():
            raise NotReleased(
                f"record {row.id} cannot be read at {row.place} ({item.reason}); mend it at the source: "
                "the next pull reads a changed file again"
            )
        case Skipped():
            raise NotReleased(
                f"record {row.id} is not wanted any more ({item.reason}); the settings of feed {row.feed} say what is"
            )
    if reports.record_hash(item) != row.record_hash:
        raise NotReleased(
            f"record {row.id} is no longer at {row.place}: another one has its place, or another version of it; "
            "nothing is lost, for the next pull reads a changed file again"
        )
    return item


def _of_same_report(feed: Feed, source_id: str | None) -> Select[Quarantine]:
    return (
        select(Quarantine)
        .join(Feed, Feed.name == Quarantine.feed)
        .where(
            Feed.site == feed.site,
            Feed.source_system == feed.source_system,
            Quarantine.source_id == source_id,
        )
    )


def _withdrawn_since(session: Session, feed: Feed, row: Quarantine) -> bool:
    """Whether the source withdrew the report after this record was quarantined.

    By when we read it, since deletions often name no time: a release must never bring back what was deleted.
    """
    withdrawn = select(Report.id).where(
        Report.site == feed.site,
        Report.source_system == feed.source_system,
        Report.source_id == row.source_id,
        Report.is_current,
        Report.withdrawn_at >= row.quarantined_at,
    )
    return bool(session.scalar(select(withdrawn.exists())))


def _amendment_waits(session: Session, feed: Feed, row: Quarantine) -> bool:
    """Whether something that was read after this record, of the same report, is still in quarantine."""
    later = _of_same_report(feed, row.source_id).where(Quarantine.id > row.id, Quarantine.released_at.is_(None))
    return bool(session.scalar(select(later.exists())))
