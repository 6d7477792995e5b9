"""Attach to the servers of a home or start them; whoever leaves last stops them."""

import fcntl
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import quote

from nightread.servers import credentials
from nightread.servers.errors import ServersError
from nightread.servers.place import MANAGED, Place, choose
from nightread.servers.postgres import DATABASE, SOCKET_PORT, Postgres
from nightread.servers.server import Server
from pipeline.names import Role

if TYPE_CHECKING:
    from nightread.servers.redis import Redis

log = logging.getLogger("nightread.servers")


@dataclass(frozen=True)
class Addresses:
    """Where the house finds its servers. The passwords stay out of `repr`, and so out of logs."""

    broker_url: str = field(repr=False)
    host: str
    port: int
    passwords: Mapping[Role, str] = field(repr=False)

    def database_url(self, role: Role) -> str:
        """A libpq URL as `role`: for psql, psycopg2 and (through `pipeline.database`) SQLAlchemy."""
        user = f"{role}:{self.passwords[role]}"
        if not self.host.startswith("/"):
            return f"postgresql://{user}@{self.host}:{self.port}/{DATABASE}"
        port = "" if self.port == SOCKET_PORT else f"&port={self.port}"
        return f"postgresql://{user}@/{DATABASE}?host={quote(self.host)}{port}"


@contextmanager
def running(
    home: Path, *, tcp: bool = False, account: str | None = None, managed: Path = MANAGED
) -> Iterator[Addresses]:
    """Servers for `home`, started if nobody runs them yet, stopped by the last user who leaves.

    `tcp` gives addresses on free loopback ports instead of sockets. Started as root, the servers run as
    `account` (`nobody` by default), below `managed` where that account cannot reach `home`.

    Raises ServersError where they cannot be found, started or reached.
    """
    home = _folder(home)
    with _signals_unwind(), ExitStack() as open_files:
        # The kernel counts the users: each holds a shared lock for as long as it lives, kill -9 included.
        # Python opens files close-on-exec, so a worker or a server that it starts is no user.
        users = open_files.enter_context(_lock_file(home / "servers-users.lock"))
        change = open_files.enter_context(_lock_file(home / "servers-change.lock"))
        owner = os.getpid()
        servers: list[Server] = []
        try:
            with _exclusively(change):
                fcntl.flock(users, fcntl.LOCK_SH)
                addresses = _start(home, servers, tcp=tcp, account=account, managed=managed)
            yield addresses
        finally:
            # A forked child shares the locks and unwinds this too, but the servers are its parent's.
            if servers and os.getpid() == owner:
                with _exclusively(change):
                    if _alone(users):
                        _stop(servers)


def _start(home: Path, servers: list[Server], *, tcp: bool, account: str | None, managed: Path) -> Addresses:
    """Fill `servers` before starting any, so that the caller can stop half a start."""
    from nightread.servers.redis import Redis  # noqa: PLC0415 - its client takes 0.1 s, of `--help` too

    known = credentials.known(home / "credentials.json")
    place, binaries = choose(home, account=account, managed=managed)
    passwords = credentials.complete(home / "credentials.json", known, data=place.folder / "postgres")
    postgres = Postgres(place, binaries, passwords)
    redis = Redis(place, binaries, passwords["redis"])
    servers += [postgres, redis]
    started = [server.title for server in servers if server.ensure(tcp=tcp)]
    if started:
        log.info("started %s in %s", " and ".join(started), place.folder)
    postgres.complete_roles()
    return _addresses(place, postgres, redis, passwords, tcp=tcp)


def _addresses(
    place: Place, postgres: Postgres, redis: "Redis", passwords: Mapping[str, str], *, tcp: bool
) -> Addresses:
    return Addresses(
        broker_url=redis.broker_url(tcp=tcp),
        host="127.0.0.1" if tcp else str(place.sockets),
        port=postgres.socket_port(),
        passwords={role: passwords[role] for role in Role},
    )


def _stop(servers: list[Server]) -> None:
    for server in servers:
        server.stop()
    servers[0].place.leave()
    log.info("stopped the servers in %s", servers[0].place.folder)


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """SIGTERM and a closed terminal end the command as Ctrl-C does, so that it leaves its servers in order.

    Handlers that someone has set already stay.
    """
    here = threading.current_thread() is threading.main_thread()  # Python sets handlers in this thread alone
    ours = [each for each in (signal.SIGTERM, signal.SIGHUP) if here and signal.getsignal(each) is signal.SIG_DFL]

    def unwind(number: int, frame: FrameType | None) -> None:
        for each in ours:
            signal.signal(each, signal.SIG_IGN)  # once is enough; a second would break off the stop
        raise SystemExit(128 + number)

    for each in ours:
        signal.signal(each, unwind)
    try:
        yield
    finally:
        for each in ours:
            if signal.getsignal(each) in (unwind, signal.SIG_IGN):
                signal.signal(each, signal.SIG_DFL)


def _folder(home: Path) -> Path:
    home = home.expanduser().absolute()
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700)
        if os.geteuid() == 0:
            home.chmod(0o711)  # the servers' account walks through to its own folder, and can list nothing
    except FileExistsError:
        pass  # an existing folder keeps the permissions that someone gave it
    except OSError as error:
        raise ServersError(f"cannot make {home}: {error.strerror}; set NIGHTREAD_HOME to another") from None
    return home.resolve()


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ServersError(
            f"cannot open {path}: {error.strerror}; it belongs to whoever first started Nightread there: "
            "be that user, or choose another folder with NIGHTREAD_HOME"
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _exclusively(change: int) -> Iterator[None]:
    try:
        fcntl.flock(change, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("another command is starting or stopping the servers; waiting for it")
        fcntl.flock(change, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(change, fcntl.LOCK_UN)


def _alone(users: int) -> bool:
    """Whether nobody else holds the users' lock; under the change lock, so that nobody comes meanwhile."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
