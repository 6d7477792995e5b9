"""Pull: read a feed from where it stood, and store its records chunk by chunk."""

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from pipeline import feeds, jobs, pulls, reports
from pipeline.database import Sessions
from pipeline.feeds.record import Item, Reader
from pipeline.jobs import Claim, Terms
from pipeline.labelling import LabelRules
from pipeline.names import JobKind
from pipeline.settings import Settings
from pipeline.tables import Feed
from worker.attempt import attempt, while_database_is_away

log = logging.getLogger(__name__)


def run_next(sessions: Sessions, settings: Settings, *, worker: str) -> bool:
    """Run the next pull; False if there is none."""
    terms = Terms.of(settings)
    with sessions.begin() as session:
        held = jobs.claim(session, JobKind.PULL, worker=worker, terms=terms)
    if held is None:
        return False
    with attempt(sessions, held, terms):
        _pull(sessions, settings, held, terms)
    return True


def _pull(sessions: Sessions, settings: Settings, held: Claim, terms: Terms) -> None:
    name = held.feed or ""
    feed = pulls.named(settings, name)
    with sessions.begin() as session:
        pulls.register(session, name, feed)
        cursor = session.get_one(Feed, name).cursor
        outcomes: Counter[str] = Counter(jobs.outcome_so_far(session, held))
    reader = feeds.reader(feed, cursor, max_text_bytes=settings.max_report_bytes, zone=feed.zone(settings.zone))
    for chunk in _chunks(reader, settings.pull_chunk):
        stands = reader.cursor()
        for turn in while_database_is_away(terms):
            with turn, sessions.begin() as session:
                stored = reports.store(
                    session,
                    session.get_one(Feed, name),
                    chunk,
                    cursor=stands,
                    rules=LabelRules.of(settings),
                    job_id=held.id,
                    record_numbers=feed.record_numbers,
                )
                # In the same transaction: who lost the lease stores nothing, and a killed pull's counts stay.
                jobs.report_outcome(session, held, dict(outcomes + stored), terms)
        outcomes += stored
        log.info("feed %s: %d records read", name, outcomes.total())
    with sessions.begin() as session:
        jobs.finish(session, held, dict(outcomes))
    log.info("feed %s: %s", name, ", ".join(f"{count} {what}" for what, count in outcomes.items()) or "nothing new")


def _chunks(reader: Reader, size: int) -> Iterator[list[Item]]:
    """Chunks of a feed; the last one may be empty, and moves the cursor to the end."""
    items = iter(reader)
    while True:
        chunk = list(islice(items, size))
        yield chunk
        if len(chunk) < size:
            return
