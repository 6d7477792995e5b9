"""The quarantine's life: looked through, looked into, and released by somebody who says why.

A row keeps place, kind and reason of what was not taken in; the text stays at its source. Who looks into a
record, or releases it, has its place read again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, any_, func, literal, or_, select, text, update
from sqlalchemy.orm import Session

from pipeline import events, feeds, pulls, reports
from pipeline.errors import NightreadError
from pipeline.events import RecordReleased
from pipeline.feeds.record import Item, Reader, Record, Skipped, Unreadable
from pipeline.intake import IDENTIFYING_DATA, STORED, Decision, Outcome
from pipeline.labelling import LabelRules
from pipeline.names import EventKind
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


@dataclass(frozen=True)
class Release:
    """One time that a record was released; of those before note and kinds were kept these are None."""

    at: datetime
    by: str
    note: str | None
    kinds: tuple[str, ...] | None
    outcome: str
    report_id: int | None


@dataclass(frozen=True)
class Chosen:
    """Which records are asked for: of one feed, for one reason or kind; with `released`, what was released too."""

    feed: str | None = None
    reason: str | None = None
    released: bool = False

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.feed is not None:
            found.append(Quarantine.feed == self.feed)
        if self.reason is not None:
            found.append(or_(Quarantine.reason == self.reason, literal(self.reason) == any_(Quarantine.kinds)))
        if not self.released:
            found.append(Quarantine.released_at.is_(None))
        return found


def listed(session: Session, chosen: Chosen, *, limit: int | None = None) -> list[Quarantined]:
    """What is in quarantine, oldest first, and no more than `limit`."""
    wanted = select(Quarantine).where(*chosen.conditions()).order_by(Quarantine.id).limit(limit)
    return [Quarantined.of(row) for row in session.scalars(wanted)]


def counted(session: Session, chosen: Chosen) -> Counter[tuple[str, tuple[str, ...]]]:
    """How many records there are by reason and kinds."""
    of = Quarantine.reason, Quarantine.kinds
    rows = session.execute(
        select(*of, func.count()).where(*chosen.conditions()).group_by(*of).order_by(func.min(Quarantine.id))
    )
    return Counter({(reason, tuple(kinds)): count for reason, kinds, count in rows})


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


def releases(session: Session, record: Quarantined) -> list[Release]:
    """Every release of a record, in order: one that was held back anew keeps only the last in its row."""
    rows = session.execute(
        text(
            "SELECT occurred_at, payload FROM event WHERE kind = :released "
            "AND payload -> 'quarantine_id' = to_jsonb(CAST(:record AS bigint)) ORDER BY id"
        ),
        {"released": EventKind.RECORD_RELEASED, "record": record.id},
    )
    return [
        Release(
            at=row.occurred_at,
            by=row.payload["by"],
            note=row.payload.get("note"),
            kinds=tuple(row.payload["kinds"]) if "kinds" in row.payload else None,
            outcome=row.payload["outcome"],
            report_id=row.payload["report_id"],
        )
        for row in rows
    ]


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


class Places:
    """What lies at the places of records now; a feed's folder is looked through once, however many are read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._readers: dict[str, Reader] = {}

    def read_again(self, record: Quarantined) -> Item:
        """What lies now at a record's place.

        Raises `UnknownFeed` if the settings no longer name its feed, `PlaceGone` if the place is no more, and
        `FeedFolderMissing`.
        """
        if record.feed not in self._readers:
            feed, settings = pulls.named(self._settings, record.feed), self._settings
            self._readers[record.feed] = feeds.reader(
                feed, {}, max_text_bytes=settings.max_report_bytes, zone=feed.zone(settings.zone)
            )
        return self._readers[record.feed].again(record.place)


def release(
    session: Session,
    quarantine_id: int,
    item: Item,
    *,
    by: str,
    note: str,
    record_numbers: Sequence[str],
    rules: LabelRules,
) -> RecordReleased:
    """Take a record in from `item`, which is its place read again just now; the fact of it, already published.

    The guard waives the kinds that the record was quarantined for, and no others. Apart from that it is stored
    as any record is: an amendment amends, what is older than what we hold by now, or was withdrawn meanwhile, is
    outdated, and what was mended at its source and pulled since is unchanged. Raises `UnknownRecord`, and
    `NotReleased` if it is released already, cannot be read, is another record by now or holds other kinds.
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
    if _withdrawn_since(session, feed, row, record):
        decision, report_id = Decision(Outcome.OUTDATED), None
    else:
        decision, report_id = reports.store_released(
            session, feed, record, waived=row.kinds, record_numbers=record_numbers, rules=rules
        )
    if decision.outcome is Outcome.QUARANTINED:
        raise NotReleased(
            f"record {row.id} holds identifying data that it was not quarantined for: {', '.join(decision.kinds)}; "
            "have it removed at the source, or touch the file: the next pull reads it again and then names these too"
        )
    if decision.outcome in STORED and _amendment_waits(session, feed, row, record):
        session.execute(update(Report).where(Report.id == report_id).values(flagged_at=func.now()))
    row.released_at = func.now()
    row.released_by, row.release_note = by, note
    row.release_outcome, row.released_report_id = decision.outcome, report_id
    fact = RecordReleased(row.id, feed.name, by, note, tuple(row.kinds), decision.outcome, report_id)
    events.publish(session, fact, rules=rules)
    return fact


def _row(session: Session, quarantine_id: int) -> Quarantine:
    row = session.get(Quarantine, quarantine_id)
    if row is None:
        raise UnknownRecord(
            f"no record {quarantine_id} was ever quarantined; `nightread quarantine list --all` shows all that were"
        )
    return row


def _same(row: Quarantine, item: Item) -> Record:
    """The record of a row, read again. Raises `NotReleased` if `item` is none or another one.

    Who releases identifying data has judged this very record, so it must be that. What could not be read is
    another one once it is mended, often with an id or a time that nobody could read before; its place tells.
    """
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
    if row.reason == IDENTIFYING_DATA:
        same = reports.record_hash(item) == row.record_hash
    else:
        same = item.place == row.place and row.source_id in {None, item.source_id}
    if not same:
        raise NotReleased(
            f"record {row.id} is no longer at {row.place}: another one has its place, or another version of it; "
            "nothing is lost, for pulls read a changed file again"
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


def _withdrawn_since(session: Session, feed: Feed, row: Quarantine, record: Record) -> bool:
    """Whether the source withdrew the report after this record was quarantined.

    By when we read it, since deletions often name no time: a release must never bring back what was deleted.
    """
    withdrawn = select(Report.id).where(
        Report.site == feed.site,
        Report.source_system == feed.source_system,
        Report.source_id == record.source_id,
        Report.is_current,
        Report.withdrawn_at >= row.quarantined_at,
    )
    return bool(session.scalar(select(withdrawn.exists())))


def _amendment_waits(session: Session, feed: Feed, row: Quarantine, record: Record) -> bool:
    """Whether something that was read after this record, of the same report, is still in quarantine."""
    later = _of_same_report(feed, record.source_id).where(Quarantine.id > row.id, Quarantine.released_at.is_(None))
    return bool(session.scalar(select(later.exists())))
