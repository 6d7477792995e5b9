"""Redis in a folder: start, PING, stop."""

import signal
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from nightread.servers.binaries import Binaries
from nightread.servers.errors import NotAnsweringError, ServersError
from nightread.servers.place import Place
from nightread.servers.server import Server, free_port

CONFIGURATION = """\
# It goes on when the terminal or the command that started it ends, in a session of its own.
daemonize yes
pidfile ../redis.pid
logfile ../redis.log
bind 127.0.0.1
port {port}
unixsocket {socket}
unixsocketperm 700
requirepass {password}
# All but the last second's messages survive a crash; a lost one costs time only, for jobs are rows.
appendonly yes
appendfsync everysec
save ""
# Redis refuses new messages when memory is short; it never drops old ones in silence.
maxmemory-policy noeviction
"""


class Redis(Server):
    title = "Redis"
    process = "redis-server"
    ends_at = signal.SIGTERM

    def __init__(self, place: Place, binaries: Binaries, password: str) -> None:
        super().__init__(place, "redis")
        self.binaries = binaries
        self.password = password
        self.socket: Path = place.sockets / "redis.sock"

    def broker_url(self, *, tcp: bool) -> str:
        """The URL that Celery takes."""
        if tcp:
            return f"redis://:{self.password}@127.0.0.1:{self.port()}/0"
        return f"redis+socket://:{self.password}@{quote(str(self.socket))}?virtual_host=0"

    def client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.socket),
            password=self.password,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),  # `Server` has its own patience
        )

    def ask(self) -> None:
        try:
            with self.client() as client:
                client.ping()
        except redis.AuthenticationError:
            raise ServersError(
                f"Redis in {self.folder} refuses the password in credentials.json; stop that Redis first"
            ) from None
        except redis.RedisError as error:  # BusyLoadingError too: it is reading its append-only file
            raise NotAnsweringError(str(error)) from None

    def port(self) -> int:
        with self.client() as client:
            return int(client.config_get("port")["port"])

    def clear(self) -> None:
        self.socket.unlink(missing_ok=True)

    def launch(self, *, tcp: bool) -> str:
        configuration = CONFIGURATION.format(
            port=free_port() if tcp else 0,
            socket=self.place.as_servers_see(self.socket),
            password=self.password,
        )
        # Through stdin: neither a file nor the command line shows the password.
        started = self.place.run(
            [str(self.binaries.redis), "-", "--proc-title-template", f"{{title}} {self.place.mark}"],
            stdin=configuration,
            inside="redis",
        )
        return "" if started.returncode == 0 else started.stderr.strip()

    def shut_down(self) -> None:
        with suppress(redis.RedisError), self.client() as client:  # else `stop` ends it by a signal
            client.shutdown()  # writes and syncs the append-only file
