"""A hospital's own server, where Nightread's roles do not exist yet: who may migrate, and what the others are told."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import Cluster, rows
from sqlalchemy import text
from under_test import HouseUnderTest

import migrations
from migrations.roles import RolesMissing
from nightread.servers import running
from pipeline.database import engine
from pipeline.names import Role


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
