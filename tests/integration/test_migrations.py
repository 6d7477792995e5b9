"""The schema: one head, equal to the tables, explained, and upgraded from any revision."""

import os
import subprocess
import sys

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from clusters import TABLES, TEXT_VIEWS, Cluster, connected, rows, views
from sqlalchemy import text

import migrations
from migrations import SchemaAhead, SchemaBehind
from migrations.revisions import config
from migrations.schema import HEAD
from pipeline import label_sets
from pipeline.database import Sessions, engine
from pipeline.names import Role
from pipeline.tables import Table

# --- revisions and tables


def test_there_is_one_head() -> None:
    assert ScriptDirectory.from_config(config()).get_heads() == [HEAD]


def test_alembic_finds_nothing_to_do(migrated: str) -> None:
    with connected(migrated) as connection:
        asked = config()
        asked.attributes["connection"] = connection
        command.check(asked)


# What `alembic check` does not compare, or only in part: predicates, CHECKs, identity, comments.
CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
    """,
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    """,
    "comments": """
        SELECT relname, obj_description(oid) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
    """,
}


@pytest.fixture(scope="module")
def from_tables(cluster: Cluster) -> str:
    """The URL of a database made from the tables in the code, without migrations."""
    url = cluster.url(cluster.database("from_tables"))
    with connected(url) as connection:
        Table.metadata.create_all(connection)
        connection.execute(text("CREATE TABLE alembic_version ()"))
        connection.commit()
    return url


@pytest.mark.parametrize("kind", CATALOGUE)
def test_a_migrated_database_is_what_the_tables_say(kind: str, migrated: str, from_tables: str) -> None:
    found, meant = (set(rows(url, CATALOGUE[kind])) for url in (migrated, from_tables))
    assert len(meant) >= len(TABLES)
    assert found == meant


def test_the_catalogue_shows_what_alembic_does_not_see(migrated: str) -> None:
    indexes = {name: definition for _, name, definition in rows(migrated, CATALOGUE["indexes"])}
    assert indexes["uq_report_current"].endswith("WHERE is_current")
    constraints = {name: definition for _, name, definition in rows(migrated, CATALOGUE["constraints"])}
    assert "cardinality(starts)" in constraints["ck_finding_heatmap"]
    identities = {
        (table, column): identity for table, column, _, _, identity, *_ in rows(migrated, CATALOGUE["columns"])
    }
    assert identities["report", "id"] == "a"


def test_every_table_view_column_and_function_is_explained(migrated: str) -> None:
    unexplained = rows(
        migrated,
        """
        SELECT c.relname, a.attname FROM pg_class c
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p')
          AND c.relname <> 'alembic_version'  -- not ours
          AND (coalesce(obj_description(c.oid), '') = '' OR coalesce(col_description(c.oid, a.attnum), '') = '')
        UNION ALL
        SELECT proname, NULL FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND coalesce(obj_description(oid), '') = ''
        """,
    )
    assert unexplained == []


def test_the_default_labels_are_registered(migrated: str) -> None:
    found = rows(migrated, "SELECT l.name, l.column_name FROM label l ORDER BY position")
    assert found == [(name, column) for name, column, _ in label_sets.CT_RATE_FINDINGS]
    assert "report_labels" in views(migrated)


# --- upgrading


def test_two_processes_upgrade_at_once(cluster: Cluster) -> None:
    url = cluster.url(cluster.database("at_once", owner=Role.OWNER))
    upgrade = "import os, migrations; migrations.upgrade(os.environ['URL'])"
    both = [
        subprocess.Popen([sys.executable, "-c", upgrade], env={**os.environ, "URL": url}, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for one in both:
        _, complaint = one.communicate(timeout=120)
        assert one.returncode == 0, complaint.decode()
    assert rows(url, "SELECT count(*) FROM label_set") == [(1,)]


def test_up_again_down_and_up(cluster: Cluster) -> None:
    url = cluster.url(cluster.database("up_and_down", owner=Role.OWNER))
    told: list[str] = []
    migrations.upgrade(url, told=told.append)
    migrations.upgrade(url, told=told.append)
    head = ScriptDirectory.from_config(config()).get_current_head()
    assert told == [f"database schema: empty → {head}", "database schema: at head"]
    assert rows(url, "SELECT count(*) FROM label") == [(18,)]
    with connected(url) as connection:
        asked = config()
        asked.attributes["connection"] = connection
        command.downgrade(asked, "base")
        connection.commit()
    left = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
    assert rows(url, left) == [("alembic_version",)]
    migrations.upgrade(url)
    assert views(url) >= TEXT_VIEWS


def test_what_0002_renames_comes_back_as_it_was(cluster: Cluster) -> None:
    url = cluster.url(cluster.database("renamed", owner=Role.OWNER))

    def to(revision: str, statement: str, *, up: bool) -> None:
        with connected(url) as connection:
            asked = config()
            asked.attributes["connection"] = connection
            (command.upgrade if up else command.downgrade)(asked, revision)
            connection.execute(text(statement))
            connection.commit()

    kept = "SELECT reason FROM quarantined_records"
    to(
        "0001",
        "INSERT INTO feed (name, kind, site, source_system) VALUES ('f', 'k', 's', 't'); "
        "INSERT INTO quarantine (feed, place, reason, record_hash) VALUES "
        "('f', 'p', 'identifying-data:e-mail', 'h'), ('f', 'p', 'identifying-data:phone-number', 'h')",
        up=True,
    )
    to("0002", "UPDATE job SET state = 'dropped'", up=True)
    both = ["e-mail", "phone-number"]
    assert rows(url, "SELECT reason, kinds FROM quarantined_records") == [("identifying-data", both)]
    to("0001", kept, up=False)
    assert rows(url, kept) == [("identifying-data:e-mail",)]
    to("head", kept, up=True)
    assert rows(url, "SELECT kinds FROM quarantine") == [(["e-mail"],)]


def test_views_of_the_data_team_s_own_outlive_0004_in_both_directions(cluster: Cluster) -> None:
    url = cluster.url(cluster.database("own_views", owner=Role.OWNER))
    migrations.upgrade(url)
    own = "CREATE VIEW own_view AS SELECT day, sum(positives) AS positives FROM daily_prevalence GROUP BY day"
    with connected(url) as connection:
        connection.execute(text(own))
        asked = config()
        asked.attributes["connection"] = connection
        for move, revision in ((command.downgrade, "0003"), (command.upgrade, "0004")):
            move(asked, revision)
            connection.commit()
            assert connection.execute(text("SELECT * FROM own_view")).all() == []


def test_a_database_that_is_behind_is_refused_with_the_way_out(cluster: Cluster) -> None:
    bound = engine(cluster.url("postgres"))
    try:
        with pytest.raises(SchemaBehind, match=r"revision none, .*nightread migrate"):
            migrations.require_head(Sessions(bound))
    finally:
        bound.dispose()


def test_a_database_that_is_ahead_is_refused_with_the_way_out(cluster: Cluster) -> None:
    url = cluster.url(cluster.database("ahead", owner=Role.OWNER))
    migrations.upgrade(url)
    with connected(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.commit()
    bound = engine(url)
    try:
        for refused in (lambda: migrations.require_head(Sessions(bound)), lambda: migrations.upgrade(url)):
            with pytest.raises(SchemaAhead, match=r"revision 9999, .*install the newer Nightread again"):
                refused()
    finally:
        bound.dispose()
