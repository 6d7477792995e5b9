"""`nightread pull`, `label` and `up`: work that is asked for, and the processes that do it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from given import feed_folder, fhir, stored
from sqlalchemy import text
from typed_commands import Typed
from under_test import TINY_TEXTS, HouseUnderTest

from nightread.servers.processes import mark_of, marked

Serve = Callable[..., int]


# --- without waiting


def test_pull_without_feeds_says_how_to_add_one(house: HouseUnderTest, typed: Typed) -> None:
    said = typed("pull")
    assert said.code == 1
    assert "[feeds.main]" in said.err
    assert "nightread.toml" in said.err


def test_pull_of_an_unknown_feed_names_the_known(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    feed_folder(house, tmp_path)
    said = typed("pull", "mian")
    assert said.code == 1
    assert "no feed 'mian' (known: main)" in said.plain_err
    assert house.value("SELECT count(*) FROM job") == 0


def test_pull_asks_once(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    feed_folder(house, tmp_path)
    assert typed("pull").code == typed("pull", "main").code == 0
    assert [tuple(row) for row in house.rows("SELECT kind, feed, state FROM job")] == [("pull", "main", "ready")]


def test_label_gives_jobs_to_what_lacks_labels(house: HouseUnderTest, typed: Typed) -> None:
    stored(house, ["One.", "Two."])
    with house.sessions.begin() as session:
        session.execute(text("UPDATE job SET state = 'done'"))
    assert "2 reports were given a job" in typed("label").out
    assert "0 reports were given a job" in typed("label").out


# --- at work


def processes_of(home: Path) -> list[str]:
    """Everything that runs for a home: its crew by their environment, its servers by their mark."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        try:
            if process.environ().get("NIGHTREAD_HOME") == str(home) and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    servers = home / "servers"
    if servers.exists():
        found += [process.name() for process in marked(mark_of(servers), "postgres", "redis-server")]
    return found


@pytest.fixture
def own_home() -> Iterator[Path]:
    """A home of its own, with servers that nobody else keeps running."""
    home = Path(tempfile.mkdtemp(prefix="nightread-up-", dir="/tmp"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


def test_pull_and_label_bring_their_own_crew(
    house: HouseUnderTest, serve: Serve, tmp_path: Path, transport: str
) -> None:
    if transport == "tcp":
        pytest.skip("with the hospital's own servers nobody but `up` starts workers")
    (tmp_path / "a.ndjson").write_bytes(b"".join(fhir(f"r{n}", words) for n, words in enumerate(TINY_TEXTS)))
    feed_folder(house, tmp_path)
    pulled = house.command("pull", "--wait")
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.splitlines() == ["main: 4 new"]
    assert "pulling main: 1 of 1" in pulled.stderr
    serve()
    labelled = house.command("label", "--wait")
    assert labelled.returncode == 0, labelled.stderr
    assert labelled.stdout == "4 labelled, 0 dead-lettered, 0 withdrawn.\n"
    assert house.value("SELECT count(DISTINCT report_id) FROM report_labels") == 4
    assert [line for line in processes_of(house.home) if "postgres" not in line and "redis" not in line] == []


def test_pull_waits_for_a_missing_folder_only_until_it_knows(
    house: HouseUnderTest, tmp_path: Path, transport: str
) -> None:
    if transport == "tcp":
        pytest.skip("with the hospital's own servers nobody but `up` starts workers")
    feed_folder(house, tmp_path / "missing")
    done = house.command("pull", "main", "--wait")
    assert done.returncode == 1
    assert "feed main was not pulled" in done.stderr
    assert str(tmp_path / "missing") in "".join(done.stderr.split("\n"))
    assert "Traceback" not in done.stderr


def test_up_runs_everything_and_leaves_nothing(
    house: HouseUnderTest, own_home: Path, tmp_path: Path, transport: str
) -> None:
    home = own_home if transport == "socket" else house.home
    environment = {**os.environ, **house.environment, "NIGHTREAD_HOME": str(home)}
    (tmp_path / "a.ndjson").write_bytes(fhir("r1", "No nodule.") + b"{broken\n")
    (home / "nightread.toml").write_text(f'[feeds.main]\npath = "{tmp_path}"\nsite = "seoul"\n')

    def nightread(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "nightread", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    with (tmp_path / "up.log").open("w") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "nightread", "up"], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert up.stdout is not None
        assert f"Nightread is up on {home}" in up.stdout.readline()

        again = nightread("up")
        assert again.returncode == 1
        assert f"already up on {home} (process {up.pid})" in " ".join(again.stderr.split())

        pulled = nightread("pull", "--wait")
        assert (pulled.returncode, pulled.stdout) == (0, "main: 1 new, 1 quarantined\n"), pulled.stderr

        labelled = nightread("label", "--wait")
        assert labelled.returncode == 1
        assert "no model serves yet" in labelled.stderr

        now = json.loads(nightread("status", "--json").stdout)
        assert (now["received"], now["pending"], now["quarantined"]) == (1, 1, 1)
        assert now["runs"][0]["state"] == "done"

        crew = json.loads((home / "crew.json").read_text())
        assert {one["name"] for one in crew} == {"scheduler", "intake", "label", "training"}
        up.send_signal(signal.SIGTERM)
        out, _ = up.communicate(timeout=60)
        assert up.returncode == 0
        assert out.splitlines()[-1] == "Stopped."
    finally:
        if up.poll() is None:
            up.terminate()
            up.communicate(timeout=60)
    assert not any(psutil.pid_exists(one["pid"]) for one in crew)
    if transport == "socket":
        assert processes_of(home) == []
    assert "Traceback" not in (tmp_path / "up.log").read_text()
