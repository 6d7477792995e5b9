"""The data team's questions: what amendments changed, what annotators say, and one day found by index."""

from alembic import op

from migrations.schema import sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NEW_VIEWS = ("amended_labels", "annotated_labels")


def upgrade() -> None:
    # With the columns it had, so that views of the data team's own stay.
    op.execute(sql("daily_prevalence_v2"))
    for name in NEW_VIEWS:
        op.execute(sql(f"{name}_v1"))
    op.execute(sql("grants_v4"))


def downgrade() -> None:
    """Back to 0003. Nothing is lost."""
    for name in reversed(NEW_VIEWS):
        op.execute(f"DROP VIEW {name}")
    # Its first file makes it; here it is there, and the data team's own views may stand on it.
    op.execute(sql("daily_prevalence_v1").replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))
