"""Real processes of a house, and the moments at which a test holds, stops or kills them."""

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import invariants
import pytest
import redis
from celery import Celery
from sqlalchemy import text

from nightread import crew
from nightread.servers.place import MANAGED, choose
from nightread.servers.processes import marked, wait_for
from pipeline import pulls, reports
from pipeline.database import DatabaseUnavailable
from pipeline.feeds.record import Record
from pipeline.labelling import LabelRules
from pipeline.names import Queue, Task
from pipeline.settings import FeedSettings
from pipeline.tables import Feed

if TYPE_CHECKING:
    from under_test import HouseUnderTest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120  # far more than anything here takes; whoever runs into it gets a dump
FEED = "main"
# Words in a report that make the staged worker raise, and kill itself.
RAISES, KILLS = "poison-that-raises", "poison-that-kills"
Found = TypeVar("Found")


@dataclass
class Stage:
    """The house under test, its real processes and what they write."""

    house: "HouseUnderTest"
    folder: Path
    processes: "Processes"
    feed: Path = field(init=False)

    def __post_init__(self) -> None:
        self.feed = self.folder / "feed"

    # --- waiting -----------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Found], what: str) -> Found:
        """Poll until `condition` holds; fails with a dump of jobs and logs."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(DatabaseUnavailable):  # a test that stops PostgreSQL asks while it is away
                if found := condition():
                    return found
            if time.monotonic() > deadline:
                pytest.fail(f"waited {PATIENCE_S} s for: {what}\n{self.dump()}")
            time.sleep(0.05)

    def all_done(self) -> dict[str, Any]:
        """Wait until no report is pending or stale and no job open, then hold everything against the invariants."""

        def done() -> bool:
            waiting = self.value("SELECT coalesce(sum(pending + stale), 0) FROM completeness")
            return not waiting and not self.value("SELECT count(*) FROM job WHERE state IN ('ready', 'running')")

        self.until(done, "all reports labelled and no job open")
        wrong = invariants.violations(self.house.sessions)
        assert not wrong, "\n".join([*wrong, self.dump()])
        self.until(lambda: not self.messages(), "no message left over in Redis")
        return invariants.counts(self.house.sessions)

    def dump(self) -> str:
        lines = ["--- jobs"]
        with suppress(DatabaseUnavailable):
            lines += [
                str(tuple(row))
                for row in self.rows(
                    "SELECT id, kind, state, attempts, max_attempts, waits, epoch, lease_until - now() AS lease,"
                    " worker, cardinality(report_ids), outcome, error FROM job ORDER BY id DESC LIMIT 20"
                )
            ]
        lines.append(f"--- stage: {sorted(path.name for path in self.folder.glob('h*ld-*'))}")
        return "\n".join([*lines, self.processes.log_tails()])

    # --- what is there -----------------------------------------------------------------------------------------

    def rows(self, query: str, **parameters: Any) -> Sequence[Any]:
        with self.house.sessions.begin() as session:
            return session.execute(text(query), parameters).all()

    def value(self, query: str, **parameters: Any) -> Any:
        return self.rows(query, **parameters)[0][0]

    def write(self, statement: str, **parameters: Any) -> None:
        with self.house.sessions.begin() as session:
            session.execute(text(statement), parameters)

    def messages(self) -> int:
        """Celery messages that wait."""
        with self.redis() as client:
            return sum(int(client.llen(queue)) for queue in Queue)

    def redis(self) -> "redis.Redis":
        url = self.house.addresses.broker_url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
        return redis.Redis.from_url(url)

    # --- what happens ------------------------------------------------------------------------------------------

    def receive(self, texts: dict[str, str | None], *, job_size: int = 4, attempts: int = 3, minutes: int = 0) -> None:
        """Reports by source id arrive as a pull would store them; None withdraws. `minutes`: later than the first."""
        feed = FeedSettings(path=self.feed, site="site")
        at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
        records = [
            Record(
                place=f"test:{source_id}", source_id=source_id, updated_at=at, withdrawn=body is None, text=body,
                accession=None, patient=None, study_at=at, issued_at=at, code="24627-2", modality="CT",
            )
            for source_id, body in texts.items()
        ]  # fmt: skip
        with self.house.sessions.begin() as session:
            pulls.register(session, FEED, feed)
        with self.house.sessions.begin() as session:  # apart, as a pull does it: a feed's row is locked last
            row = session.get_one(Feed, FEED)
            reports.store(
                session, row, records, cursor=row.cursor, rules=LabelRules(reports=job_size, attempts=attempts)
            )

    def write_feed(self, name: str, lines: Iterable[str]) -> None:
        """A file of the feed, whole or not at all."""
        half = self.feed / f".{name}.part"
        half.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        half.rename(self.feed / name)

    def ask_pull(self) -> None:
        with self.house.sessions.begin() as session:
            pulls.ask(session, FEED, FeedSettings(path=self.feed, site="site"), attempts=3)

    def send(self, task: Task, queue: Queue, times: int) -> None:
        """Celery messages, as anyone could send them."""
        producer = Celery(broker=self.house.addresses.broker_url, set_as_current=False)
        with producer.connection_for_write() as connection:
            for _ in range(times):
                producer.send_task(task, queue=queue, connection=connection, ignore_result=True, exchange="")

    # --- holding -----------------------------------------------------------------------------------------------

    def hold(self, point: str, *, arrival: int = 1) -> None:
        """Let the next process that comes to `point` (for the `arrival`-th time) wait there."""
        fresh = self.folder / f"new-{point}"
        fresh.write_text(str(arrival))
        fresh.rename(self.folder / f"hold-{point}")

    def held(self, point: str) -> int:
        """Wait until a process is held at `point`; its id."""
        found = self.until(
            lambda: next(self.folder.glob(f"held-{point}.*"), None), f"a process held at the point {point!r}"
        )
        return int(found.suffix[1:])

    def release(self, point: str) -> None:
        for held in [self.folder / f"hold-{point}", *self.folder.glob(f"held-{point}.*")]:
            held.unlink(missing_ok=True)

    def clear(self) -> None:
        for path in self.folder.glob("h*ld-*"):
            path.unlink(missing_ok=True)

    # --- the servers -------------------------------------------------------------------------------------------

    def kill_server(self, name: str) -> None:
        """kill -9: redis-server, or PostgreSQL's postmaster, whose children end when they notice."""
        self.signal_server(name, signal.SIGKILL)

    def signal_server(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a server's first process and wait until all of its processes have ended."""
        place, _ = choose(self.house.home, account=None, managed=MANAGED)
        found = marked(place.mark, name)
        of_ours = {process.pid for process in found}
        [first] = [process for process in found if process.ppid() not in of_ours]
        first.send_signal(number)
        self.until(lambda: not wait_for(marked(place.mark, name), 0.1), f"the end of {name}")


@dataclass
class Processes:
    """Scheduler, intake and label workers, kept from test to test while their settings are the same."""

    environment: dict[str, str]
    folder: Path
    running: dict[str, tuple[subprocess.Popen[bytes], dict[str, str]]] = field(default_factory=dict)

    def start(
        self, name: str, *, label_workers: int = 1, called: str = "", **settings: str
    ) -> "subprocess.Popen[bytes]":
        """The process `name` of a crew with these `NIGHTREAD_` settings: the one that runs already, or a new one."""
        called = called or name
        wanted = {f"NIGHTREAD_{key.upper()}": value for key, value in settings.items()}
        wanted["NIGHTREAD_LABEL_WORKERS"] = str(label_workers)
        if name == "label":
            wanted["FAULTS_PRELOAD"] = "1"
        child, as_started = self.running.get(called, (None, {}))
        if child is not None and child.poll() is None:
            if as_started == wanted:
                return child
            self.end(called)
        # The same command line as `nightread up` uses, but for the app: ours wraps the worker's.
        command = [
            "tests.faults.staged_worker" if word == "worker.app" else word
            for word in crew.commands(label_workers)[name]
        ]
        with self.log(called).open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **self.environment, **wanted},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running[called] = child, wanted
        return child

    def end(self, called: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End a process and its children at once."""
        child, _ = self.running.pop(called)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, how)
        child.wait(PATIENCE_S)

    def end_if_running(self, called: str) -> None:
        if called in self.running:
            self.end(called)

    def end_all(self) -> None:
        for called in list(self.running):
            self.end(called)

    def log(self, called: str) -> Path:
        return self.folder / f"{called}.log"

    def said(self, called: str) -> str:
        return self.log(called).read_text(errors="replace") if self.log(called).exists() else ""

    def log_tails(self) -> str:
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:])
            for path in sorted(self.folder.glob("*.log"))
        )


def texts(count: int, *, start: int = 0) -> dict[str, str | None]:
    """Reports that differ, by source id."""
    return {
        f"r{number}": f"{number}. There is a nodule of {number} mm in the right upper lobe. 흉수는 없음."
        for number in range(start, start + count)
    }


def fhir(source_id: str, body: str | None, *, minutes: int = 0, status: str = "final") -> str:
    """A line of a feed: one DiagnosticReport."""
    at = (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)).isoformat()
    resource: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": source_id,
        "meta": {"lastUpdated": at},
        "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2"}]},
        "issued": at,
    }
    if body is not None:
        data = base64.b64encode(body.encode()).decode()
        resource["presentedForm"] = [{"contentType": "text/plain; charset=utf-8", "data": data}]
    return json.dumps(resource)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """SIGSTOP for as long as the body runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
