"""What a pull would do now, without doing it: the same reader and the same decision, and nothing is written."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipeline import identifying, intake
from pipeline.database import Sessions
from pipeline.feeds.record import Item, Reader, Record, Skipped, Unreadable
from pipeline.identifying import Identifier
from pipeline.intake import Current, Decision, Outcome
from pipeline.settings import FeedSettings
from pipeline.tables import Feed, Quarantine, Report

CHUNK = 500


@dataclass(frozen=True)
class Intended:
    """A record and what would become of it."""

    record: Record
    outcome: Outcome


@dataclass
class NotTaken:
    """Records that would be skipped or quarantined for one reason: how many, and where the first of them stand."""

    outcome: Outcome
    reason: str
    records: int = 0
    places: list[str] = field(default_factory=list)


@dataclass
class DryRun:
    """What came of it. `more` tells that the feed holds more than was looked at."""

    read: int = 0
    more: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    records: list[Intended] = field(default_factory=list)
    not_taken: dict[tuple[Outcome, str], NotTaken] = field(default_factory=dict)


@dataclass
class _Standing:
    """A report as it would stand by then."""

    current: Current | None = None
    in_quarantine: bool = False


def dry_run(sessions: Sessions, feed: FeedSettings, reader: Reader, *, first: int, limit: int) -> DryRun:
    """Go through up to `limit` records; the `first` that would be taken, and as many places of each reason, are kept.

    Several versions of one report are judged one after the other, as a pull does.
    """
    run = DryRun()
    standing: dict[str, _Standing] = {}
    items = iter(reader)
    while run.read < limit and (chunk := list(islice(items, min(CHUNK, limit - run.read)))):
        with sessions.begin() as session:
            session.execute(text("SET TRANSACTION READ ONLY"))
            _look_up(session, feed, chunk, standing)
        for item in chunk:
            decision = _decide(item, feed, standing)
            run.read += 1
            run.outcomes[decision.outcome] += 1
            if decision.outcome in {Outcome.SKIPPED, Outcome.QUARANTINED}:
                _note(run, item, decision, first)
            elif isinstance(item, Record) and len(run.records) < first:
                run.records.append(Intended(item, decision.outcome))
    run.more = next(items, None) is not None
    return run


def _look_up(session: Session, feed: FeedSettings, chunk: Iterable[Item], standing: dict[str, _Standing]) -> None:
    """Add what the database holds of the reports that were not met before."""
    new = {item.source_id for item in chunk if isinstance(item, Record)} - standing.keys()
    standing |= {source_id: _Standing() for source_id in new}
    rows = session.execute(
        select(
            Report.source_id,
            Report.version,
            Report.content_hash,
            Report.source_updated_at,
            Report.withdrawn_at.is_not(None).label("withdrawn"),
        ).where(
            Report.site == feed.site,
            Report.source_system == feed.source_system,
            Report.source_id.in_(new),
            Report.is_current,
        )
    )
    for row in rows:
        standing[row.source_id].current = Current(row.version, row.content_hash, row.source_updated_at, row.withdrawn)
    held_back = session.scalars(
        select(Quarantine.source_id)
        .join(Feed, Feed.name == Quarantine.feed)
        .where(
            Feed.site == feed.site,
            Feed.source_system == feed.source_system,
            Quarantine.source_id.in_(new),
            Quarantine.released_at.is_(None),
        )
    )
    for source_id in held_back:
        if source_id is not None:
            standing[source_id].in_quarantine = True


def _decide(item: Item, feed: FeedSettings, standing: dict[str, _Standing]) -> Decision:
    match item:
        case Skipped():
            return Decision(Outcome.SKIPPED, item.reason)
        case Unreadable():
            if item.source_id in standing:
                standing[item.source_id].in_quarantine = True
            return Decision(Outcome.QUARANTINED, item.reason)
        case Record():
            here = standing[item.source_id]
            new_hash = intake.content_hash(item)
            decision = intake.decide(
                item,
                new_hash=new_hash,
                current=here.current,
                identifiers=_identifiers(item, feed),
                in_quarantine=here.in_quarantine,
            )
            here.in_quarantine = here.in_quarantine or decision.outcome is Outcome.QUARANTINED
            here.current = _after(here.current, item, decision.outcome, new_hash)
            return decision


def _identifiers(record: Record, feed: FeedSettings) -> tuple[Identifier, ...]:
    if record.text is None:
        return ()
    return identifying.kinds_in_record(
        text=record.text,
        patient=record.patient,
        accession=record.accession,
        record_numbers=feed.record_numbers,
    )


def _after(current: Current | None, record: Record, outcome: Outcome, new_hash: str) -> Current | None:
    """The version that would stand after this outcome."""
    match outcome:
        case Outcome.UNCHANGED | Outcome.WITHDRAWN if current is not None:
            return replace(
                current,
                withdrawn=record.withdrawn or current.withdrawn,
                source_updated_at=record.updated_at or current.source_updated_at,
            )
        case Outcome.NEW | Outcome.AMENDED | Outcome.REINSTATED | Outcome.WITHDRAWN:
            version = current.version + 1 if current else 1
            return Current(version, new_hash, record.updated_at, record.withdrawn)
        case _:
            return current


def _note(run: DryRun, item: Item, decision: Decision, places: int) -> None:
    reason = ": ".join([decision.reason or "", ", ".join(decision.kinds)]).removesuffix(": ")
    noted = run.not_taken.setdefault((decision.outcome, reason), NotTaken(decision.outcome, reason))
    noted.records += 1
    if len(noted.places) < places:
        noted.places.append(item.place)
