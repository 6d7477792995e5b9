"""A refresh is killed at every stage: production is as it was, and the next worker goes on to the end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import refreshable
from under_test import HouseUnderTest

from pipeline import refresh_runs

HERE = Path(__file__).parent
# In the order in which a refresh comes by them.
POINTS = (
    "claimed",
    "snapshot",
    "mix",
    "before-pre-training",
    "checkpoint",
    "pre-trained",
    "clearing",
    "refit",
    "refitted",
    "registering",
    "evaluation",
    "evaluated",
    "promotion",
    "promoting",
    "finishing",
)


def work(house: HouseUnderTest, point: str) -> subprocess.CompletedProcess[str]:
    """One worker, killed at `point`."""
    environment = {
        **os.environ,
        **house.environment,
        **house.house.environment(),
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, str(HERE / "staged_refresh.py"), point],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def let_the_lease_end(house: HouseUnderTest) -> None:
    with house.sessions.begin() as session:
        from sqlalchemy import text

        session.execute(text("UPDATE job SET lease_until = now() - interval '1 s' WHERE state = 'running'"))


@pytest.mark.parametrize("point", POINTS)
def test_a_refresh_killed_there_is_finished_by_the_next_worker(
    point: str, house: HouseUnderTest, nobody_else: None, tmp_path: Path
) -> None:
    house.configure(refreshable.SETTINGS)
    champion = refreshable.make(house, tmp_path)
    with house.sessions.begin() as session:
        refresh_runs.ask(session, reason="test", by="test@here", rules=house.house.rules)

    killed = work(house, point)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    serving = "SELECT model_version FROM model_history WHERE serves"
    assert house.value(serving) == champion, "nothing is promoted by halves"
    assert house.rows("SELECT state FROM refresh_run") == [("open",)]

    let_the_lease_end(house)
    done = work(house, "none")

    assert done.stdout.endswith("ran\n"), done.stderr
    state, made = house.rows("SELECT state, model_version_id FROM refresh_run")[0]
    assert state == "promoted", house.rows("SELECT verdict, stage FROM refresh_run")
    assert house.value(serving) == made != champion
    assert house.value("SELECT count(*) FROM model_version") == 2, "one challenger, however often it was begun"
    assert house.value("SELECT count(*) FROM event WHERE kind = 'RefreshFinished'") == 1
    assert house.value("SELECT count(*) FROM event WHERE kind = 'ModelPromoted'") == 2  # the champion's, and this
    assert house.rows("SELECT DISTINCT state FROM job WHERE kind = 'refresh'") == [("done",)]
    doubled = "SELECT 1 FROM evaluation GROUP BY model_version_id, metric, suite HAVING count(*) > 1"
    assert house.rows(doubled) == []
    left = [path for path in (house.home / "models" / ".refresh").rglob("*") if path.is_file()]
    assert left == [], "shards are deleted at the end"
    assert ("resumed at step 2" in done.stdout) == (point == "checkpoint")
