"""PostgreSQL 18 in a folder: initdb, start, roles, stop."""

import logging
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress

import psutil
import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from nightread.servers.binaries import Binaries
from nightread.servers.errors import NotAnsweringError, ServersError
from nightread.servers.place import Place, sync_folder
from nightread.servers.processes import end, marked
from nightread.servers.server import START_PATIENCE_S, Server, free_port
from pipeline.names import Role

log = logging.getLogger("nightread.servers")

DATABASE = "nightread"
SOCKET_PORT = 5432  # names the socket file where there is no TCP
SUPERUSER = "postgres"

# Given on the command line at every start, where no file in the data folder overrides them.
SETTINGS = {
    "unix_socket_permissions": "0700",
    "fsync": "on",
    # No report text in the log: no statements, no DETAIL or CONTEXT, and no ERROR lines at all ("log" ranks
    # above "error" here), because an error may quote the value that it refuses. The client hears them all.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_checkpoints": "off",  # a line every five minutes of work, for ever
}

# Written into postgresql.conf once: a small machine's share, and a hospital may tune it there.
TUNING = {"shared_buffers": "128MB", "max_connections": "100"}


class Postgres(Server):
    title = "PostgreSQL"
    process = "postgres"
    ends_at = signal.SIGQUIT  # to the postmaster an immediate shutdown, to its orphans an end

    def __init__(self, place: Place, binaries: Binaries, passwords: Mapping[str, str]) -> None:
        super().__init__(place, "postgres")
        self.binaries = binaries
        self.passwords = passwords

    def port(self) -> int:
        lines = self._postmaster()
        return int(lines[3]) if lines[5].strip() else 0

    def socket_port(self) -> int:
        """The number in the socket's name; the same as the TCP port where there is one."""
        return int(self._postmaster()[3])

    def ask(self) -> None:
        with self._superuser() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def clear(self) -> None:
        self._clear_interrupted_initdb()
        (self.folder / "postmaster.pid").unlink(missing_ok=True)  # its number may be another process's by now
        for socket in self.place.sockets.glob(".s.PGSQL.*"):
            socket.unlink()

    def launch(self, *, tcp: bool) -> str:
        if not self.folder.exists():
            self._initdb()
        settings = SETTINGS | {
            "cluster_name": self.place.mark,  # stands in the title of every process
            "listen_addresses": "127.0.0.1" if tcp else "",
            "port": str(free_port() if tcp else SOCKET_PORT),
            "unix_socket_directories": self.place.as_servers_see(self.place.sockets),
        }
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
        # Paths are relative, since pg_ctl hands them to a shell; -w, since pg_ctl alone knows its child.
        patience = str(START_PATIENCE_S)
        started = self._tool(
            "pg_ctl", "start", "-w", "-t", patience, "-D", "postgres", "-l", "postgres.log", "-o", options
        )
        return started.stderr.strip()

    def shut_down(self) -> None:
        self._tool("pg_ctl", "stop", "-m", "fast", "-w", "-t", "60", "-D", "postgres")

    def complete_roles(self) -> None:
        """The roles and the database that are still missing; what they may do is the migrations' affair."""
        with self._superuser() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_roles")
            there = {name for (name,) in cursor.fetchall()}
            for role in Role:
                if role not in there:
                    cursor.execute(
                        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                            sql.Identifier(role), sql.Literal(self.passwords[role])
                        )
                    )
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(Role.OWNER))
                )
            # Asked first, so that attaching writes nothing.
            for database in (DATABASE, "postgres", "template1"):
                if _may_connect(cursor, "public", database):
                    cursor.execute(
                        sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
                    )
            for role in Role:
                if not _may_connect(cursor, role, DATABASE):
                    cursor.execute(
                        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                            sql.Identifier(DATABASE), sql.Identifier(role)
                        )
                    )

    def _initdb(self) -> None:
        """Into a folder beside, renamed when whole: the data folder exists only finished."""
        log.info("making a new PostgreSQL data folder in %s", self.folder)
        reading, writing = os.pipe()
        try:
            if self.place.account:
                os.fchown(reading, self.place.account.uid, self.place.account.gid)  # initdb opens it by name
            os.write(writing, f"{self.passwords[SUPERUSER]}\n".encode())
            os.close(writing)
            tuning = [word for name, value in TUNING.items() for word in ("-c", f"{name}={value}")]
            made = self._tool(
                "initdb",
                *("-D", "postgres.new"),
                *("-U", SUPERUSER, f"--pwfile=/dev/fd/{reading}", "--auth=scram-sha-256"),
                # The built-in C.UTF-8 knows every script's upper and lower case and orders by code point: for
                # Hangul syllables dictionary order. Unlike libc's and ICU's orders it never changes under the
                # indexes when the machine is upgraded (and the wheel has no ICU).
                *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--data-checksums", "--no-instructions"),
                *("-c", f"cluster_name={self.place.mark}"),
                *tuning,
                pass_fds=(reading,),
            )
        finally:
            os.close(reading)
        if made.returncode:
            raise ServersError(f"initdb failed in {self.place.folder}: {made.stderr.strip()}")
        self.folder.with_name("postgres.new").rename(self.folder)
        sync_folder(self.place.folder)  # a power cut could bring back the old name, which a start deletes

    def _clear_interrupted_initdb(self) -> None:
        """A killed command leaves initdb running, or half a data folder."""
        unfinished = self.folder.with_name("postgres.new")
        for initdb in marked(self.place.mark, "initdb"):
            with suppress(psutil.NoSuchProcess):
                end([initdb, *initdb.children(recursive=True)], signal.SIGKILL)
        if unfinished.exists():
            log.info("removing the data folder of an interrupted first start")
            shutil.rmtree(unfinished)

    def _tool(self, name: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
        return self.place.run([self.binaries.tool(name), *arguments], pass_fds=pass_fds)

    @contextmanager
    def _superuser(self) -> Iterator[psycopg2.extensions.connection]:
        try:
            connection = psycopg2.connect(
                host=str(self.place.sockets),
                port=self.socket_port(),
                user=SUPERUSER,
                password=self.passwords[SUPERUSER],
                dbname="postgres",
                connect_timeout=5,
                application_name="nightread servers",
            )
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ServersError(
                    f"PostgreSQL in {self.folder} refuses the password in credentials.json; "
                    "restore the file that its data were made with"
                ) from None
            raise NotAnsweringError(str(error).strip()) from None
        with closing(connection):
            connection.autocommit = True
            try:
                yield connection
            except psycopg2.OperationalError as error:  # it is shutting down, say
                raise NotAnsweringError(f"PostgreSQL in {self.folder} broke off: {error}".strip()) from None

    def _postmaster(self) -> list[str]:
        """The lines of postmaster.pid: process id, folder, start, port, socket folder, TCP address, ..."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            lines = []
        if len(lines) < 6:
            raise NotAnsweringError("it is not listening yet")
        return lines


def _may_connect(cursor: psycopg2.extensions.cursor, role: str, database: str) -> bool:
    cursor.execute("SELECT has_database_privilege(%s, %s, 'CONNECT')", (role, database))
    return cursor.fetchone() == (True,)
