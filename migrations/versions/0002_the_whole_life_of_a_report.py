"""The whole life of a report: releases, readings by annotators, failures, pauses, codes, who and when."""

import sqlalchemy as sa
from alembic import op

from migrations.schema import sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A view that exists is replaced, its new columns behind the old ones, so that views of the data team's own stay.
REPLACED_VIEWS = (
    ("report_state", 1, 2),
    ("report_findings", 1, 2),
    ("run_summary", 1, 2),
    ("model_history", 1, 2),
    ("dead_letters", 1, 2),
    ("quarantined_records", 1, 2),
)
# They stand on tables alone, and come first: dead_letters counts in dead_letter_history.
NEW_VIEWS = ("dead_letter_history", "feed_state", "label_catalogue")
# What stands on report_state has to go before it can be made anew with fewer columns, and come back after.
ON_REPORT_STATE = ("completeness",)

EVENTS_BEFORE = ("ReportsReceived", "ReportsWithdrawn", "ReportsLabelled", "ModelPromoted")
EVENTS = (
    *EVENTS_BEFORE,
    "ModelWithdrawn",
    "RecordReleased",
    "DeadLetterRetried",
    "DeadLetterDropped",
    "SchedulePaused",
    "ScheduleResumed",
)
STATES_BEFORE = ("ready", "running", "done", "dead")
STATES = (*STATES_BEFORE, "dropped")


def _one_of(table: str, column: str, values: tuple[str, ...]) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{column}"), table, type_="check")
    listed = ", ".join(f"'{value}'" for value in values)
    op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, f"{column} IN ({listed})")


def upgrade() -> None:
    _one_of("event", "kind", EVENTS)
    _feeds_and_schedules()
    _quarantine()
    _jobs()
    _annotations_and_labels()
    _models()
    for name in NEW_VIEWS:
        op.execute(sql(f"{name}_v1"))
    for name, _, version in REPLACED_VIEWS:
        op.execute(sql(f"{name}_v{version}"))
    op.execute(sql("generate_report_labels_v2"))
    op.execute(sql("grants_v2"))


def _feeds_and_schedules() -> None:
    op.add_column(
        "feed",
        sa.Column(
            "quiet_nights",
            sa.SmallInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Scheduled pulls in a row that may bring nothing.",
        ),
    )
    op.add_column(
        "schedule_tick",
        sa.Column(
            "paused",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Whether it was let pass because the schedule was paused.",
        ),
    )
    op.create_table(
        "schedule_pause",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Pause."),
        sa.Column("schedule", sa.Text(), nullable=False, comment="Schedule, e.g. pull:NAME; * for all."),
        sa.Column(
            "paused_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Since when.",
        ),
        sa.Column("paused_by", sa.Text(), nullable=False, comment="Who paused it."),
        sa.Column("note", sa.Text(), comment="Why, in their words."),
        sa.Column("resumed_at", sa.DateTime(timezone=True), comment="Until when; null while it is paused."),
        sa.Column("resumed_by", sa.Text(), comment="Who resumed it."),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_pause")),
        comment="Schedules that people paused and resumed.",
    )
    op.create_index(
        "uq_schedule_pause_open",
        "schedule_pause",
        ["schedule"],
        unique=True,
        postgresql_where=sa.text("resumed_at IS NULL"),
    )


def _quarantine() -> None:
    op.alter_column(
        "quarantine",
        "reason",
        comment="Why, as one word, e.g. broken-json or identifying-data.",
        existing_comment="Why, as one word, e.g. broken-json.",
    )
    for column in (
        sa.Column(
            "kinds",
            sa.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Kinds of identifying data that the text held; never the data.",
        ),
        sa.Column("released_at", sa.DateTime(timezone=True), comment="When someone released it and it was read again."),
        sa.Column("released_by", sa.Text(), comment="Who released it."),
        sa.Column("release_note", sa.Text(), comment="Why, in their words."),
        sa.Column("release_outcome", sa.Text(), comment="What reading it again came to, e.g. new."),
        sa.Column("released_report_id", sa.BigInteger(), comment="Report version that it became, if it did."),
    ):
        op.add_column("quarantine", column)
    op.create_foreign_key(
        op.f("fk_quarantine_released_report_id_report"), "quarantine", "report", ["released_report_id"], ["id"]
    )
    # A record had a row for each kind that it was ever held back for; now it has one row that names them all.
    held_back = "reason LIKE 'identifying-data:%'"
    op.execute(
        "UPDATE quarantine q SET kinds = every.kinds FROM ("
        "SELECT max(id) AS id, array_agg(split_part(reason, ':', 2) ORDER BY id) AS kinds "
        f"FROM quarantine WHERE {held_back} GROUP BY feed, place, record_hash) every WHERE q.id = every.id"
    )
    op.execute(f"DELETE FROM quarantine WHERE {held_back} AND kinds = '{{}}'")
    op.execute(f"UPDATE quarantine SET reason = 'identifying-data' WHERE {held_back}")


def _jobs() -> None:
    op.alter_column(
        "job",
        "state",
        comment="ready, running, done, dead or dropped.",
        existing_comment="ready, running, done or dead.",
    )
    _one_of("job", "state", STATES)
    op.add_column("job", sa.Column("parent_id", sa.BigInteger(), comment="Job that it is a half of."))
    op.create_foreign_key(op.f("fk_job_parent_id_job"), "job", "job", ["parent_id"], ["id"])
    op.create_check_constraint(op.f("ck_job_parent"), "job", "id <> parent_id")
    op.create_index("ix_job_parent_id", "job", ["parent_id"], postgresql_where=sa.text("parent_id IS NOT NULL"))
    op.add_column(
        "job",
        sa.Column(
            "scheduled_at", sa.DateTime(timezone=True), comment="Scheduled time that it serves; null if asked for."
        ),
    )
    _dead_reports("state IN ('dead', 'dropped')")
    op.add_column("report", sa.Column("job_id", sa.BigInteger(), comment="Pull that brought it; null if released."))
    op.create_foreign_key(op.f("fk_report_job_id_job"), "report", "job", ["job_id"], ["id"])
    op.create_index("ix_report_job_id", "report", ["job_id"])
    # A feed has one pull at a time, so the time tells which one brought a report.
    op.execute(
        "UPDATE report r SET job_id = j.id FROM job j WHERE j.kind = 'pull' AND j.feed = r.feed "
        "AND r.received_at BETWEEN j.created_at AND j.finished_at"
    )
    op.create_table(
        "job_failure",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of the failures."),
        sa.Column("job_id", sa.BigInteger(), nullable=False, comment="Job."),
        sa.Column("epoch", sa.Integer(), nullable=False, comment="Claim that failed."),
        sa.Column(
            "cause",
            sa.Text(),
            nullable=False,
            comment="work, environment (given back) or silence (its worker fell silent).",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="What went wrong; never report text."),
        sa.Column("worker", sa.Text(), comment="Host and process that had it."),
        sa.Column("model_version_id", sa.BigInteger(), comment="Model that it read with."),
        sa.Column(
            "failed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When."
        ),
        sa.CheckConstraint("cause IN ('work', 'environment', 'silence')", name=op.f("ck_job_failure_cause")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_failure_job_id_job")),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_version.id"], name=op.f("fk_job_failure_model_version_id_model_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_failure")),
        comment="Attempts that failed, each with its reason: the history of a dead letter. Append-only.",
    )
    op.create_index("ix_job_failure_job_id", "job_failure", ["job_id"])


def _dead_reports(where: str) -> None:
    op.drop_index("ix_job_dead_reports", "job")
    op.create_index(
        "ix_job_dead_reports", "job", ["report_ids"], postgresql_using="gin", postgresql_where=sa.text(where)
    )


def _annotations_and_labels() -> None:
    op.alter_column(
        "annotation",
        "labels",
        comment="0 or 1 by label position; what the annotators' readings come to.",
        existing_comment="0 or 1 by label position.",
    )
    op.create_table(
        "annotation_reading",
        sa.Column("annotation_id", sa.BigInteger(), nullable=False, comment="Annotated report."),
        sa.Column("annotator", sa.Text(), nullable=False, comment="Who read it."),
        sa.Column(
            "decides",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Whether this reading settles disputes between the others.",
        ),
        sa.Column("labels", sa.ARRAY(sa.SmallInteger()), nullable=False, comment="0 or 1 by label position."),
        sa.Column(
            "imported_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first imported.",
        ),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["annotation.id"], name=op.f("fk_annotation_reading_annotation_id_annotation")
        ),
        sa.PrimaryKeyConstraint("annotation_id", "annotator", name=op.f("pk_annotation_reading")),
        comment="What each annotator said of a report; annotation.labels is what they come to.",
    )
    # What was imported before has one reader, whose name nobody noted.
    op.execute(
        "INSERT INTO annotation_reading (annotation_id, annotator, labels, imported_at) "
        "SELECT id, 'unknown', labels, imported_at FROM annotation"
    )
    op.add_column("label", sa.Column("snomed_ct", sa.Text(), comment="SNOMED CT concept id."))
    op.add_column("label", sa.Column("radlex", sa.Text(), comment="RadLex id, e.g. RID34539."))


def _models() -> None:
    for column in (
        sa.Column("created_by", sa.Text(), comment="Who made it."),
        sa.Column("promoted_by", sa.Text(), comment="Who promoted it."),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), comment="When a rollback withdrew it."),
        sa.Column("withdrawn_by", sa.Text(), comment="Who withdrew it."),
        sa.Column("stage_note", sa.Text(), comment="Why it was last promoted or withdrawn, in their words."),
    ):
        op.add_column("model_version", column)


def downgrade() -> None:
    """Back to 0001. What only 0002 can say is lost: dropped dead letters are dead again, new facts are gone."""
    # report_labels and the views on current_classification do not depend on any of these.
    for name in (*ON_REPORT_STATE, *(name for name, _, _ in reversed(REPLACED_VIEWS)), *reversed(NEW_VIEWS)):
        op.execute(f"DROP VIEW {name}")
    op.execute("DROP FUNCTION generate_report_labels(bigint)")
    for column in ("stage_note", "withdrawn_by", "withdrawn_at", "promoted_by", "created_by"):
        op.drop_column("model_version", column)
    op.drop_column("label", "radlex")
    op.drop_column("label", "snomed_ct")
    op.drop_table("annotation_reading")
    op.alter_column("annotation", "labels", comment="0 or 1 by label position.")
    op.drop_table("job_failure")
    op.drop_column("report", "job_id")
    op.drop_column("job", "scheduled_at")
    op.drop_column("job", "parent_id")
    op.execute("UPDATE job SET state = 'dead' WHERE state = 'dropped'")
    _dead_reports("state = 'dead'")
    _one_of("job", "state", STATES_BEFORE)
    op.alter_column("job", "state", comment="ready, running, done or dead.")
    op.execute(
        "UPDATE quarantine SET reason = reason || ':' || kinds[1] WHERE reason = 'identifying-data' AND kinds <> '{}'"
    )
    for name in ("released_report_id", "release_outcome", "release_note", "released_by", "released_at", "kinds"):
        op.drop_column("quarantine", name)
    op.alter_column("quarantine", "reason", comment="Why, as one word, e.g. broken-json.")
    op.drop_table("schedule_pause")
    op.drop_column("schedule_tick", "paused")
    op.drop_column("feed", "quiet_nights")
    listed = ", ".join(f"'{kind}'" for kind in EVENTS_BEFORE)
    op.execute(f"DELETE FROM event WHERE kind NOT IN ({listed})")
    _one_of("event", "kind", EVENTS_BEFORE)
    for name, version, _ in REPLACED_VIEWS:
        op.execute(sql(f"{name}_v{version}"))
    for name in ON_REPORT_STATE:
        op.execute(sql(f"{name}_v1"))
    op.execute(sql("generate_report_labels_v1"))
    op.execute(sql("grants_v1"))
