"""`nightread work`: one member on its own, and whether it could work here."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import given
import psutil
import pytest
from pydantic import SecretStr
from under_test import HouseUnderTest

from nightread import readiness
from nightread.crew import Member
from nightread.house import House
from pipeline import schedules
from pipeline.names import Role
from pipeline.tables import ScheduleTick


def lacking(house: House, member: Member) -> list[str]:
    return list(readiness.lacking(house, member))


def changed(house: House, **settings: object) -> House:
    return replace(house, settings=house.settings.model_copy(update=settings))


def as_hospital(house: HouseUnderTest) -> dict[str, str]:
    """The house's servers, as if they were a hospital's."""
    return {
        "NIGHTREAD_DATABASE_URL": house.addresses.database_url(Role.APP),
        "NIGHTREAD_BROKER_URL": house.addresses.broker_url,
    }


def test_servers_that_end_with_the_command_are_refused(house: HouseUnderTest) -> None:
    unset = {"NIGHTREAD_DATABASE_URL": "", "NIGHTREAD_BROKER_URL": ""}
    done = house.command("work", "label", **unset)
    assert done.returncode == 1
    assert "nightread up" in done.stderr


def test_every_member_of_a_whole_house_could_work(
    house: HouseUnderTest, serve: Callable[..., int], tmp_path: Path
) -> None:
    serve()
    given.feed_folder(house, tmp_path)
    assert {member: lacking(house.house, member) for member in Member} == {member: [] for member in Member}
    done = house.command("work", "label", "--check", **as_hospital(house))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_redis_with_another_password_is_named_without_it(house: HouseUnderTest) -> None:
    url = house.addresses.broker_url
    wrong = url.replace(url.split("//:")[1].split("@")[0], "not-the-password")
    done = house.command("work", "scheduler", "--check", **as_hospital(house) | {"NIGHTREAD_BROKER_URL": wrong})
    assert done.returncode == 1
    assert "scheduler: Redis does not answer" in done.stderr
    assert "not-the-password" not in done.stdout + done.stderr


def test_a_redis_that_is_not_there_is_named(house: HouseUnderTest) -> None:
    away = changed(house.house, broker_url=SecretStr("redis://127.0.0.1:1/0"))
    assert ["Redis does not answer" in one for one in lacking(away, Member.SCHEDULER)] == [True]


def test_an_intake_worker_wants_the_folders_of_its_feeds(house: HouseUnderTest, tmp_path: Path) -> None:
    given.feed_folder(house, tmp_path / "nowhere")
    (said,) = lacking(house.house, Member.INTAKE)
    assert said.startswith("feed main: cannot read the folder")
    assert lacking(house.house, Member.SCHEDULER) == [], "another machine may have it"


@pytest.mark.parametrize("member", [Member.LABEL, Member.TRAINING])
def test_a_model_that_serves_wants_its_files(
    member: Member, house: HouseUnderTest, serve: Callable[..., int], tmp_path: Path
) -> None:
    assert lacking(changed(house.house, models_dir=tmp_path), member) == [], "none serves yet"
    version = serve()
    (said,) = lacking(changed(house.house, models_dir=tmp_path), member)
    assert f"version {version}" in said
    assert "NIGHTREAD_MODELS_DIR" in said


def test_training_wants_to_write_models(house: HouseUnderTest, tmp_path: Path) -> None:
    (said,) = lacking(changed(house.house, models_dir=tmp_path / "nowhere"), Member.TRAINING)
    assert said.startswith("cannot write to the models folder")


def test_a_scheduler_that_serves_nothing_is_not_well(house: HouseUnderTest) -> None:
    with house.sessions.begin() as session:
        session.add(ScheduleTick(schedule=schedules.RECONCILE, scheduled_at=datetime.now(UTC) - timedelta(days=3)))
    (said,) = lacking(house.house, Member.SCHEDULER)
    assert said.startswith("reconcile was due at")


def test_the_member_takes_the_place_of_the_command(house: HouseUnderTest) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "nightread", "work", "scheduler"],
        env={**os.environ, **house.environment, **as_hospital(house)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while not house.rows("SELECT 1 FROM schedule_tick WHERE schedule = :name", name=str(schedules.RECONCILE)):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        assert psutil.Process(process.pid).cmdline()[1:] == ["-m", "scheduler"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
