"""What a pull would do now, without doing it: the same reader and the same decision, and nothing is written."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import text

from pipeline import reports
from pipeline.chunk_plan import Plan, take
from pipeline.database import Sessions
from pipeline.feeds.record import Item, Reader, Record, Skipped
from pipeline.intake import Decision, Outcome
from pipeline.settings import FeedSettings

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


def dry_run(sessions: Sessions, feed: FeedSettings, reader: Reader, *, first: int, limit: int) -> DryRun:
    """Go through up to `limit` records; the `first` that would be taken, and as many places of each reason, are kept.

    Several versions of one report are judged one after the other, as a pull does.
    """
    run = DryRun()
    plan = Plan({})
    items = iter(reader)
    while run.read < limit and (chunk := list(islice(items, min(CHUNK, limit - run.read)))):
        unmet = [item for item in chunk if not isinstance(item, Skipped) and item.source_id not in plan.standing]
        with sessions.begin() as session:
            session.execute(text("SET TRANSACTION READ ONLY"))
            plan.standing |= reports.standing(session, feed, unmet, lock=False)
        for item in chunk:
            decision = take(plan, item, record_numbers=feed.record_numbers)
            run.read += 1
            if decision.outcome in {Outcome.SKIPPED, Outcome.QUARANTINED}:
                _note(run, item, decision, first)
            elif isinstance(item, Record) and len(run.records) < first:
                run.records.append(Intended(item, decision.outcome))
    run.outcomes = plan.outcomes
    run.more = next(items, None) is not None
    return run


def _note(run: DryRun, item: Item, decision: Decision, places: int) -> None:
    reason = ": ".join([decision.reason or "", ", ".join(decision.kinds)]).removesuffix(": ")
    noted = run.not_taken.setdefault((decision.outcome, reason), NotTaken(decision.outcome, reason))
    noted.records += 1
    if len(noted.places) < places:
        noted.places.append(item.place)
