"""The schema: one head, equal to the tables, explained, and open to each role exactly as far as meant."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from under_test import HouseUnderTest

import migrations
from migrations import SchemaBehind
from migrations.revisions import config
from migrations.roles import RolesMissing
from migrations.schema import HEAD
from nightread.servers import Addresses, running
from pipeline import label_sets
from pipeline.database import Sessions, driver_url, engine
from pipeline.names import Role
from pipeline.tables import Table

TEXT_VIEWS = {"report_texts", "finding_words", "note_nlp"}
APPEND_ONLY = {"event", "classification", "finding", "fitted_on", "job_failure", "evaluation", "drift_signal"}
# What was withdrawn leaves them.
DELETED_FROM = {"replay_item"}
TABLES = {table.name for table in Table.metadata.sorted_tables}


class Cluster:
    """A PostgreSQL in which tests make databases and logins of their own."""

    def __init__(self, addresses: Addresses, home: Path) -> None:
        password = json.loads((home / "credentials.json").read_text())["postgres"]
        owner = make_url(addresses.database_url(Role.OWNER))
        self._superuser = owner.set(username="postgres", password=password)
        self.made: list[str] = []

    def url(self, database: str, login: str | None = None) -> str:
        url = self._superuser.set(database=database)
        if login is not None:
            url = url.set(username=login, password=f"pw-{login}")
        return url.render_as_string(hide_password=False)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def database(self, name: str, *, owner: str = "postgres") -> str:
        self.execute(f'CREATE DATABASE {name} OWNER "{owner}"')
        self.made.append(name)
        return name

    def drop(self) -> None:
        self.execute(*(f"DROP DATABASE {name} WITH (FORCE)" for name in self.made))
        self.made = []


@pytest.fixture(scope="module")
def cluster(addresses: Addresses, servers_home: Path) -> Iterator[Cluster]:
    """The tests' own servers, where Nightread's roles exist."""
    here = Cluster(addresses, servers_home)
    yield here
    here.drop()


@pytest.fixture(scope="module")
def migrated(cluster: Cluster) -> str:
    """The URL of a freshly migrated database, as its superuser."""
    url = cluster.url(cluster.database("freshly_migrated", owner=Role.OWNER))
    migrations.upgrade(url)
    return url


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    bound = create_engine(driver_url(url))
    try:
        with bound.connect() as connection:
            yield connection
    finally:
        bound.dispose()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with connected(url) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


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


# --- who may do what


def views(url: str) -> set[str]:
    return {name for (name,) in rows(url, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")}


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


# --- a hospital's own server, where Nightread's roles do not exist yet


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    """A server that has never heard of Nightread, with a login that may do nothing and one that may create roles."""
    home = Path(tempfile.mkdtemp(prefix="nightread-bare-", dir="/tmp"))
    home.chmod(0o711)
    try:
        with running(home) as addresses:
            here = Cluster(addresses, home)
            here.execute("DROP DATABASE nightread", *(f"DROP ROLE {role}" for role in Role))
            here.execute("CREATE ROLE plain LOGIN PASSWORD 'pw-plain'")
            here.execute("CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'pw-maker'")
            yield here
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def hospital(bare: Cluster) -> Iterator[Cluster]:
    yield bare
    bare.drop()
    bare.execute(*(f"DROP ROLE IF EXISTS {role}" for role in Role))


def statements(message: str) -> list[str]:
    return [line for line in message.splitlines() if line.endswith(";")]


def works(url: str) -> None:
    """The login can act as each role, and the owner owns what there is."""
    migrations.upgrade(url)
    for role in Role:
        bound = engine(url, role)
        with bound.connect() as connection:
            assert connection.execute(text("SELECT current_user")).scalar() == role
            connection.execute(text("SELECT * FROM completeness"))
        bound.dispose()
    owners = rows(url, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert owners == [(Role.OWNER,)]


def test_a_login_without_rights_gets_the_sql_for_the_administrator(hospital: Cluster) -> None:
    url = hospital.url(hospital.database("hospital"), "plain")
    with pytest.raises(RolesMissing) as missing:
        migrations.upgrade(url)
    message = str(missing.value)
    assert "pw-plain" not in message
    assert [f"CREATE ROLE {role} NOLOGIN;" for role in Role] == statements(message)[: len(Role)]
    hospital.execute(*statements(message), database="hospital")
    works(url)


def test_a_login_that_is_no_member_gets_only_what_is_missing(hospital: Cluster) -> None:
    url = hospital.url(hospital.database("hospital"), "plain")
    hospital.execute(*(f"CREATE ROLE {role} NOLOGIN" for role in Role))
    with pytest.raises(RolesMissing) as missing:
        migrations.upgrade(url)
    assert "CREATE ROLE" not in str(missing.value)
    hospital.execute(*statements(str(missing.value)), database="hospital")
    works(url)


def test_a_login_that_may_create_roles_and_owns_its_database_needs_nobody(hospital: Cluster) -> None:
    works(hospital.url(hospital.database("hospital", owner="maker"), "maker"))


def test_a_login_that_may_create_roles_in_someone_else_s_database_gets_sql_that_works(hospital: Cluster) -> None:
    url = hospital.url(hospital.database("hospital"), "maker")
    with pytest.raises(RolesMissing) as missing:
        migrations.upgrade(url)
    hospital.execute(*statements(str(missing.value)), database="hospital")
    works(url)


@pytest.mark.parametrize("login", ["plain", "maker"])
def test_temporary_tables_taken_from_everybody_are_given_to_the_application(hospital: Cluster, login: str) -> None:
    url = hospital.url(hospital.database("hospital", owner="maker"), login)
    hospital.execute("REVOKE TEMPORARY ON DATABASE hospital FROM PUBLIC")
    if login == "plain":  # only an administrator can
        with pytest.raises(RolesMissing) as missing:
            migrations.upgrade(url)
        hospital.execute(*statements(str(missing.value)), database="hospital")
    works(url)
    bound = engine(url, Role.APP)
    with bound.begin() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE one (two int)"))
    bound.dispose()


def test_a_superuser_needs_nobody(hospital: Cluster) -> None:
    works(hospital.url(hospital.database("hospital")))


def test_a_second_database_of_the_same_server_has_its_roles_already(hospital: Cluster) -> None:
    works(hospital.url(hospital.database("hospital", owner="maker"), "maker"))
    works(hospital.url(hospital.database("hospital_2", owner="maker"), "maker"))


def test_the_command_prints_that_sql_and_nothing_secret(hospital: Cluster, house: HouseUnderTest) -> None:
    url = hospital.url(hospital.database("hospital"), "plain")
    named = {f"NIGHTREAD_{name}DATABASE_URL": "" for name in ("OWNER_", "ANALYST_", "READER_")}
    done = house.command("migrate", NIGHTREAD_DATABASE_URL=url, NIGHTREAD_BROKER_URL="redis://nowhere", **named)
    assert done.returncode == 1
    for role in Role:
        assert f"CREATE ROLE {role} NOLOGIN;" in done.stderr
    assert "pw-plain" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_default_labels_are_registered(migrated: str) -> None:
    found = rows(migrated, "SELECT l.name, l.column_name FROM label l ORDER BY position")
    assert found == [(name, column) for name, column, _ in label_sets.CT_RATE_FINDINGS]
    assert "report_labels" in views(migrated)
