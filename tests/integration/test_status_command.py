"""`nightread status`: for people, for programs, for a monitoring system."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from given import record, store
from sqlalchemy import text
from typed_commands import Typed
from under_test import HouseUnderTest

from pipeline.feeds.record import Skipped

Serve = Callable[..., int]


def test_status_of_an_empty_house(typed: Typed) -> None:
    said = typed("status", "--json")
    assert said.code == 0
    now = json.loads(said.out)
    counted = ("received", "labelled", "pending", "dead", "withdrawn", "quarantined", "skipped")
    assert [now[name] for name in counted] == [0] * 7
    assert now["model"] is None


def test_status_counts_what_there_is(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    version = serve()
    store(house, record("r1"), record("r2"), record("r2", text=None), Skipped("a:1", "other-code"))
    store(house, record("r3", text="Tel: 010-1234-5678"))
    now = json.loads(typed("status", "--json").out)
    counted = {name: now[name] for name in ("received", "labelled", "pending", "dead", "withdrawn")}
    assert counted == {"received": 2, "labelled": 0, "pending": 1, "dead": 0, "withdrawn": 1}
    assert (now["quarantined"], now["skipped"], now["jobs_ready"]) == (1, 1, 1)
    assert (now["model"]["version"], now["model"]["labels"]) == (version, 18)


def test_status_for_people(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    serve()
    store(house, record("r1"))
    with house.sessions.begin() as session:
        session.execute(
            text(
                "INSERT INTO job (kind, key, feed, priority, max_attempts, state, waits, error) "
                "VALUES ('pull', 'x', 'main', 0, 1, 'ready', 1, 'no folder [/mnt/x]')"
            )
        )
    said = typed("status")
    assert said.code == 0
    plain = " ".join(said.out.split())
    assert "Model version 1 (tiny), 18 labels" in plain
    assert "waiting: no folder [/mnt/x]" in plain
    assert "Look at jobs wait: no folder [/mnt/x]" in plain
    assert "none serves" not in plain
    assert len(said.out.splitlines()) <= 24, "one screen"


def test_a_monitoring_system_learns_of_an_alert_by_the_exit_code(house: HouseUnderTest, typed: Typed) -> None:
    assert typed("status", "--check").code == 0
    store(house, record("r1"))
    said = typed("status", "--check", "--json")
    assert said.code == 1
    assert json.loads(said.out)["alerts"] == ["no model serves, so nothing is labelled: `nightread train … --promote`"]
    assert typed("status").code == 0, "only --check fails"


def test_watching_shows_it_again_until_it_is_interrupted(house: HouseUnderTest) -> None:
    arguments = [sys.executable, "-u", "-m", "nightread", "status", "--watch"]
    watching = subprocess.Popen(
        arguments,
        env={**os.environ, **house.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell started in the background ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads run here
    )
    shown: list[str] = []
    assert watching.stdout is not None
    for line in watching.stdout:
        shown.append(line)
        if sum("received" in one for one in shown) == 2:
            break
    watching.send_signal(signal.SIGINT)
    _, complaint = watching.communicate(timeout=60)
    assert (watching.returncode, complaint) == (0, "")
