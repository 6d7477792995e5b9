"""The lock between a change of what serves and whatever must not happen in the middle of one.

Whoever promotes or rolls back holds it alone; whoever writes labels, or gives up on a report for good, shares
it. Either these see the change, or the change sees what they wrote and gives it new jobs.
"""

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipeline.tables import ModelVersion

LOCK = 0x70726F6D6F


def hold(session: Session) -> None:
    """Wait until no labels are being written, and let none be until the caller commits."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def keep_out(session: Session) -> None:
    """Let what serves stay the same until the caller commits.

    Take it before anything that refers to a model: a rollback that holds the lock changes the model's row.
    """
    session.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": LOCK})


def serving_id(session: Session) -> int | None:
    """The version that serves: the one in production with the highest rank; None before the first promotion."""
    return session.scalar(
        select(ModelVersion.id)
        .where(ModelVersion.serving_rank.is_not(None))
        .order_by(ModelVersion.serving_rank.desc())
        .limit(1)
    )
