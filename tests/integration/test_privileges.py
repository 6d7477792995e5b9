"""Who may do what in the database: open to each role exactly as far as meant."""

import pytest
from clusters import TABLES, TEXT_VIEWS, rows, views
from under_test import HouseUnderTest

from pipeline.names import Role

APPEND_ONLY = {"event", "classification", "finding", "fitted_on", "job_failure", "evaluation", "drift_signal"}
# What was withdrawn leaves them.
DELETED_FROM = {"replay_item"}


def privileges(url: str, role: str) -> dict[str, set[str]]:
    found = rows(
        url,
        f"""
        SELECT c.relname, p.name FROM pg_class c
        CROSS JOIN unnest('{{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,MAINTAIN}}'::text[]) AS p (name)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
          AND (has_table_privilege('{role}', c.oid, p.name)
               OR p.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                  AND has_any_column_privilege('{role}', c.oid, p.name))
        """,
    )
    allowed: dict[str, set[str]] = {}
    for relation, privilege in found:
        allowed.setdefault(relation, set()).add(privilege)
    return allowed


def test_views_with_report_text_are_those_that_postgres_knows_of(migrated: str) -> None:
    reaching_text = rows(
        migrated,
        """
        WITH RECURSIVE reaching AS (
            SELECT r.ev_class AS view FROM pg_depend d
            JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
            JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.refobjid IN ('report'::regclass, 'annotation'::regclass) AND a.attname = 'text'
            UNION
            SELECT r.ev_class FROM reaching JOIN pg_depend d ON d.refobjid = reaching.view
            JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
        )
        SELECT DISTINCT view::regclass::text FROM reaching
        """,
    )
    assert {view for (view,) in reaching_text} == TEXT_VIEWS


def test_the_analyst_reads_every_view_without_text_and_nothing_else(migrated: str) -> None:
    assert privileges(migrated, Role.ANALYST) == {view: {"SELECT"} for view in views(migrated) - TEXT_VIEWS}


def test_the_reader_reads_every_view_and_no_table(migrated: str) -> None:
    assert privileges(migrated, Role.READER) == {view: {"SELECT"} for view in views(migrated)}


def test_the_app_writes_tables_and_only_adds_to_history(migrated: str) -> None:
    assert privileges(migrated, Role.APP) == {
        **{view: {"SELECT"} for view in views(migrated)},
        **{table: {"SELECT", "INSERT", "UPDATE"} for table in TABLES - APPEND_ONLY - DELETED_FROM},
        **{table: {"SELECT", "INSERT", "UPDATE", "DELETE"} for table in DELETED_FROM},
        **{table: {"SELECT", "INSERT"} for table in APPEND_ONLY},
        "alembic_version": {"SELECT"},
    }


def test_everybody_else_may_do_nothing(migrated: str) -> None:
    assert privileges(migrated, "public") == {}
    assert rows(migrated, "SELECT has_function_privilege('public', 'generate_report_labels(bigint)', 'EXECUTE')") == [
        (False,)
    ]


@pytest.mark.parametrize("role", [Role.APP, Role.ANALYST, Role.READER])
def test_only_the_owner_makes_anything_in_the_schema(role: Role, migrated: str) -> None:
    assert rows(migrated, f"SELECT has_schema_privilege('{role}', 'public', 'CREATE')") == [(False,)]
    assert rows(migrated, f"SELECT has_schema_privilege('{role}', 'public', 'USAGE')") == [(True,)]
    assert rows(migrated, f"SELECT pg_has_role('{role}', '{Role.OWNER}', 'MEMBER')") == [(False,)]


def refused(house: HouseUnderTest, role: Role, statement: str) -> bool:
    try:
        house.rows(statement, role)
    except Exception as error:  # noqa: BLE001 - SQLAlchemy has many names for it; the code counts
        return getattr(getattr(error, "orig", None), "pgcode", None) == "42501"
    return False


def test_every_relation_tried(house: HouseUnderTest, migrated: str) -> None:
    for relation in sorted(views(migrated) | TABLES):
        tried = f'SELECT * FROM "{relation}" LIMIT 1'
        assert refused(house, Role.ANALYST, tried) == (relation in TABLES | TEXT_VIEWS), relation
        assert refused(house, Role.READER, tried) == (relation in TABLES), relation


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE report ADD COLUMN x int",
        "DROP VIEW finding_words",
        "CREATE TABLE x ()",
        "CREATE VIEW x AS SELECT 1",
        "CREATE OR REPLACE FUNCTION generate_report_labels(bigint) RETURNS void LANGUAGE sql AS 'SELECT'",
        "TRUNCATE report CASCADE",
        "UPDATE event SET payload = '{}'",
        "DELETE FROM event",
        "UPDATE classification SET probabilities = '{}'",
        "DELETE FROM classification",
        "UPDATE finding SET probability = 0",
        "DELETE FROM finding",
        "DELETE FROM report",
        f"SET ROLE {Role.OWNER}",
    ],
)
def test_the_app_can_neither_alter_the_schema_nor_rewrite_history(statement: str, house: HouseUnderTest) -> None:
    assert refused(house, Role.APP, statement)
