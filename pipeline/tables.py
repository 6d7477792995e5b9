"""The tables. Comments here become COMMENTs in PostgreSQL, where the data team reads them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pipeline.names import EventKind, FailureCause, JobKind, Metric, Signal


class JobState(StrEnum):
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    DROPPED = "dropped"


class Stage(StrEnum):
    """Where a model version stands. Only `production` versions have a serving rank."""

    CANDIDATE = "candidate"
    PRODUCTION = "production"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"


class Split(StrEnum):
    """What an annotation may be used for: fitting, thresholds, judgement."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    GATE = "gate"


class RefreshState(StrEnum):
    """What a refresh came to. Only one is `open` at a time."""

    OPEN = "open"
    PROMOTED = "promoted"
    INCONCLUSIVE = "inconclusive"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


class RefreshStage(StrEnum):
    """How far a refresh has come, in this order."""

    MIX = "mix"
    PRETRAINING = "pre-training"
    REFIT = "refit"
    EVALUATION = "evaluation"
    PROMOTION = "promotion"


class Part(StrEnum):
    """Why a text is in a training mix."""

    NEW = "new"
    REPLAYED = "replayed"


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's name and shape
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[int]: ARRAY(Integer),
        list[float]: ARRAY(REAL),
        list[str]: ARRAY(Text),
    }


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _identity(comment: str) -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=True), primary_key=True, comment=comment)


def _now(comment: str) -> Mapped[datetime]:
    return mapped_column(server_default=func.now(), comment=comment)


class Feed(Table):
    __tablename__ = "feed"
    __table_args__ = ({"comment": "Sources of reports and how far each has been read."},)

    name: Mapped[str] = mapped_column(primary_key=True, comment="Name in the settings.")
    kind: Mapped[str] = mapped_column(comment="Format that is read, e.g. fhir-ndjson.")
    site: Mapped[str] = mapped_column(comment="Hospital the reports come from.")
    source_system: Mapped[str] = mapped_column(comment="System that numbers the reports.")
    cursor: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'"), comment="Where the reader goes on; moves in the reports' transaction."
    )
    quiet_nights: Mapped[int] = mapped_column(
        SmallInteger, server_default=text("0"), comment="Scheduled pulls in a row that may bring nothing."
    )
    created_at: Mapped[datetime] = _now("When the feed was first seen; schedules count from here.")
    updated_at: Mapped[datetime | None] = mapped_column(comment="When the cursor last moved.")


class SkippedCount(Table):
    __tablename__ = "skipped_count"
    __table_args__ = ({"comment": "Records that a feed did not want, counted by reason."},)

    feed: Mapped[str] = mapped_column(ForeignKey("feed.name"), primary_key=True, comment="The feed.")
    reason: Mapped[str] = mapped_column(primary_key=True, comment="Why they were skipped.")
    records: Mapped[int] = mapped_column(BigInteger, comment="How many were skipped so far.")


class Report(Table):
    __tablename__ = "report"
    __table_args__ = (
        UniqueConstraint("site", "source_system", "source_id", "version"),
        # Two reports of one identity can never both be current, whatever the code does.
        Index(
            "uq_report_current",
            "site",
            "source_system",
            "source_id",
            unique=True,
            postgresql_where=text("is_current"),
        ),
        Index("ix_report_accession", "accession"),
        Index("ix_report_study_at", "study_at", postgresql_where=text("is_current")),
        Index("ix_report_received_at", "received_at"),
        Index("ix_report_job_id", "job_id"),
        CheckConstraint("withdrawn_at IS NOT NULL OR text IS NOT NULL", name="has_text"),
        CheckConstraint("version > 0", name="version"),
        {"comment": "De-identified reports, one row per version; the only place where their text is kept."},
    )

    id: Mapped[int] = _identity("Report version.")
    site: Mapped[str] = mapped_column(comment="Hospital; part of the identity.")
    source_system: Mapped[str] = mapped_column(comment="System that numbers the reports; part of the identity.")
    source_id: Mapped[str] = mapped_column(comment="Id in that system; part of the identity.")
    version: Mapped[int] = mapped_column(comment="1 for the first text we saw, then counted up.")
    is_current: Mapped[bool] = mapped_column(comment="Whether this is the newest version of the report.")
    withdrawn_at: Mapped[datetime | None] = mapped_column(
        comment="When the source declared it entered in error or deleted it."
    )
    flagged_at: Mapped[datetime | None] = mapped_column(
        comment="When an amendment of this version was quarantined, so that it may be out of date."
    )
    accession: Mapped[str | None] = mapped_column(comment="Accession number; unique only within a site.")
    patient: Mapped[str | None] = mapped_column(comment="Pseudonym of the patient.")
    study_at: Mapped[datetime | None] = mapped_column(comment="When the study was made.")
    issued_at: Mapped[datetime | None] = mapped_column(comment="When the report was issued.")
    source_updated_at: Mapped[datetime | None] = mapped_column(comment="When the source last changed it.")
    code: Mapped[str | None] = mapped_column(comment="Code of the examination, e.g. LOINC.")
    modality: Mapped[str | None] = mapped_column(comment="Modality, e.g. CT.")
    language: Mapped[str] = mapped_column(comment="ko, en or mixed, by the letters of the text.")
    text: Mapped[str | None] = mapped_column(comment="The report; null only if it was withdrawn when first seen.")
    content_hash: Mapped[str] = mapped_column(comment="SHA-256 of everything stored of the record, in hex.")
    feed: Mapped[str] = mapped_column(ForeignKey("feed.name"), comment="Feed it came from.")
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), comment="Pull that brought it; null if released.")
    received_at: Mapped[datetime] = _now("When this version was stored.")


class Quarantine(Table):
    __tablename__ = "quarantine"
    __table_args__ = (
        UniqueConstraint("feed", "place", "reason", "record_hash"),
        {"comment": "Records that were not taken in, with place and reason and without their text."},
    )

    id: Mapped[int] = _identity("Quarantined record.")
    feed: Mapped[str] = mapped_column(ForeignKey("feed.name"), comment="Feed it came from.")
    place: Mapped[str] = mapped_column(comment="File and line, or the feed's own way to find it again.")
    reason: Mapped[str] = mapped_column(comment="Why, as one word, e.g. broken-json or identifying-data.")
    kinds: Mapped[list[str]] = mapped_column(
        server_default=text("'{}'"), comment="Kinds of identifying data that the text held; never the data."
    )
    source_id: Mapped[str | None] = mapped_column(comment="Id in the source system, if it could be read.")
    record_hash: Mapped[str] = mapped_column(comment="SHA-256 of place, id and time: reading it again adds no row.")
    quarantined_at: Mapped[datetime] = _now("When it was quarantined.")
    released_at: Mapped[datetime | None] = mapped_column(comment="When someone released it and it was read again.")
    released_by: Mapped[str | None] = mapped_column(comment="Who released it.")
    release_note: Mapped[str | None] = mapped_column(comment="Why, in their words.")
    release_outcome: Mapped[str | None] = mapped_column(comment="What reading it again came to, e.g. new.")
    released_report_id: Mapped[int | None] = mapped_column(
        ForeignKey("report.id"), comment="Report version that it became, if it did."
    )


class Event(Table):
    __tablename__ = "event"
    __table_args__ = (
        _one_of("kind", EventKind),
        Index("ix_event_kind_id", "kind", "id"),
        {"comment": "What happened: append-only facts, ids only. The audit trail."},
    )

    id: Mapped[int] = _identity("Order of the facts.")
    kind: Mapped[str] = mapped_column(comment="Which fact, in the past tense.")
    payload: Mapped[dict[str, Any]] = mapped_column(comment="Ids and counts; never report text.")
    occurred_at: Mapped[datetime] = _now("When its transaction began.")


class Job(Table):
    __tablename__ = "job"
    __table_args__ = (
        _one_of("kind", JobKind),
        _one_of("state", JobState),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
        CheckConstraint("id <> parent_id", name="parent"),
        # The same work is never open twice; once done it may come again.
        Index("uq_job_open", "key", unique=True, postgresql_where=text("state IN ('ready', 'running')")),
        Index("ix_job_ready", "kind", "priority", "id", postgresql_where=text("state = 'ready'")),
        Index("ix_job_running", "lease_until", postgresql_where=text("state = 'running'")),
        Index(
            "ix_job_dead_reports",
            "report_ids",
            postgresql_using="gin",
            postgresql_where=text("state IN ('dead', 'dropped')"),
        ),
        Index("ix_job_kind_id", "kind", "id"),
        Index("ix_job_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        {"comment": "Work to do, under way, done or dead-lettered. Celery messages only say that there is some."},
    )

    id: Mapped[int] = _identity("Job; older ones are served first within a priority.")
    kind: Mapped[str] = mapped_column(comment="What is to be done.")
    key: Mapped[str] = mapped_column(comment="Unique among open jobs.")
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), comment="Job that it is a half of.")
    feed: Mapped[str | None] = mapped_column(ForeignKey("feed.name"), comment="Feed that a pull reads.")
    scheduled_at: Mapped[datetime | None] = mapped_column(comment="Scheduled time that it serves; null if asked for.")
    report_ids: Mapped[list[int]] = mapped_column(
        ARRAY(BigInteger), server_default=text("'{}'"), comment="Report versions that a label job reads."
    )
    priority: Mapped[int] = mapped_column(SmallInteger, comment="Smaller is sooner: 0 fresh, 10 relabelling.")
    state: Mapped[str] = mapped_column(server_default=JobState.READY, comment="ready, running, done, dead or dropped.")
    attempts: Mapped[int] = mapped_column(
        SmallInteger, server_default=text("0"), comment="Claims so far; given back if the environment failed."
    )
    max_attempts: Mapped[int] = mapped_column(SmallInteger, comment="Claims before it is split or dead-lettered.")
    waits: Mapped[int] = mapped_column(
        SmallInteger, server_default=text("0"), comment="Times in a row that the environment failed."
    )
    not_before: Mapped[datetime] = _now("Not claimed sooner than this.")
    epoch: Mapped[int] = mapped_column(
        Integer,
        server_default=text("0"),
        comment="Raised by each claim; whoever holds an older one writes nothing.",
    )
    lease_until: Mapped[datetime | None] = mapped_column(comment="A running job without a renewal until then is free.")
    worker: Mapped[str | None] = mapped_column(comment="Host and process of the last claim.")
    model_version_id: Mapped[int | None] = mapped_column(
        ForeignKey("model_version.id"), comment="Model that the last claim read with."
    )
    error: Mapped[str | None] = mapped_column(comment="Last failure; never report text.")
    outcome: Mapped[dict[str, Any] | None] = mapped_column(comment="Counts of what a finished job did.")
    created_at: Mapped[datetime] = _now("When it was enqueued.")
    claimed_at: Mapped[datetime | None] = mapped_column(comment="When it was last claimed.")
    finished_at: Mapped[datetime | None] = mapped_column(comment="When it was done or dead-lettered.")


class JobFailure(Table):
    __tablename__ = "job_failure"
    __table_args__ = (
        _one_of("cause", FailureCause),
        Index("ix_job_failure_job_id", "job_id"),
        {"comment": "Attempts that failed, each with its reason: the history of a dead letter. Append-only."},
    )

    id: Mapped[int] = _identity("Order of the failures.")
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), comment="Job.")
    epoch: Mapped[int] = mapped_column(comment="Claim that failed.")
    cause: Mapped[str] = mapped_column(comment="work, environment (given back) or silence (its worker fell silent).")
    reason: Mapped[str] = mapped_column(comment="What went wrong; never report text.")
    worker: Mapped[str | None] = mapped_column(comment="Host and process that had it.")
    model_version_id: Mapped[int | None] = mapped_column(
        ForeignKey("model_version.id"), comment="Model that it read with."
    )
    failed_at: Mapped[datetime] = _now("When.")


class ScheduleTick(Table):
    __tablename__ = "schedule_tick"
    __table_args__ = ({"comment": "Scheduled times already served: the row is the claim, so two clocks are safe."},)

    schedule: Mapped[str] = mapped_column(primary_key=True, comment="Schedule, e.g. pull:NAME.")
    scheduled_at: Mapped[datetime] = mapped_column(primary_key=True, comment="The time it was due.")
    claimed_at: Mapped[datetime] = _now("When a clock served it.")
    paused: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="Whether it was let pass because the schedule was paused."
    )


class SchedulePause(Table):
    __tablename__ = "schedule_pause"
    __table_args__ = (
        Index("uq_schedule_pause_open", "schedule", unique=True, postgresql_where=text("resumed_at IS NULL")),
        {"comment": "Schedules that people paused and resumed."},
    )

    id: Mapped[int] = _identity("Pause.")
    schedule: Mapped[str] = mapped_column(comment="Schedule, e.g. pull:NAME; * for all.")
    paused_at: Mapped[datetime] = _now("Since when.")
    paused_by: Mapped[str] = mapped_column(comment="Who paused it.")
    note: Mapped[str | None] = mapped_column(comment="Why, in their words.")
    resumed_at: Mapped[datetime | None] = mapped_column(comment="Until when; null while it is paused.")
    resumed_by: Mapped[str | None] = mapped_column(comment="Who resumed it.")


class LabelSet(Table):
    __tablename__ = "label_set"
    __table_args__ = ({"comment": "Findings that a model can name, as one ordered set."},)

    id: Mapped[int] = _identity("Label set.")
    name: Mapped[str] = mapped_column(unique=True, comment="Its name.")
    registered_at: Mapped[datetime] = _now("When it was registered.")


class Label(Table):
    __tablename__ = "label"
    __table_args__ = (
        UniqueConstraint("label_set_id", "position"),
        UniqueConstraint("label_set_id", "name"),
        UniqueConstraint("label_set_id", "column_name"),
        CheckConstraint("column_name ~ '^[a-z][a-z0-9_]{0,62}$'", name="column_name"),
        {"comment": "One finding of a label set."},
    )

    id: Mapped[int] = _identity("Label.")
    label_set_id: Mapped[int] = mapped_column(ForeignKey("label_set.id"), comment="Set it belongs to.")
    position: Mapped[int] = mapped_column(comment="Place in the set and in probability arrays, from 1.")
    name: Mapped[str] = mapped_column(comment="English name; the model's own label.")
    column_name: Mapped[str] = mapped_column(comment="Its column in report_labels.")
    korean_name: Mapped[str | None] = mapped_column(comment="Korean name.")
    snomed_ct: Mapped[str | None] = mapped_column(comment="SNOMED CT concept id.")
    radlex: Mapped[str | None] = mapped_column(comment="RadLex id, e.g. RID34539.")


class Annotation(Table):
    __tablename__ = "annotation"
    __table_args__ = (
        UniqueConstraint("label_set_id", "site", "text_hash"),
        _one_of("split", Split),
        {"comment": "Labels given by people. The split is fixed at import and never changes."},
    )

    id: Mapped[int] = _identity("Annotated report.")
    label_set_id: Mapped[int] = mapped_column(ForeignKey("label_set.id"), comment="Set the labels belong to.")
    site: Mapped[str] = mapped_column(comment="Hospital.")
    source_id: Mapped[str] = mapped_column(comment="Id in the imported file.")
    text_hash: Mapped[str] = mapped_column(comment="SHA-256 of the normalised text.")
    text: Mapped[str] = mapped_column(comment="The annotated text.")
    labels: Mapped[list[int]] = mapped_column(
        ARRAY(SmallInteger), comment="0 or 1 by label position; what the annotators' readings come to."
    )
    split: Mapped[str] = mapped_column(comment="train, calibration or gate.")
    imported_at: Mapped[datetime] = _now("When it was first imported.")


class AnnotationReading(Table):
    __tablename__ = "annotation_reading"
    __table_args__ = ({"comment": "What each annotator said of a report; annotation.labels is what they come to."},)

    annotation_id: Mapped[int] = mapped_column(
        ForeignKey("annotation.id"), primary_key=True, comment="Annotated report."
    )
    annotator: Mapped[str] = mapped_column(primary_key=True, comment="Who read it.")
    decides: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="Whether this reading settles disputes between the others."
    )
    labels: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger), comment="0 or 1 by label position.")
    imported_at: Mapped[datetime] = _now("When it was first imported.")


class ModelVersion(Table):
    __tablename__ = "model_version"
    __table_args__ = (
        UniqueConstraint("serving_rank"),
        _one_of("stage", Stage),
        CheckConstraint("(stage = 'production') = (serving_rank IS NOT NULL)", name="serving_rank"),
        {"comment": "Models, candidates and their history. The highest serving rank is the model that serves."},
    )

    id: Mapped[int] = _identity("Model version.")
    kind: Mapped[str] = mapped_column(comment="classifier.")
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("model_version.id"),
        comment="Version it came from; shares the artifact if only thresholds differ.",
    )
    foundation: Mapped[str] = mapped_column(comment="Encoder it was fine-tuned from.")
    stage: Mapped[str] = mapped_column(
        server_default=Stage.CANDIDATE, comment="candidate, production, withdrawn or rejected."
    )
    serving_rank: Mapped[int | None] = mapped_column(comment="Order of promotion; null unless in production.")
    artifact: Mapped[str] = mapped_column(comment="Folder below the models folder.")
    artifact_sha256: Mapped[str] = mapped_column(comment="What the folder's manifest must hash to.")
    language_model: Mapped[str | None] = mapped_column(
        comment="Folder, below the models folder, of the masked language model it was fine-tuned from; a refresh "
        "goes on from there."
    )
    language_model_sha256: Mapped[str | None] = mapped_column(comment="What that folder's manifest must hash to.")
    label_set_id: Mapped[int] = mapped_column(ForeignKey("label_set.id"), comment="Findings it names.")
    thresholds: Mapped[list[float]] = mapped_column(comment="A finding is positive from here, by label position.")
    metrics: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'"), comment="Figures measured when it was made."
    )
    settings: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'"), comment="How it was made: epochs, seed, learning rate, counts."
    )
    created_at: Mapped[datetime] = _now("When it was registered.")
    created_by: Mapped[str | None] = mapped_column(comment="Who made it.")
    promoted_at: Mapped[datetime | None] = mapped_column(comment="When it last began to serve.")
    promoted_by: Mapped[str | None] = mapped_column(comment="Who promoted it.")
    withdrawn_at: Mapped[datetime | None] = mapped_column(comment="When a rollback withdrew it.")
    withdrawn_by: Mapped[str | None] = mapped_column(comment="Who withdrew it.")
    stage_note: Mapped[str | None] = mapped_column(comment="Why it was last promoted or withdrawn, in their words.")


class FittedOn(Table):
    __tablename__ = "fitted_on"
    __table_args__ = ({"comment": "Annotations that a model version was fitted or calibrated on."},)

    model_version_id: Mapped[int] = mapped_column(
        ForeignKey("model_version.id"), primary_key=True, comment="Model version."
    )
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotation.id"), primary_key=True, comment="Annotation.")


class Classification(Table):
    __tablename__ = "classification"
    __table_args__ = (
        UniqueConstraint("report_id", "model_version_id"),
        Index("ix_classification_model_version_id", "model_version_id"),
        Index("ix_classification_classified_at", "classified_at"),
        {"comment": "What a model version said of a report version. Never changed, never deleted."},
    )

    id: Mapped[int] = _identity("Classification.")
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), comment="Report version.")
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"), comment="Model version.")
    probabilities: Mapped[list[float]] = mapped_column(comment="0 to 1 by label position.")
    classified_at: Mapped[datetime] = _now("When it was written.")


class Finding(Table):
    __tablename__ = "finding"
    __table_args__ = (
        Index("ix_finding_label_id", "label_id"),
        CheckConstraint(
            "cardinality(starts) = cardinality(ends) AND cardinality(starts) = cardinality(weights)",
            name="heatmap",
        ),
        {"comment": "Positive labels only, each with its heatmap as parallel arrays, one element per word."},
    )

    classification_id: Mapped[int] = mapped_column(
        ForeignKey("classification.id"), primary_key=True, comment="Classification it belongs to."
    )
    label_id: Mapped[int] = mapped_column(ForeignKey("label.id"), primary_key=True, comment="What was found.")
    probability: Mapped[float] = mapped_column(REAL, comment="0 to 1, at or above the model's threshold.")
    sentence_start: Mapped[int] = mapped_column(comment="First character of the sentence that says it, from 0.")
    sentence_end: Mapped[int] = mapped_column(comment="One past its last character.")
    starts: Mapped[list[int]] = mapped_column(comment="First character of each word, from 0.")
    ends: Mapped[list[int]] = mapped_column(comment="One past the last character of each word.")
    weights: Mapped[list[float]] = mapped_column(comment="Signed share of each word in the label's logit.")
    residual: Mapped[float] = mapped_column(
        REAL, comment="Completeness residual: the logit's rise over the baseline less the sum of weights."
    )


class ReplayItem(Table):
    __tablename__ = "replay_item"
    __table_args__ = (
        UniqueConstraint("report_id"),
        UniqueConstraint("key"),
        CheckConstraint("(report_id IS NULL) = (text IS NOT NULL)", name="source"),
        CheckConstraint("(report_id IS NULL) = (site IS NULL)", name="site"),
        Index("ix_replay_item_stratum", "site", "language", "period", "held_out", "key"),
        {"comment": "The replay buffer: a bounded sample of what the language models learnt from, by stratum."},
    )

    id: Mapped[int] = _identity("Replay item.")
    report_id: Mapped[int | None] = mapped_column(
        ForeignKey("report.id"), comment="Report version; null for general text."
    )
    text: Mapped[str | None] = mapped_column(comment="General text, never a report's; null for reports.")
    site: Mapped[str | None] = mapped_column(comment="Hospital, first part of the stratum; null for general text.")
    language: Mapped[str] = mapped_column(comment="ko, en or mixed, second part of the stratum.")
    period: Mapped[str | None] = mapped_column(
        comment="Quarter of the study, e.g. 2026-Q4, third part of the stratum; null for general text."
    )
    key: Mapped[str] = mapped_column(comment="SHA-256 in hex; the smallest of a stratum are kept (bottom-k).")
    held_out: Mapped[bool] = mapped_column(comment="Whether it judges forgetting and is never trained on.")
    added_at: Mapped[datetime] = _now("When it came in.")


class RefreshRun(Table):
    __tablename__ = "refresh_run"
    __table_args__ = (
        _one_of("state", RefreshState),
        _one_of("stage", RefreshStage),
        UniqueConstraint("model_version_id"),
        # One active refresh, whatever the code does.
        Index("uq_refresh_run_open", "state", unique=True, postgresql_where=text("state = 'open'")),
        CheckConstraint("(state = 'open') = (finished_at IS NULL)", name="finished"),
        {"comment": "Refreshes of the language model: why, how far, and what the gates said."},
    )

    id: Mapped[int] = _identity("Refresh.")
    reason: Mapped[str] = mapped_column(comment="Why it was due: asked, calendar, volume or drift, in words.")
    asked_at: Mapped[datetime] = _now("When it was found due.")
    asked_by: Mapped[str] = mapped_column(comment="Who asked; policy if nobody did.")
    accepts_inconclusive: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="Whether who asked takes it upon them that a gate is inconclusive."
    )
    state: Mapped[str] = mapped_column(
        server_default=RefreshState.OPEN,
        comment="open, promoted, inconclusive (waits for a person), rejected, cancelled or failed.",
    )
    stage: Mapped[str] = mapped_column(
        server_default=RefreshStage.MIX, comment="mix, pre-training, refit, evaluation or promotion."
    )
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), comment="Job that last worked on it.")
    former_model_version_id: Mapped[int | None] = mapped_column(
        ForeignKey("model_version.id"), comment="Champion: what served when it began, and what it goes on from."
    )
    model_version_id: Mapped[int | None] = mapped_column(
        ForeignKey("model_version.id"), comment="Challenger that it made."
    )
    language_model: Mapped[str | None] = mapped_column(comment="Folder of the pre-trained language model.")
    language_model_sha256: Mapped[str | None] = mapped_column(comment="What its manifest must hash to.")
    from_report_id: Mapped[int | None] = mapped_column(BigInteger, comment="New reports are those after this one …")
    until_report_id: Mapped[int | None] = mapped_column(BigInteger, comment="… and up to this one.")
    settings: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'"), comment="How it trains: fractions, rates, steps."
    )
    counts: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'"), comment="Reports and tokens in the mix, and what was left out of it."
    )
    step: Mapped[int | None] = mapped_column(comment="Steps done in this stage.")
    steps: Mapped[int | None] = mapped_column(comment="Steps of this stage.")
    loss: Mapped[float | None] = mapped_column(comment="Loss of the last step.")
    seconds_left: Mapped[float | None] = mapped_column(comment="Expected, of this stage.")
    progressed_at: Mapped[datetime | None] = mapped_column(comment="When it last said how far it is.")
    cancel_asked_at: Mapped[datetime | None] = mapped_column(comment="When somebody asked to stop it.")
    cancel_asked_by: Mapped[str | None] = mapped_column(comment="Who.")
    verdict: Mapped[dict[str, Any] | None] = mapped_column(comment="What each gate said, and why.")
    finished_at: Mapped[datetime | None] = mapped_column(comment="When it came to its end.")


class RefreshItem(Table):
    __tablename__ = "refresh_item"
    __table_args__ = (
        _one_of("part", Part),
        {"comment": "The training mix of a refresh: exactly which texts, by id and hash."},
    )

    refresh_run_id: Mapped[int] = mapped_column(ForeignKey("refresh_run.id"), primary_key=True, comment="Refresh.")
    key: Mapped[str] = mapped_column(primary_key=True, comment="SHA-256 of the text's record, as in the buffer.")
    report_id: Mapped[int | None] = mapped_column(
        ForeignKey("report.id"), comment="Report version; null for general text."
    )
    part: Mapped[str] = mapped_column(comment="new or replayed.")
    stratum: Mapped[str] = mapped_column(comment="Site, language and period, or general and language.")
    left_out_at: Mapped[datetime | None] = mapped_column(
        comment="When a start or resume found it withdrawn or amended, and left it out."
    )


class Evaluation(Table):
    __tablename__ = "evaluation"
    __table_args__ = (
        _one_of("metric", Metric),
        UniqueConstraint("refresh_run_id", "model_version_id", "metric", "suite"),
        Index("ix_evaluation_model_version_id", "model_version_id"),
        {"comment": "What the gates of a refresh measured, of champion and challenger alike."},
    )

    id: Mapped[int] = _identity("Evaluation.")
    refresh_run_id: Mapped[int] = mapped_column(ForeignKey("refresh_run.id"), comment="Refresh.")
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"), comment="Model version measured.")
    metric: Mapped[str] = mapped_column(comment="macro-f1, pearson, bits-per-byte or churn.")
    suite: Mapped[str] = mapped_column(comment="On what: a site, a language of sentence pairs, or a stratum.")
    earlier: Mapped[bool] = mapped_column(comment="Whether the champion had learnt from it; only then does it gate.")
    value: Mapped[float] = mapped_column(comment="The figure; lower is better for bits per byte.")
    low: Mapped[float | None] = mapped_column(comment="Lower end of its 95 % interval.")
    high: Mapped[float | None] = mapped_column(comment="Upper end of it.")
    items: Mapped[int] = mapped_column(comment="Reports, pairs or hidden words that it was measured on.")
    evaluated_at: Mapped[datetime] = _now("When.")


class DriftSignal(Table):
    __tablename__ = "drift_signal"
    __table_args__ = (
        _one_of("signal", Signal),
        Index("ix_drift_signal_measured_at", "measured_at"),
        {"comment": "How far the new reports of a site are from what the serving model knows. A row per night."},
    )

    id: Mapped[int] = _identity("Signal.")
    measured_at: Mapped[datetime] = _now("When; one time for all of a night.")
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"), comment="Model that served.")
    site: Mapped[str] = mapped_column(comment="Hospital.")
    signal: Mapped[str] = mapped_column(
        comment="unknown-pieces, fertility, bits-per-byte, prevalence or uncertain-labels."
    )
    label_id: Mapped[int | None] = mapped_column(ForeignKey("label.id"), comment="Finding, for prevalence.")
    value: Mapped[float] = mapped_column(comment="Measured on the new reports.")
    reference: Mapped[float | None] = mapped_column(comment="The same on reports known before; null if there are none.")
    drift: Mapped[float | None] = mapped_column(
        comment="What is held against the threshold: a rise over the reference, or for prevalence the population "
        "stability index; null without a reference."
    )
    threshold: Mapped[float | None] = mapped_column(comment="Above it a refresh is due; null: never.")
    reports: Mapped[int] = mapped_column(comment="New reports that it was measured on.")
