"""The processes that do the work of a house: the scheduler, an intake worker, label workers and a training worker."""

import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

import psutil

from nightread import servers
from nightread.house import House
from pipeline import jobs
from pipeline.database import DatabaseUnavailable
from pipeline.errors import NightreadError
from pipeline.names import Queue

log = logging.getLogger(__name__)

# A label job of 64 reports takes seconds; whoever is not done by then is taken over through its lease.
SECONDS_TO_STOP = 30.0
SECONDS_BETWEEN_RESTARTS = 2.0


LOCK = "up.lock"
SECONDS_BETWEEN_SERVER_CHECKS = 10.0


class AlreadyUp(NightreadError):
    """Another `nightread up` serves this home."""


class Member(StrEnum):
    """The processes of a crew."""

    SCHEDULER = "scheduler"
    INTAKE = "intake"
    LABEL = "label"
    TRAINING = "training"


@dataclass
class Crew:
    """Running children by name; a child that dies is started again."""

    house: House
    logs: Path | None
    members: Collection[Member]
    children: dict[Member, subprocess.Popen[bytes]] = field(default_factory=dict)
    died_at: dict[Member, float] = field(default_factory=dict)
    servers_seen_at: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        for name in self.members:
            self._start(name)

    def look_after(self) -> None:
        """Start again whoever died, a little later so that a broken one does not burn a processor."""
        self._look_after_servers()
        for name, child in list(self.children.items()):
            if child.poll() is None:
                continue
            died_at = self.died_at.setdefault(name, time.monotonic())
            if time.monotonic() - died_at >= SECONDS_BETWEEN_RESTARTS:
                log.warning("%s ended with exit status %s; starting it again", name, child.returncode)
                del self.died_at[name]
                self._start(name)

    def _look_after_servers(self) -> None:
        if not self.house.embedded or time.monotonic() - self.servers_seen_at < SECONDS_BETWEEN_SERVER_CHECKS:
            return
        self.servers_seen_at = time.monotonic()
        try:
            with servers.running(self.house.settings.home):
                pass  # to attach is to start what has crashed; we hold them ourselves, so leaving stops nothing
        except servers.ServersError as error:
            log.warning("the servers are not well: %s", error)

    def stop(self) -> None:
        """Ask all to finish what they have in hand, wait, and end whoever does not."""
        impatient = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            # A second Ctrl-C would leave them running in sessions of their own.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._stop()
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, impatient)

    def _stop(self) -> None:
        for name, child in self.children.items():
            if name is not Member.TRAINING:
                with contextlib.suppress(ProcessLookupError):
                    child.terminate()
        if training := self.children.get(Member.TRAINING):
            self._stop_training(training)
        deadline = time.monotonic() + SECONDS_TO_STOP
        for name, child in self.children.items():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("%s did not stop in time; its jobs are given back", name)
                _end(self.house, psutil.Process(child.pid))
                child.wait()
        _record(self.house, {})

    def _stop_training(self, worker: subprocess.Popen[bytes]) -> None:
        """Nobody waits for training: it takes hours, and loses at most what came after its last checkpoint."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(worker.pid)
            # Of a training worker's Celery child only work in hand is a child.
            if any(child.children() for child in process.children()):
                log.info("training is stopped; its job is given back, and a refresh goes on from its last checkpoint")
            _end(self.house, process)
        worker.wait()

    def _start(self, name: Member) -> None:
        command = commands(self.house.settings.label_workers)[name]
        log_file: IO[bytes] | None = None
        if self.logs is not None:
            self.logs.mkdir(exist_ok=True)
            log_file = (self.logs / f"{name}.log").open("ab")
        try:
            self.children[name] = subprocess.Popen(
                command,
                env={**os.environ, **self.house.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop them in order.
                start_new_session=True,
            )
        finally:
            if log_file is not None:
                log_file.close()
        _record(self.house, self.children)


def commands(label_workers: int) -> dict[Member, list[str]]:
    """The command line of each process; on other machines workers are started with the same ones."""
    return {
        Member.SCHEDULER: [sys.executable, "-m", "scheduler"],
        Member.INTAKE: _worker(Queue.INTAKE, 1),
        Member.LABEL: _worker(Queue.LABEL, label_workers),
        # One at a time: two trainings would take each other's memory.
        Member.TRAINING: _worker(Queue.TRAINING, 1),
    }


def _worker(queue: Queue, processes: int) -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "--app", "worker.app", "--quiet", "worker", "--queues", queue),
        *("--concurrency", str(processes), "--hostname", f"{queue}@%h", "--loglevel", "WARNING"),
        # Workers need not know of each other; what they would tell is in Postgres.
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def is_up(home: Path) -> bool:
    """Whether someone runs the crew of a home; only looks."""
    try:
        with (home / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """The right to run the crew of a home; the kernel gives it back however we end. Raises `AlreadyUp`."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyUp(
                f"Nightread is already up on {home} (process {lock.read().strip() or 'unknown'}); "
                "let it finish or stop it first, or give this one another --home"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def at_work(house: House, *, logs: Path | None, members: Collection[Member] = tuple(Member)) -> Iterator[Crew]:
    """A crew for as long as the body runs; what a killed predecessor left running is ended first."""
    end_leftovers(house)
    crew = Crew(house, logs, members)
    try:
        crew.start()
        yield crew
    finally:
        crew.stop()


@contextmanager
def someone_at_work(house: House, *members: Member) -> Iterator[Callable[[], None]]:
    """For commands that wait: yields what to call at every look, so that somebody works all the while.

    Whoever has the crew keeps it; when nobody has, or they leave, it is ours, with the members that are
    needed. With the hospital's own servers the workers may be on any machine, so nobody but `up` starts them.
    """
    with ExitStack() as stack:
        crew: Crew | None = None

        def look_after() -> None:
            nonlocal crew
            if crew is not None:
                crew.look_after()
            elif house.embedded:
                with contextlib.suppress(AlreadyUp):
                    stack.enter_context(exclusive(house.settings.home))
                    crew = stack.enter_context(at_work(house, logs=house.settings.home / "logs", members=members))

        look_after()
        yield look_after


def end_leftovers(house: House) -> None:
    """End the children of a crew whose parent was killed. Call it only while holding `exclusive`."""
    file = _record_file(house)
    if not file.exists():
        return
    try:
        entries = json.loads(file.read_text())
    except json.JSONDecodeError:  # a machine that lost its power wrote half a file, and took the processes with it
        entries = []
    for entry in entries:
        try:
            process = psutil.Process(entry["pid"])
            if process.create_time() != entry["created"]:
                continue  # the number belongs to someone else by now
        except psutil.NoSuchProcess:
            continue
        log.warning("ending %s (process %d), left by a crew that was killed", entry["name"], process.pid)
        _end(house, process)
    file.unlink()


def _end(house: House, process: psutil.Process) -> None:
    """Kill a process with its children, and give back the jobs that they held: no need to wait for a lease."""
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    _, alive = psutil.wait_procs(family, timeout=10)
    gone = [jobs.worker_name(member.pid) for member in family if member not in alive]
    try:
        with house.sessions.begin() as session:
            jobs.give_back_all_of(session, gone)
    except DatabaseUnavailable as error:
        log.warning("their jobs return with their leases: %s", error)


def _record(house: House, children: Mapping[Member, subprocess.Popen[bytes]]) -> None:
    entries = []
    for name, child in children.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            entries.append({"name": name, "pid": child.pid, "created": psutil.Process(child.pid).create_time()})
    file = _record_file(house)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(entries))
    fresh.replace(file)


def _record_file(house: House) -> Path:
    return house.settings.home / "crew.json"
