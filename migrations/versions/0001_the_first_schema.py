"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.schema import sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "event",
    "feed",
    "label_set",
    "schedule_tick",
    "annotation",
    "label",
    "model_version",
    "quarantine",
    "report",
    "skipped_count",
    "classification",
    "fitted_on",
    "job",
    "finding",
)
# In the order in which they need each other.
VIEWS = (
    "report_state",
    "completeness",
    "current_classification",
    "label_probabilities",
    "report_findings",
    "finding_spans",
    "finding_words",
    "report_texts",
    "daily_prevalence",
    "classification_history",
    "run_summary",
    "model_history",
    "dead_letters",
    "quarantined_records",
    "note_nlp",
)


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of the facts."),
        sa.Column("kind", sa.Text(), nullable=False, comment="Which fact, in the past tense."),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Ids and counts; never report text.",
        ),
        sa.Column(
            "occurred_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When its transaction began.",
        ),
        sa.CheckConstraint(
            "kind IN ('ReportsReceived', 'ReportsWithdrawn', 'ReportsLabelled', 'ModelPromoted')",
            name=op.f("ck_event_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        comment="What happened: append-only facts, ids only. The audit trail.",
    )
    op.create_index("ix_event_kind_id", "event", ["kind", "id"], unique=False)
    op.create_table(
        "feed",
        sa.Column("name", sa.Text(), nullable=False, comment="Name in the settings."),
        sa.Column("kind", sa.Text(), nullable=False, comment="Format that is read, e.g. fhir-ndjson."),
        sa.Column("site", sa.Text(), nullable=False, comment="Hospital the reports come from."),
        sa.Column("source_system", sa.Text(), nullable=False, comment="System that numbers the reports."),
        sa.Column(
            "cursor",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Where the reader goes on; moves in the reports' transaction.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the feed was first seen; schedules count from here.",
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True, comment="When the cursor last moved."),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed")),
        comment="Sources of reports and how far each has been read.",
    )
    op.create_table(
        "label_set",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Label set."),
        sa.Column("name", sa.Text(), nullable=False, comment="Its name."),
        sa.Column(
            "registered_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was registered.",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_set")),
        sa.UniqueConstraint("name", name=op.f("uq_label_set_name")),
        comment="Findings that a model can name, as one ordered set.",
    )
    op.create_table(
        "schedule_tick",
        sa.Column("schedule", sa.Text(), nullable=False, comment="Schedule, e.g. pull:NAME."),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=False, comment="The time it was due."),
        sa.Column(
            "claimed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When a clock served it.",
        ),
        sa.PrimaryKeyConstraint("schedule", "scheduled_at", name=op.f("pk_schedule_tick")),
        comment="Scheduled times already served: the row is the claim, so two clocks are safe.",
    )
    op.create_table(
        "annotation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Annotated report."),
        sa.Column("label_set_id", sa.BigInteger(), nullable=False, comment="Set the labels belong to."),
        sa.Column("site", sa.Text(), nullable=False, comment="Hospital."),
        sa.Column("source_id", sa.Text(), nullable=False, comment="Id in the imported file."),
        sa.Column("text_hash", sa.Text(), nullable=False, comment="SHA-256 of the normalised text."),
        sa.Column("text", sa.Text(), nullable=False, comment="The annotated text."),
        sa.Column("labels", sa.ARRAY(sa.SmallInteger()), nullable=False, comment="0 or 1 by label position."),
        sa.Column("split", sa.Text(), nullable=False, comment="train, calibration or gate."),
        sa.Column(
            "imported_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first imported.",
        ),
        sa.CheckConstraint("split IN ('train', 'calibration', 'gate')", name=op.f("ck_annotation_split")),
        sa.ForeignKeyConstraint(["label_set_id"], ["label_set.id"], name=op.f("fk_annotation_label_set_id_label_set")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation")),
        sa.UniqueConstraint(
            "label_set_id", "site", "text_hash", name=op.f("uq_annotation_label_set_id_site_text_hash")
        ),
        comment="Labels given by people. The split is fixed at import and never changes.",
    )
    op.create_table(
        "label",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Label."),
        sa.Column("label_set_id", sa.BigInteger(), nullable=False, comment="Set it belongs to."),
        sa.Column(
            "position",
            sa.Integer(),
            nullable=False,
            comment="Place in the set and in probability arrays, from 1.",
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="English name; the model's own label."),
        sa.Column("column_name", sa.Text(), nullable=False, comment="Its column in report_labels."),
        sa.Column("korean_name", sa.Text(), nullable=True, comment="Korean name."),
        sa.CheckConstraint("column_name ~ '^[a-z][a-z0-9_]{0,62}$'", name=op.f("ck_label_column_name")),
        sa.ForeignKeyConstraint(["label_set_id"], ["label_set.id"], name=op.f("fk_label_label_set_id_label_set")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sa.UniqueConstraint("label_set_id", "column_name", name=op.f("uq_label_label_set_id_column_name")),
        sa.UniqueConstraint("label_set_id", "name", name=op.f("uq_label_label_set_id_name")),
        sa.UniqueConstraint("label_set_id", "position", name=op.f("uq_label_label_set_id_position")),
        comment="One finding of a label set.",
    )
    op.create_table(
        "model_version",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Model version."),
        sa.Column("kind", sa.Text(), nullable=False, comment="classifier."),
        sa.Column(
            "parent_id",
            sa.BigInteger(),
            nullable=True,
            comment="Version it came from; shares the artifact if only thresholds differ.",
        ),
        sa.Column("foundation", sa.Text(), nullable=False, comment="Encoder it was fine-tuned from."),
        sa.Column(
            "stage",
            sa.Text(),
            server_default="candidate",
            nullable=False,
            comment="candidate, production, withdrawn or rejected.",
        ),
        sa.Column(
            "serving_rank",
            sa.Integer(),
            nullable=True,
            comment="Order of promotion; null unless in production.",
        ),
        sa.Column("artifact", sa.Text(), nullable=False, comment="Folder below the models folder."),
        sa.Column("artifact_sha256", sa.Text(), nullable=False, comment="What the folder's manifest must hash to."),
        sa.Column("label_set_id", sa.BigInteger(), nullable=False, comment="Findings it names."),
        sa.Column(
            "thresholds",
            sa.ARRAY(sa.REAL()),
            nullable=False,
            comment="A finding is positive from here, by label position.",
        ),
        sa.Column(
            "metrics",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Figures measured when it was made.",
        ),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="How it was made: epochs, seed, learning rate, counts.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was registered.",
        ),
        sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=True, comment="When it last began to serve."),
        sa.CheckConstraint(
            "(stage = 'production') = (serving_rank IS NOT NULL)", name=op.f("ck_model_version_serving_rank")
        ),
        sa.CheckConstraint(
            "stage IN ('candidate', 'production', 'withdrawn', 'rejected')",
            name=op.f("ck_model_version_stage"),
        ),
        sa.ForeignKeyConstraint(
            ["label_set_id"], ["label_set.id"], name=op.f("fk_model_version_label_set_id_label_set")
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["model_version.id"], name=op.f("fk_model_version_parent_id_model_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_version")),
        sa.UniqueConstraint("serving_rank", name=op.f("uq_model_version_serving_rank")),
        comment="Models, candidates and their history. The highest serving rank is the model that serves.",
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Quarantined record."),
        sa.Column("feed", sa.Text(), nullable=False, comment="Feed it came from."),
        sa.Column(
            "place",
            sa.Text(),
            nullable=False,
            comment="File and line, or the feed's own way to find it again.",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why, as one word, e.g. broken-json."),
        sa.Column("source_id", sa.Text(), nullable=True, comment="Id in the source system, if it could be read."),
        sa.Column(
            "record_hash",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of place, id and time: reading it again adds no row.",
        ),
        sa.Column(
            "quarantined_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was quarantined.",
        ),
        sa.ForeignKeyConstraint(["feed"], ["feed.name"], name=op.f("fk_quarantine_feed_feed")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint(
            "feed", "place", "reason", "record_hash", name=op.f("uq_quarantine_feed_place_reason_record_hash")
        ),
        comment="Records that were not taken in, with place and reason and without their text.",
    )
    op.create_table(
        "report",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Report version."),
        sa.Column("site", sa.Text(), nullable=False, comment="Hospital; part of the identity."),
        sa.Column(
            "source_system",
            sa.Text(),
            nullable=False,
            comment="System that numbers the reports; part of the identity.",
        ),
        sa.Column("source_id", sa.Text(), nullable=False, comment="Id in that system; part of the identity."),
        sa.Column("version", sa.Integer(), nullable=False, comment="1 for the first text we saw, then counted up."),
        sa.Column(
            "is_current",
            sa.Boolean(),
            nullable=False,
            comment="Whether this is the newest version of the report.",
        ),
        sa.Column(
            "withdrawn_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the source declared it entered in error or deleted it.",
        ),
        sa.Column(
            "flagged_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When an amendment of this version was quarantined, so that it may be out of date.",
        ),
        sa.Column("accession", sa.Text(), nullable=True, comment="Accession number; unique only within a site."),
        sa.Column("patient", sa.Text(), nullable=True, comment="Pseudonym of the patient."),
        sa.Column("study_at", sa.DateTime(timezone=True), nullable=True, comment="When the study was made."),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True, comment="When the report was issued."),
        sa.Column(
            "source_updated_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the source last changed it.",
        ),
        sa.Column("code", sa.Text(), nullable=True, comment="Code of the examination, e.g. LOINC."),
        sa.Column("modality", sa.Text(), nullable=True, comment="Modality, e.g. CT."),
        sa.Column("language", sa.Text(), nullable=False, comment="ko, en or mixed, by the letters of the text."),
        sa.Column(
            "text",
            sa.Text(),
            nullable=True,
            comment="The report; null only if it was withdrawn when first seen.",
        ),
        sa.Column(
            "content_hash",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of everything stored of the record, in hex.",
        ),
        sa.Column("feed", sa.Text(), nullable=False, comment="Feed it came from."),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this version was stored.",
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_report_version")),
        sa.CheckConstraint("withdrawn_at IS NOT NULL OR text IS NOT NULL", name=op.f("ck_report_has_text")),
        sa.ForeignKeyConstraint(["feed"], ["feed.name"], name=op.f("fk_report_feed_feed")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint(
            "site",
            "source_system",
            "source_id",
            "version",
            name=op.f("uq_report_site_source_system_source_id_version"),
        ),
        comment="De-identified reports, one row per version; the only place where their text is kept.",
    )
    op.create_index("ix_report_accession", "report", ["accession"], unique=False)
    op.create_index("ix_report_received_at", "report", ["received_at"], unique=False)
    op.create_index("ix_report_study_at", "report", ["study_at"], unique=False, postgresql_where=sa.text("is_current"))
    op.create_index(
        "uq_report_current",
        "report",
        ["site", "source_system", "source_id"],
        unique=True,
        postgresql_where=sa.text("is_current"),
    )
    op.create_table(
        "skipped_count",
        sa.Column("feed", sa.Text(), nullable=False, comment="The feed."),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why they were skipped."),
        sa.Column("records", sa.BigInteger(), nullable=False, comment="How many were skipped so far."),
        sa.ForeignKeyConstraint(["feed"], ["feed.name"], name=op.f("fk_skipped_count_feed_feed")),
        sa.PrimaryKeyConstraint("feed", "reason", name=op.f("pk_skipped_count")),
        comment="Records that a feed did not want, counted by reason.",
    )
    op.create_table(
        "classification",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Classification."),
        sa.Column("report_id", sa.BigInteger(), nullable=False, comment="Report version."),
        sa.Column("model_version_id", sa.BigInteger(), nullable=False, comment="Model version."),
        sa.Column("probabilities", sa.ARRAY(sa.REAL()), nullable=False, comment="0 to 1 by label position."),
        sa.Column(
            "classified_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was written.",
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_classification_model_version_id_model_version"),
        ),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_classification_report_id_report")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_classification")),
        sa.UniqueConstraint("report_id", "model_version_id", name=op.f("uq_classification_report_id_model_version_id")),
        comment="What a model version said of a report version. Never changed, never deleted.",
    )
    op.create_index("ix_classification_classified_at", "classification", ["classified_at"], unique=False)
    op.create_index("ix_classification_model_version_id", "classification", ["model_version_id"], unique=False)
    op.create_table(
        "fitted_on",
        sa.Column("model_version_id", sa.BigInteger(), nullable=False, comment="Model version."),
        sa.Column("annotation_id", sa.BigInteger(), nullable=False, comment="Annotation."),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotation.id"], name=op.f("fk_fitted_on_annotation_id_annotation")
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_fitted_on_model_version_id_model_version"),
        ),
        sa.PrimaryKeyConstraint("model_version_id", "annotation_id", name=op.f("pk_fitted_on")),
        comment="Annotations that a model version was fitted or calibrated on.",
    )
    op.create_table(
        "job",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Job; older ones are served first within a priority.",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="What is to be done."),
        sa.Column("key", sa.Text(), nullable=False, comment="Unique among open jobs."),
        sa.Column("feed", sa.Text(), nullable=True, comment="Feed that a pull reads."),
        sa.Column(
            "report_ids",
            sa.ARRAY(sa.BigInteger()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Report versions that a label job reads.",
        ),
        sa.Column(
            "priority",
            sa.SmallInteger(),
            nullable=False,
            comment="Smaller is sooner: 0 fresh, 10 relabelling.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="ready",
            nullable=False,
            comment="ready, running, done or dead.",
        ),
        sa.Column(
            "attempts",
            sa.SmallInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Claims so far; given back if the environment failed.",
        ),
        sa.Column(
            "max_attempts",
            sa.SmallInteger(),
            nullable=False,
            comment="Claims before it is split or dead-lettered.",
        ),
        sa.Column(
            "waits",
            sa.SmallInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Times in a row that the environment failed.",
        ),
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Not claimed sooner than this.",
        ),
        sa.Column(
            "epoch",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Raised by each claim; whoever holds an older one writes nothing.",
        ),
        sa.Column(
            "lease_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="A running job without a renewal until then is free.",
        ),
        sa.Column("worker", sa.Text(), nullable=True, comment="Host and process of the last claim."),
        sa.Column("model_version_id", sa.BigInteger(), nullable=True, comment="Model that the last claim read with."),
        sa.Column("error", sa.Text(), nullable=True, comment="Last failure; never report text."),
        sa.Column(
            "outcome",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Counts of what a finished job did.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was enqueued.",
        ),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True, comment="When it was last claimed."),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was done or dead-lettered.",
        ),
        sa.CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_job_lease")),
        sa.CheckConstraint("kind IN ('pull', 'label')", name=op.f("ck_job_kind")),
        sa.CheckConstraint("state IN ('ready', 'running', 'done', 'dead')", name=op.f("ck_job_state")),
        sa.ForeignKeyConstraint(["feed"], ["feed.name"], name=op.f("fk_job_feed_feed")),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_version.id"], name=op.f("fk_job_model_version_id_model_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        comment="Work to do, under way, done or dead-lettered. Celery messages only say that there is some.",
    )
    op.create_index(
        "ix_job_dead_reports",
        "job",
        ["report_ids"],
        unique=False,
        postgresql_using="gin",
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index("ix_job_kind_id", "job", ["kind", "id"], unique=False)
    op.create_index(
        "ix_job_ready",
        "job",
        ["kind", "priority", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_job_running", "job", ["lease_until"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_index(
        "uq_job_open", "job", ["key"], unique=True, postgresql_where=sa.text("state IN ('ready', 'running')")
    )
    op.create_table(
        "finding",
        sa.Column("classification_id", sa.BigInteger(), nullable=False, comment="Classification it belongs to."),
        sa.Column("label_id", sa.BigInteger(), nullable=False, comment="What was found."),
        sa.Column("probability", sa.REAL(), nullable=False, comment="0 to 1, at or above the model's threshold."),
        sa.Column(
            "sentence_start",
            sa.Integer(),
            nullable=False,
            comment="First character of the sentence that says it, from 0.",
        ),
        sa.Column("sentence_end", sa.Integer(), nullable=False, comment="One past its last character."),
        sa.Column("starts", sa.ARRAY(sa.Integer()), nullable=False, comment="First character of each word, from 0."),
        sa.Column(
            "ends",
            sa.ARRAY(sa.Integer()),
            nullable=False,
            comment="One past the last character of each word.",
        ),
        sa.Column(
            "weights",
            sa.ARRAY(sa.REAL()),
            nullable=False,
            comment="Signed share of each word in the label's logit.",
        ),
        sa.Column(
            "residual",
            sa.REAL(),
            nullable=False,
            comment="Completeness residual: the logit's rise over the baseline less the sum of weights.",
        ),
        sa.CheckConstraint(
            "cardinality(starts) = cardinality(ends) AND cardinality(starts) = cardinality(weights)",
            name=op.f("ck_finding_heatmap"),
        ),
        sa.ForeignKeyConstraint(
            ["classification_id"],
            ["classification.id"],
            name=op.f("fk_finding_classification_id_classification"),
        ),
        sa.ForeignKeyConstraint(["label_id"], ["label.id"], name=op.f("fk_finding_label_id_label")),
        sa.PrimaryKeyConstraint("classification_id", "label_id", name=op.f("pk_finding")),
        comment="Positive labels only, each with its heatmap as parallel arrays, one element per word.",
    )
    op.create_index("ix_finding_label_id", "finding", ["label_id"], unique=False)
    for view in VIEWS:
        op.execute(sql(f"{view}_v1"))
    op.execute("COMMENT ON TABLE alembic_version IS 'Revision of this schema; Alembic keeps it.'")
    op.execute("COMMENT ON COLUMN alembic_version.version_num IS 'The revision.'")
    op.execute(sql("generate_report_labels_v1"))
    op.execute(sql("grants_v1"))


def downgrade() -> None:
    op.execute("DROP VIEW IF EXISTS report_labels")
    op.execute("DROP FUNCTION generate_report_labels(bigint)")
    for view in reversed(VIEWS):
        op.execute(f"DROP VIEW {view}")
    for table in reversed(TABLES):
        op.drop_table(table)
