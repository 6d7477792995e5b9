"""Continual refresh: the replay buffer, refreshes, what their gates measured, and how far reports drift."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.schema import sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEW_VIEWS = ("replay_strata", "drift_signals", "refresh_history", "model_scores", "model_forgetting")
TABLES = ("drift_signal", "evaluation", "refresh_item", "refresh_run", "replay_item")

EVENTS_BEFORE = (
    "ReportsReceived",
    "ReportsWithdrawn",
    "ReportsLabelled",
    "ModelPromoted",
    "ModelWithdrawn",
    "RecordReleased",
    "DeadLetterRetried",
    "DeadLetterDropped",
    "SchedulePaused",
    "ScheduleResumed",
)
EVENTS = (*EVENTS_BEFORE, "RefreshDue", "RefreshFinished")
JOBS_BEFORE = ("pull", "label")
JOBS = (*JOBS_BEFORE, "drift", "refresh")


def _one_of(table: str, column: str, values: tuple[str, ...]) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{column}"), table, type_="check")
    listed = ", ".join(f"'{value}'" for value in values)
    op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, f"{column} IN ({listed})")


def upgrade() -> None:
    _one_of("event", "kind", EVENTS)
    _one_of("job", "kind", JOBS)
    for column in (
        sa.Column(
            "language_model",
            sa.Text(),
            comment="Folder, below the models folder, of the masked language model it was fine-tuned from; a refresh "
            "goes on from there.",
        ),
        sa.Column("language_model_sha256", sa.Text(), comment="What that folder's manifest must hash to."),
    ):
        op.add_column("model_version", column)
    _tables()
    for name in NEW_VIEWS:
        op.execute(sql(f"{name}_v1"))
    op.execute(sql("model_history_v3"))
    op.execute(sql("grants_v3"))


def _tables() -> None:
    op.create_table(
        "replay_item",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Replay item."),
        sa.Column("report_id", sa.BigInteger(), nullable=True, comment="Report version; null for general text."),
        sa.Column("text", sa.Text(), nullable=True, comment="General text, never a report's; null for reports."),
        sa.Column(
            "site", sa.Text(), nullable=True, comment="Hospital, first part of the stratum; null for general text."
        ),
        sa.Column("language", sa.Text(), nullable=False, comment="ko, en or mixed, second part of the stratum."),
        sa.Column(
            "period",
            sa.Text(),
            nullable=True,
            comment="Quarter of the study, e.g. 2026-Q4, third part of the stratum; null for general text.",
        ),
        sa.Column(
            "key", sa.Text(), nullable=False, comment="SHA-256 in hex; the smallest of a stratum are kept (bottom-k)."
        ),
        sa.Column(
            "held_out", sa.Boolean(), nullable=False, comment="Whether it judges forgetting and is never trained on."
        ),
        sa.Column(
            "added_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it came in.",
        ),
        sa.CheckConstraint("(report_id IS NULL) = (site IS NULL)", name=op.f("ck_replay_item_site")),
        sa.CheckConstraint("(report_id IS NULL) = (text IS NOT NULL)", name=op.f("ck_replay_item_source")),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_replay_item_report_id_report")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay_item")),
        sa.UniqueConstraint("key", name=op.f("uq_replay_item_key")),
        sa.UniqueConstraint("report_id", name=op.f("uq_replay_item_report_id")),
        comment="The replay buffer: a bounded sample of what the language models learnt from, by stratum.",
    )
    op.create_index(
        "ix_replay_item_stratum", "replay_item", ["site", "language", "period", "held_out", "key"], unique=False
    )
    op.create_table(
        "refresh_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Refresh."),
        sa.Column(
            "reason", sa.Text(), nullable=False, comment="Why it was due: asked, calendar, volume or drift, in words."
        ),
        sa.Column(
            "asked_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was found due.",
        ),
        sa.Column("asked_by", sa.Text(), nullable=False, comment="Who asked; policy if nobody did."),
        sa.Column(
            "accepts_inconclusive",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Whether who asked takes it upon them that a gate is inconclusive.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="open",
            nullable=False,
            comment="open, promoted, inconclusive (waits for a person), rejected, cancelled or failed.",
        ),
        sa.Column(
            "stage",
            sa.Text(),
            server_default="mix",
            nullable=False,
            comment="mix, pre-training, refit, evaluation or promotion.",
        ),
        sa.Column("job_id", sa.BigInteger(), nullable=True, comment="Job that last worked on it."),
        sa.Column(
            "former_model_version_id",
            sa.BigInteger(),
            nullable=True,
            comment="Champion: what served when it began, and what it goes on from.",
        ),
        sa.Column("model_version_id", sa.BigInteger(), nullable=True, comment="Challenger that it made."),
        sa.Column("language_model", sa.Text(), nullable=True, comment="Folder of the pre-trained language model."),
        sa.Column("language_model_sha256", sa.Text(), nullable=True, comment="What its manifest must hash to."),
        sa.Column("from_report_id", sa.BigInteger(), nullable=True, comment="New reports are those after this one …"),
        sa.Column("until_report_id", sa.BigInteger(), nullable=True, comment="… and up to this one."),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="How it trains: fractions, rates, steps.",
        ),
        sa.Column(
            "counts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Reports and tokens in the mix, and what was left out of it.",
        ),
        sa.Column("step", sa.Integer(), nullable=True, comment="Steps done in this stage."),
        sa.Column("steps", sa.Integer(), nullable=True, comment="Steps of this stage."),
        sa.Column("loss", sa.Double(), nullable=True, comment="Loss of the last step."),
        sa.Column("seconds_left", sa.Double(), nullable=True, comment="Expected, of this stage."),
        sa.Column(
            "progressed_at", sa.DateTime(timezone=True), nullable=True, comment="When it last said how far it is."
        ),
        sa.Column(
            "cancel_asked_at", sa.DateTime(timezone=True), nullable=True, comment="When somebody asked to stop it."
        ),
        sa.Column("cancel_asked_by", sa.Text(), nullable=True, comment="Who."),
        sa.Column(
            "verdict", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="What each gate said, and why."
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="When it came to its end."),
        sa.CheckConstraint("(state = 'open') = (finished_at IS NULL)", name=op.f("ck_refresh_run_finished")),
        sa.CheckConstraint(
            "stage IN ('mix', 'pre-training', 'refit', 'evaluation', 'promotion')", name=op.f("ck_refresh_run_stage")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'promoted', 'inconclusive', 'rejected', 'cancelled', 'failed')",
            name=op.f("ck_refresh_run_state"),
        ),
        sa.ForeignKeyConstraint(
            ["former_model_version_id"],
            ["model_version.id"],
            name=op.f("fk_refresh_run_former_model_version_id_model_version"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_refresh_run_job_id_job")),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_version.id"], name=op.f("fk_refresh_run_model_version_id_model_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refresh_run")),
        sa.UniqueConstraint("model_version_id", name=op.f("uq_refresh_run_model_version_id")),
        comment="Refreshes of the language model: why, how far, and what the gates said.",
    )
    op.create_index(
        "uq_refresh_run_open", "refresh_run", ["state"], unique=True, postgresql_where=sa.text("state = 'open'")
    )
    op.create_table(
        "refresh_item",
        sa.Column("refresh_run_id", sa.BigInteger(), nullable=False, comment="Refresh."),
        sa.Column("key", sa.Text(), nullable=False, comment="SHA-256 of the text's record, as in the buffer."),
        sa.Column("report_id", sa.BigInteger(), nullable=True, comment="Report version; null for general text."),
        sa.Column("part", sa.Text(), nullable=False, comment="new or replayed."),
        sa.Column("stratum", sa.Text(), nullable=False, comment="Site, language and period, or general and language."),
        sa.Column(
            "left_out_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When a start or resume found it withdrawn or amended, and left it out.",
        ),
        sa.CheckConstraint("part IN ('new', 'replayed')", name=op.f("ck_refresh_item_part")),
        sa.ForeignKeyConstraint(
            ["refresh_run_id"], ["refresh_run.id"], name=op.f("fk_refresh_item_refresh_run_id_refresh_run")
        ),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_refresh_item_report_id_report")),
        sa.PrimaryKeyConstraint("refresh_run_id", "key", name=op.f("pk_refresh_item")),
        comment="The training mix of a refresh: exactly which texts, by id and hash.",
    )
    op.create_table(
        "evaluation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Evaluation."),
        sa.Column("refresh_run_id", sa.BigInteger(), nullable=False, comment="Refresh."),
        sa.Column("model_version_id", sa.BigInteger(), nullable=False, comment="Model version measured."),
        sa.Column("metric", sa.Text(), nullable=False, comment="macro-f1, pearson, bits-per-byte or churn."),
        sa.Column(
            "suite", sa.Text(), nullable=False, comment="On what: a site, a language of sentence pairs, or a stratum."
        ),
        sa.Column(
            "earlier",
            sa.Boolean(),
            nullable=False,
            comment="Whether the champion had learnt from it; only then does it gate.",
        ),
        sa.Column("value", sa.Double(), nullable=False, comment="The figure; lower is better for bits per byte."),
        sa.Column("low", sa.Double(), nullable=True, comment="Lower end of its 95 % interval."),
        sa.Column("high", sa.Double(), nullable=True, comment="Upper end of it."),
        sa.Column(
            "items", sa.Integer(), nullable=False, comment="Reports, pairs or hidden words that it was measured on."
        ),
        sa.Column(
            "evaluated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When."
        ),
        sa.CheckConstraint(
            "metric IN ('macro-f1', 'pearson', 'bits-per-byte', 'churn')", name=op.f("ck_evaluation_metric")
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_version.id"], name=op.f("fk_evaluation_model_version_id_model_version")
        ),
        sa.ForeignKeyConstraint(
            ["refresh_run_id"], ["refresh_run.id"], name=op.f("fk_evaluation_refresh_run_id_refresh_run")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
        sa.UniqueConstraint(
            "refresh_run_id",
            "model_version_id",
            "metric",
            "suite",
            name=op.f("uq_evaluation_refresh_run_id_model_version_id_metric_suite"),
        ),
        comment="What the gates of a refresh measured, of champion and challenger alike.",
    )
    op.create_index("ix_evaluation_model_version_id", "evaluation", ["model_version_id"], unique=False)
    op.create_table(
        "drift_signal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Signal."),
        sa.Column(
            "measured_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When; one time for all of a night.",
        ),
        sa.Column("model_version_id", sa.BigInteger(), nullable=False, comment="Model that served."),
        sa.Column("site", sa.Text(), nullable=False, comment="Hospital."),
        sa.Column(
            "signal",
            sa.Text(),
            nullable=False,
            comment="unknown-pieces, fertility, bits-per-byte, prevalence or uncertain-labels.",
        ),
        sa.Column("label_id", sa.BigInteger(), nullable=True, comment="Finding, for prevalence."),
        sa.Column("value", sa.Double(), nullable=False, comment="Measured on the new reports."),
        sa.Column(
            "reference", sa.Double(), nullable=True, comment="The same on reports known before; null if there are none."
        ),
        sa.Column(
            "drift",
            sa.Double(),
            nullable=True,
            comment="What is held against the threshold: a rise over the reference, or for prevalence the population "
            "stability index; null without a reference.",
        ),
        sa.Column("threshold", sa.Double(), nullable=True, comment="Above it a refresh is due; null: never."),
        sa.Column("reports", sa.Integer(), nullable=False, comment="New reports that it was measured on."),
        sa.CheckConstraint(
            "signal IN ('unknown-pieces', 'fertility', 'bits-per-byte', 'prevalence', 'uncertain-labels')",
            name=op.f("ck_drift_signal_signal"),
        ),
        sa.ForeignKeyConstraint(["label_id"], ["label.id"], name=op.f("fk_drift_signal_label_id_label")),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_version.id"], name=op.f("fk_drift_signal_model_version_id_model_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_signal")),
        comment="How far the new reports of a site are from what the serving model knows. A row per night.",
    )
    op.create_index("ix_drift_signal_measured_at", "drift_signal", ["measured_at"], unique=False)


def downgrade() -> None:
    """Back to 0002. Replay buffer, refreshes and their figures are lost; the models they made stay."""
    for name in (*reversed(NEW_VIEWS), "model_history"):
        op.execute(f"DROP VIEW {name}")
    for name in TABLES:
        op.drop_table(name)
    op.drop_column("model_version", "language_model_sha256")
    op.drop_column("model_version", "language_model")
    listed = ", ".join(f"'{kind}'" for kind in JOBS_BEFORE)
    # Their history goes with them: nothing else refers to these jobs.
    op.execute(f"DELETE FROM job_failure WHERE job_id IN (SELECT id FROM job WHERE kind NOT IN ({listed}))")
    op.execute(f"DELETE FROM job WHERE kind NOT IN ({listed})")
    _one_of("job", "kind", JOBS_BEFORE)
    listed = ", ".join(f"'{kind}'" for kind in EVENTS_BEFORE)
    op.execute(f"DELETE FROM event WHERE kind NOT IN ({listed})")
    _one_of("event", "kind", EVENTS_BEFORE)
    op.execute(sql("model_history_v1"))
    op.execute(sql("model_history_v2"))
    op.execute("GRANT SELECT ON model_history TO nightread_analyst, nightread_reader, nightread_app")
