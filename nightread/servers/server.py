"""What the lifecycles of both servers share: attach or start, wait for a real answer, stop."""

import logging
import signal
import socket
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import psutil

from nightread.servers.errors import NotAnsweringError, ServersError
from nightread.servers.place import Place
from nightread.servers.processes import end, marked, wait_for

log = logging.getLogger("nightread.servers")

START_PATIENCE_S = 300  # crash recovery and a long append-only file take time; a dead process ends the wait
ATTACH_PATIENCE_S = 30
LOG_LINES = 8


class Server(ABC):
    """One server in `place`; every method but `ask` and `port` is called under the change lock."""

    title: ClassVar[str]
    process: ClassVar[str]  # the name of its processes
    ends_at: ClassVar[signal.Signals]  # the signal at which it ends within seconds, whoever is connected

    def __init__(self, place: Place, folder: str) -> None:
        self.place = place
        self.folder: Path = place.folder / folder
        self.log: Path = place.folder / f"{folder}.log"

    @abstractmethod
    def ask(self) -> None:
        """A real question. Raises NotAnsweringError, or ServersError if the password is wrong."""

    @abstractmethod
    def port(self) -> int:
        """The TCP port of the running server; 0 if it listens on its socket alone."""

    @abstractmethod
    def clear(self) -> None:
        """Clean up what a crash left behind; no process of the server is alive."""

    @abstractmethod
    def launch(self, *, tcp: bool) -> str:
        """Start it in the background; what its launcher complained of."""

    @abstractmethod
    def shut_down(self) -> None:
        """Ask it to end in order, with everything on disk."""

    def processes(self) -> list[psutil.Process]:
        return marked(self.place.mark, self.process)

    def ensure(self, *, tcp: bool) -> bool:
        """Attach (False) or start (True)."""
        try:
            self._wait(ATTACH_PATIENCE_S)
        except NotAnsweringError:
            self._end_processes()
        else:
            if tcp and not self.port():
                raise ServersError(f"{self.title} in {self.place.folder} has no TCP port; leave it to stop first")
            return False
        self.clear()
        complaint = self.launch(tcp=tcp)
        try:
            self._wait(START_PATIENCE_S)
        except NotAnsweringError as reason:
            said = "\n".join(part for part in (complaint, _last_lines(self.log)) if part)
            raise ServersError(f"{self.title} did not start ({reason}); see {self.log}\n{said}") from None
        return True

    def stop(self) -> None:
        """Leaves no process: an orderly end, or else a forced one that the next start recovers from."""
        if self.processes():
            self.shut_down()
            wait_for(self.processes(), patience_s=10)
            self._end_processes()

    def _wait(self, patience_s: float) -> None:
        """Until it answers. Raises NotAnsweringError when no process is left, or time is up."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return self.ask()
            except NotAnsweringError as reason:
                if not self.processes():
                    raise NotAnsweringError("it has ended") from None
                if time.monotonic() > deadline:
                    raise NotAnsweringError(f"no answer within {patience_s:.0f} s ({reason})") from None
            time.sleep(0.02)

    def _end_processes(self) -> None:
        left = self.processes()
        if left:
            log.warning("%s in %s does not answer or end; it is forced to", self.title, self.place.folder)
            end(left, self.ends_at)


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_lines(path: Path) -> str:
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
    except OSError:
        return ""
