"""Asking for pulls: the feeds of the settings as rows, and one open pull job per feed."""

from datetime import datetime
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import jobs, schedules
from pipeline.errors import NightreadError
from pipeline.names import JobKind
from pipeline.settings import FILE_NAME, FeedSettings, Settings
from pipeline.tables import Feed, Job, JobState

EXAMPLE = """[feeds.main]
path = "/data/fhir-export"
site = "my-hospital\""""


class UnknownFeed(NightreadError):
    """The settings name no such feed."""


def named(settings: Settings, name: str) -> FeedSettings:
    """A feed's settings. Raises `UnknownFeed` with the feeds there are."""
    if name in settings.feeds:
        return settings.feeds[name]
    known = ", ".join(sorted(settings.feeds)) or "none"
    raise UnknownFeed(f"the settings name no feed {name!r} (known: {known}); {how_to_add(settings.home)}")


def how_to_add(home: Path) -> str:
    return f"add one to {home / FILE_NAME}, for example:\n\n{EXAMPLE}"


def register(session: Session, name: str, feed: FeedSettings) -> None:
    """Make the feed's row say what the settings say; its cursor stays."""
    described = {
        "kind": feed.kind,
        "site": feed.site,
        "source_system": feed.source_system,
        "quiet_nights": feed.quiet_nights,
    }
    session.execute(
        insert(Feed).values(name=name, **described).on_conflict_do_update(index_elements=["name"], set_=described)
    )


def ask(
    session: Session, name: str, feed: FeedSettings, *, attempts: int, scheduled_at: datetime | None = None
) -> int | None:
    """Enqueue a pull, `scheduled_at` if it is a night's; None if one is open already, which will do as well.

    The open one waits no longer, and becomes the night's unless it is an earlier night's already.
    """
    register(session, name, feed)
    key = schedules.pull(name)
    job_id = jobs.enqueue(session, JobKind.PULL, key=key, feed=name, max_attempts=attempts, scheduled_at=scheduled_at)
    if job_id is None:
        jobs.wake(session, JobKind.PULL)  # whoever asks may have mended what it waits for
        if scheduled_at is not None:
            still_open = Job.state.in_([JobState.READY, JobState.RUNNING])
            own = Job.scheduled_at.is_(None)  # what is open since an earlier night stays that night's
            session.execute(update(Job).where(Job.key == key, still_open, own).values(scheduled_at=scheduled_at))
    return job_id
