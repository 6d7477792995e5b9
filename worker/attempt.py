"""One attempt at a job: its lease is renewed while it lasts, and every way it can end is settled."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from pipeline import jobs
from pipeline.database import DatabaseUnavailable, Sessions
from pipeline.errors import NightreadError
from pipeline.feeds.record import FeedFolderMissing
from pipeline.jobs import Claim, LeaseLost, Terms
from worker.reasons import reason

log = logging.getLogger(__name__)


class EnvironmentFailed(NightreadError):
    """What the work needs is missing for now: a model, a device, a folder. The work itself is not to blame."""


# What is never the work's fault. A full disk and an unmounted share come as OSError.
ENVIRONMENT = (EnvironmentFailed, FeedFolderMissing, DatabaseUnavailable, OSError, MemoryError)


@contextmanager
def attempt(sessions: Sessions, held: Claim, terms: Terms) -> Iterator[None]:
    """Run the body as an attempt at `held`; the body finishes the job itself, with its last write.

    An environment that failed gives the attempt back, failed work counts it, a lost lease writes nothing.
    """
    try:
        with _renewed(sessions, held, terms):
            yield
    except LeaseLost as lost:
        log.warning("%s", lost)
    except ENVIRONMENT as error:
        log.warning("job %d (%s) waits: %s", held.id, held.kind, reason(error))
        _settle(sessions, held, terms, error, environment=True)
    except Exception as error:  # noqa: BLE001 - whatever a report makes the work do, it ends here as a row
        log.warning("job %d (%s) failed: %s", held.id, held.kind, reason(error))
        _settle(sessions, held, terms, error, environment=False)


def while_database_is_away(terms: Terms) -> Retrying:
    """Try a transaction again for the length of a lease: a restarted Postgres must not cost the work done."""
    return Retrying(
        retry=retry_if_exception_type(DatabaseUnavailable),
        wait=wait_exponential(multiplier=0.2, max=5),
        stop=stop_after_delay(terms.lease),
        reraise=True,
    )


def _settle(sessions: Sessions, held: Claim, terms: Terms, error: BaseException, *, environment: bool) -> None:
    try:
        for turn in while_database_is_away(terms):
            with turn, sessions.begin() as session:
                if environment:
                    jobs.give_back(session, held, reason(error), terms)
                else:
                    jobs.fail(session, held, reason(error))
    except LeaseLost as lost:
        log.warning("%s", lost)


@contextmanager
def _renewed(sessions: Sessions, held: Claim, terms: Terms) -> Iterator[None]:
    """Renew the lease from a thread, six times within its length, until the body ends."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(terms.lease.total_seconds() / 6):
            try:
                with sessions.begin() as session:
                    jobs.renew(session, held, terms)
            except DatabaseUnavailable as away:
                log.warning("the lease of job %d could not be renewed yet: %s", held.id, away)
            except LeaseLost:
                return  # the body finds out at its next write

    thread = threading.Thread(target=renew, name=f"lease-{held.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
