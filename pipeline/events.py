"""Facts and what they cause: publishing a fact stores it and its jobs in the caller's transaction."""

from dataclasses import asdict, dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from pipeline import jobs, labelling
from pipeline.names import EventKind, JobKind
from pipeline.tables import Event


@dataclass(frozen=True)
class ReportsReceived:
    """New report versions were stored."""

    kind: ClassVar[EventKind] = EventKind.REPORTS_RECEIVED
    feed: str
    report_ids: tuple[int, ...]


@dataclass(frozen=True)
class ReportsWithdrawn:
    """The source declared reports entered in error, or deleted them."""

    kind: ClassVar[EventKind] = EventKind.REPORTS_WITHDRAWN
    feed: str
    report_ids: tuple[int, ...]


@dataclass(frozen=True)
class ReportsLabelled:
    """A model's labels and heatmaps of report versions were written."""

    kind: ClassVar[EventKind] = EventKind.REPORTS_LABELLED
    job_id: int
    model_version_id: int
    report_ids: tuple[int, ...]


@dataclass(frozen=True)
class RecordReleased:
    """Somebody let a quarantined record in, for these kinds of identifying data.

    `report_id` is the report version that it is now, if any.
    """

    kind: ClassVar[EventKind] = EventKind.RECORD_RELEASED
    quarantine_id: int
    feed: str
    by: str
    note: str
    kinds: tuple[str, ...]
    outcome: str
    report_id: int | None


@dataclass(frozen=True)
class ModelPromoted:
    """A model version began to serve."""

    kind: ClassVar[EventKind] = EventKind.MODEL_PROMOTED
    model_version_id: int
    former_model_version_id: int | None
    by: str
    note: str | None


@dataclass(frozen=True)
class ModelWithdrawn:
    """A rollback took model versions out of production; an older one serves again."""

    kind: ClassVar[EventKind] = EventKind.MODEL_WITHDRAWN
    model_version_ids: tuple[int, ...]
    serving_model_version_id: int
    by: str
    note: str | None


@dataclass(frozen=True)
class DeadLetterRetried:
    """Somebody gave dead-lettered jobs fresh attempts."""

    kind: ClassVar[EventKind] = EventKind.DEAD_LETTER_RETRIED
    job_ids: tuple[int, ...]
    by: str
    note: str | None


@dataclass(frozen=True)
class DeadLetterDropped:
    """Somebody decided that dead-lettered jobs are not to be done."""

    kind: ClassVar[EventKind] = EventKind.DEAD_LETTER_DROPPED
    job_ids: tuple[int, ...]
    by: str
    note: str | None


@dataclass(frozen=True)
class SchedulePaused:
    """Somebody paused a schedule; `*` is all of them."""

    kind: ClassVar[EventKind] = EventKind.SCHEDULE_PAUSED
    schedule: str
    by: str
    note: str | None


@dataclass(frozen=True)
class ScheduleResumed:
    """Somebody let a schedule run again."""

    kind: ClassVar[EventKind] = EventKind.SCHEDULE_RESUMED
    schedule: str
    by: str


@dataclass(frozen=True)
class RefreshDue:
    """The language model is to learn from the new reports: for the reason given, or because somebody asked."""

    kind: ClassVar[EventKind] = EventKind.REFRESH_DUE
    refresh_run_id: int
    reason: str
    by: str


@dataclass(frozen=True)
class RefreshFinished:
    """A refresh came to its end: `state` says which, `reasons` why. Its model version is None if it made none."""

    kind: ClassVar[EventKind] = EventKind.REFRESH_FINISHED
    refresh_run_id: int
    state: str
    model_version_id: int | None
    former_model_version_id: int | None
    reasons: tuple[str, ...]
    by: str


Fact = (
    SchedulePaused
    | ScheduleResumed
    | ReportsReceived
    | ReportsWithdrawn
    | ReportsLabelled
    | RecordReleased
    | ModelPromoted
    | ModelWithdrawn
    | DeadLetterRetried
    | DeadLetterDropped
    | RefreshDue
    | RefreshFinished
)

# Which work a fact causes. What a fact does not cause here, nobody has to look for elsewhere.
CAUSES: dict[EventKind, JobKind] = {
    EventKind.REPORTS_RECEIVED: JobKind.LABEL,
    EventKind.MODEL_PROMOTED: JobKind.LABEL,
    EventKind.MODEL_WITHDRAWN: JobKind.LABEL,
    EventKind.REFRESH_DUE: JobKind.REFRESH,
}


def publish(session: Session, fact: Fact, *, rules: labelling.LabelRules) -> None:
    """Store a fact and the jobs it causes, in the caller's transaction: both happen or neither does."""
    session.add(Event(kind=fact.kind, payload=asdict(fact)))
    causes = CAUSES.get(fact.kind)
    if causes is JobKind.REFRESH:
        jobs.enqueue(session, JobKind.REFRESH, key=JobKind.REFRESH, max_attempts=rules.attempts)
    elif causes is JobKind.LABEL and isinstance(fact, ReportsReceived):
        labelling.enqueue(session, fact.report_ids, rules=rules)
    elif causes is JobKind.LABEL:
        labelling.reconcile(session, rules=rules)
        jobs.wake(session, JobKind.LABEL)
