"""Names that cross processes, once each: job kinds, events, tasks, queues, roles."""

from enum import StrEnum


class JobKind(StrEnum):
    PULL = "pull"
    LABEL = "label"


class FeedKind(StrEnum):
    """The word that a feed's settings use for its format."""

    FHIR_NDJSON = "fhir-ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class FailureCause(StrEnum):
    """Why an attempt at a job ended without its work: what the report did, what the machine did, or silence."""

    WORK = "work"
    ENVIRONMENT = "environment"
    SILENCE = "silence"


class Queue(StrEnum):
    """One Celery queue per kind of machine: `intake` needs no torch, `label` wants a GPU."""

    INTAKE = "intake"
    LABEL = "label"


class Task(StrEnum):
    """Celery task names. A message carries nothing but this name."""

    PULL = "nightread.pull"
    LABEL = "nightread.label"


class EventKind(StrEnum):
    REPORTS_RECEIVED = "ReportsReceived"
    REPORTS_WITHDRAWN = "ReportsWithdrawn"
    REPORTS_LABELLED = "ReportsLabelled"
    MODEL_PROMOTED = "ModelPromoted"
    MODEL_WITHDRAWN = "ModelWithdrawn"
    RECORD_RELEASED = "RecordReleased"
    DEAD_LETTER_RETRIED = "DeadLetterRetried"
    DEAD_LETTER_DROPPED = "DeadLetterDropped"
    SCHEDULE_PAUSED = "SchedulePaused"
    SCHEDULE_RESUMED = "ScheduleResumed"


class Role(StrEnum):
    """Database roles; each name is also the name of the role in PostgreSQL."""

    OWNER = "nightread_owner"
    APP = "nightread_app"
    ANALYST = "nightread_analyst"
    READER = "nightread_reader"
