"""`nightread up` in a home of its own, with servers of its own: killed, started again, and stopped while it works."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import invariants
import psutil
import pytest
from sqlalchemy import text
from stage import PATIENCE_S, fhir, texts

from nightread import house as houses
from nightread.servers.processes import mark_of
from pipeline import label_sets, labelling, model_versions, promotions, pulls, settings
from pipeline.database import DatabaseUnavailable, Sessions
from pipeline.model_versions import NewVersion


@dataclass
class Up:
    """A home, and the `nightread up` that serves it now."""

    home: Path
    process: "subprocess.Popen[bytes] | None" = None
    sessions: Sessions | None = None

    def start(self) -> None:
        with (self.home / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nightread", "up", "--home", str(self.home)],
                env={**os.environ, "NIGHTREAD_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def family(self) -> list[psutil.Process]:
        """Every process of this home: `up`, its crew with their children, and the servers."""
        mark = mark_of(self.home / "servers") if (self.home / "servers").exists() else "nothing yet"
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = process.environ().get("NIGHTREAD_HOME") == str(self.home)
                if (ours or mark in " ".join(process.cmdline())) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def value(self, query: str) -> Any:
        assert self.sessions is not None
        with self.sessions.begin() as session:
            return session.scalar(text(query))

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(DatabaseUnavailable):
                if found := condition():
                    return found
            if time.monotonic() > deadline:
                log = (self.home / "up.log").read_text(errors="replace")[-6000:]
                pytest.fail(f"waited {PATIENCE_S} s for: {what}\n{self.family()}\n{log}")
            time.sleep(0.1)

    @contextmanager
    def labels_held_back(self) -> Iterator[None]:
        """Nobody can write labels while the body runs: workers predict, and wait in their last transaction."""
        assert self.sessions is not None
        with suppress(DatabaseUnavailable), self.sessions.begin() as session:  # it may go down with the servers
            promotions.hold(session)
            yield

    def worker_waits(self) -> Any:
        return self.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'")


@pytest.fixture
def up(tiny_artifact: tuple[Path, str]) -> Iterator[Up]:
    home = Path(tempfile.mkdtemp(prefix="nightread-up-", dir="/tmp"))
    home.chmod(0o711)
    found = Up(home)
    (home / "feed").mkdir()
    (home / settings.FILE_NAME).write_text(
        "lease_seconds = 3\npoll_seconds = 0.5\nlabel_job_size = 4\n"
        '[feeds.main]\npath = "feed"\nsite = "site"\nschedule = "0 1 * * *"\n'
    )
    lines = [fhir(name, body) for name, body in texts(16).items()]
    (home / "feed" / "DiagnosticReport.000.ndjson").write_text("\n".join(lines) + "\n")
    shutil.copytree(tiny_artifact[0], home / "models" / "tiny")
    yield found
    if found.sessions is not None:
        found.sessions.engine.dispose()
    for process in found.family():
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found.family(), timeout=10)
    shutil.rmtree(home, ignore_errors=True)


def test_up_killed_started_again_and_stopped_while_it_labels(up: Up, tiny_artifact: tuple[Path, str]):
    up.start()
    up.until(lambda: b"Nightread is up" in (up.home / "up.log").read_bytes(), "the first start")
    with houses.opened(settings.read(up.home)) as house:
        up.sessions = Sessions(house.sessions.engine)
        with house.sessions.begin() as session:
            _promote(session, tiny_artifact[1], house.rules)
        with up.labels_held_back():
            with house.sessions.begin() as session:
                pulls.ask(session, "main", house.settings.feeds["main"], attempts=3)
            up.until(up.worker_waits, "a worker about to write")
            crew = [process.pid for process in up.family() if "celery" in " ".join(process.cmdline())]
            assert up.process is not None
            up.process.kill()
            up.process.wait()
            assert all(psutil.pid_exists(pid) for pid in crew), "its crew outlives it, and the next start finds it"

            up.start()
            up.until(lambda: not any(psutil.pid_exists(pid) for pid in crew), "the next start ending the crew")
        up.until(lambda: up.value("SELECT count(*) FROM classification") == 16, "all reports labelled")
        up.until(lambda: not up.value("SELECT count(*) FROM job WHERE state IN ('ready', 'running')"), "no open job")
        assert not invariants.violations(up.sessions)

        # And now SIGTERM while it labels. The job in hand is finished, the others stay for the next start.
        lines = [fhir(name, body) for name, body in texts(12, start=16).items()]
        (up.home / "feed" / "DiagnosticReport.001.ndjson").write_text("\n".join(lines) + "\n")
        with up.labels_held_back():
            with house.sessions.begin() as session:
                pulls.ask(session, "main", house.settings.feeds["main"], attempts=3)
            up.until(up.worker_waits, "a worker about to write")
            up.process.terminate()
            up.until(lambda: b"Stopping" in (up.home / "up.log").read_bytes(), "it hearing the signal")
        up.until(lambda: up.process is not None and up.process.poll() is not None, "its end")
        assert up.process.returncode == 0
        left = up.value("SELECT count(*) FROM job WHERE state = 'ready'")
        assert (left, up.value("SELECT count(*) FROM job WHERE state = 'running'")) == (2, 0)
        assert up.value("SELECT count(*) FROM classification") == 20
    assert not up.family(), "nothing of it runs any more"

    up.start()
    up.until(lambda: up.value("SELECT count(*) FROM classification") == 28, "the rest being labelled")
    up.until(lambda: not up.value("SELECT count(*) FROM job WHERE state IN ('ready', 'running')"), "no open job")
    assert not invariants.violations(up.sessions)
    assert up.process is not None
    os.killpg(up.process.pid, signal.SIGINT)  # Ctrl-C this time
    up.until(lambda: up.process is not None and up.process.poll() is not None, "its end after Ctrl-C")
    assert not up.family(), "nothing of it runs any more"


def _promote(session: Any, sha256: str, rules: labelling.LabelRules) -> None:
    label_set = label_sets.register_default(session)
    version = model_versions.register(
        session,
        NewVersion(
            foundation="tiny", artifact="tiny", artifact_sha256=sha256, label_set_id=label_set,
            thresholds=[0.01] * len(label_sets.CT_RATE_FINDINGS), metrics={}, settings={}, fitted_on=[],
        ),
    )  # fmt: skip
    model_versions.promote(session, version, by="test@here", rules=rules)
