"""Names that cross processes, once each: kinds of jobs, feeds and events, tasks, queues, roles, signals, metrics."""

from enum import StrEnum


class JobKind(StrEnum):
    PULL = "pull"
    LABEL = "label"
    DRIFT = "drift"
    REFRESH = "refresh"


class FeedKind(StrEnum):
    """The word that a feed's settings use for its format."""

    FHIR_NDJSON = "fhir-ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class Language(StrEnum):
    """What a text is written in, where it is one language."""

    KOREAN = "ko"
    ENGLISH = "en"


class FailureCause(StrEnum):
    """Why an attempt at a job ended without its work: what the report did, what the machine did, or silence."""

    WORK = "work"
    ENVIRONMENT = "environment"
    SILENCE = "silence"


class Queue(StrEnum):
    """One Celery queue per kind of machine: `intake` needs no torch, `label` and `training` want a GPU."""

    INTAKE = "intake"
    LABEL = "label"
    TRAINING = "training"


class Task(StrEnum):
    """Celery task names. A message carries nothing but this name."""

    PULL = "nightread.pull"
    LABEL = "nightread.label"
    DRIFT = "nightread.drift"
    REFRESH = "nightread.refresh"


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
    REFRESH_DUE = "RefreshDue"
    REFRESH_FINISHED = "RefreshFinished"


class Role(StrEnum):
    """Database roles; each name is also the name of the role in PostgreSQL."""

    OWNER = "nightread_owner"
    APP = "nightread_app"
    ANALYST = "nightread_analyst"
    READER = "nightread_reader"


class Signal(StrEnum):
    """What is measured of a site's new reports every night, to see whether the language model still fits them."""

    UNKNOWN_PIECES = "unknown-pieces"
    FERTILITY = "fertility"
    BITS_PER_BYTE = "bits-per-byte"
    PREVALENCE = "prevalence"
    UNCERTAIN_LABELS = "uncertain-labels"


class Metric(StrEnum):
    """What the gates measure of a model version."""

    MACRO_F1 = "macro-f1"
    PEARSON = "pearson"
    BITS_PER_BYTE = "bits-per-byte"
    CHURN = "churn"


# Which message wakes whom, for who sends it and who takes it; a kind of job without a line here would never run.
ROUTES: dict[JobKind, tuple[Task, Queue]] = {
    JobKind.PULL: (Task.PULL, Queue.INTAKE),
    JobKind.LABEL: (Task.LABEL, Queue.LABEL),
    JobKind.DRIFT: (Task.DRIFT, Queue.TRAINING),
    JobKind.REFRESH: (Task.REFRESH, Queue.TRAINING),
}
