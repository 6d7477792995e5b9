"""A hospital's own PostgreSQL and Redis over TCP, with nothing of Nightread in them yet; the programs beside them."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from clusters import administer

from nightread.servers import running
from nightread.servers.binaries import installed
from pipeline.names import Role

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Hospital:
    """Where the servers are and how their administrator gets in."""

    postgres: str  # host:port
    superuser_password: str
    redis: str  # host:port
    redis_password: str

    @property
    def pgpass(self) -> str:
        """The line of `~/.pgpass` for the superuser."""
        return f"{self.postgres}:*:postgres:{self.superuser_password}\n"

    def execute(self, *statements: str) -> None:
        host, _, port = self.postgres.partition(":")
        where = {"host": host, "port": port, "user": "postgres", "password": self.superuser_password}
        administer(*statements, dbname="postgres", **where)


@contextmanager
def hospital() -> Iterator[Hospital]:
    """Servers of their own, on free ports of the loopback, for as long as the body runs."""
    # Not tmp_path: as root the servers run as another account, which cannot reach into pytest's folder.
    home = Path(tempfile.mkdtemp(prefix="nightread-hospital-", dir="/tmp"))
    home.chmod(0o711)
    try:
        with running(home, tcp=True) as addresses:
            broker = urlsplit(addresses.broker_url)
            found = Hospital(
                postgres=f"{addresses.host}:{addresses.port}",
                superuser_password=json.loads((home / "credentials.json").read_text())["postgres"],
                redis=f"{broker.hostname}:{broker.port}",
                redis_password=broker.password or "",
            )
            # The embedded servers come with our roles; a hospital's do not.
            found.execute("DROP DATABASE nightread", *(f"DROP ROLE {role}" for role in Role))
            yield found
    finally:
        shutil.rmtree(home, ignore_errors=True)


def programs(folder: Path) -> Path:
    """A folder for the PATH: PostgreSQL's and Redis's programs from their wheels, and `nightread` as installed."""
    folder.mkdir()
    binaries = installed()
    for name in ("psql", "pg_dump", "pg_dumpall", "pg_restore"):
        (folder / name).symlink_to(binaries.tool(name))
    for name in ("redis-server", "redis-cli"):
        (folder / name).symlink_to(binaries.redis.with_name(name))
    nightread = folder / "nightread"
    nightread.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m nightread "$@"\n')
    nightread.chmod(0o755)
    return folder


def without_nightread() -> dict[str, str]:
    """Our environment without anything of Nightread's or PostgreSQL's, in which a test's own would not show."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTREAD_", "PG"))}
