"""What docker-compose.yml tells PostgreSQL, Redis and the members, tried on real servers without Docker."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import compose_file
import psutil
import pytest
import redis
from compose_file import MEMBERS, ROOT, Compose
from hospital import Hospital, hospital, programs, without_nightread

from nightread.servers.server import free_port

PASSWORDS = {
    name: f"a-{name.lower().replace('_', '-')}" for name in ("OWNER_PASSWORD", "APP_PASSWORD", "REDIS_PASSWORD")
}
PATIENCE_S = 60


@dataclass(frozen=True)
class Machine:
    """The servers of the compose file, and its services' commands run as its containers would."""

    compose: Compose
    postgres: Hospital
    redis_port: int
    folder: Path

    def environment(self, service: str, **changes: str) -> dict[str, str]:
        """A service's own variables and nothing else of Nightread's, with our addresses for the containers' names."""
        own = {
            name: str(value)
            .replace("@postgres:5432", f"@{self.postgres.postgres}")
            .replace("@redis:6379", f"@127.0.0.1:{self.redis_port}")
            for name, value in self.compose["services"][service].get("environment", {}).items()
        }
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        return without_nightread() | {"PATH": path, "NIGHTREAD_HOME": str(self.folder / "home")} | own | changes

    def run(self, service: str, words: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment(service, **changes)
        return subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def health(self, service: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """A service's health check, as Docker runs it."""
        how, *words = self.compose["services"][service]["healthcheck"]["test"]
        if how == "CMD":
            return self.run(service, words, **changes)
        shell = words[0].replace("redis-cli", f"redis-cli -p {self.redis_port}")
        return self.run(service, ["/bin/sh", "-c", shell], PGPORT=self.postgres.postgres.split(":")[1], **changes)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    for made in ("home", "feeds", "models"):
        (tmp_path / made).mkdir()
    programs(tmp_path / "bin")
    with hospital() as postgres:
        given = PASSWORDS | {"POSTGRES_PASSWORD": postgres.superuser_password, "FEEDS_DIR": str(tmp_path / "feeds")}
        compose = compose_file.read(ROOT / "docker-compose.yml", given)
        port = free_port()
        server = subprocess.Popen(
            [tmp_path / "bin" / "redis-server", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=tmp_path,
            text=True,
        )
        try:
            assert server.stdin is not None
            server.stdin.write(f"{compose['configs']['redis']['content']}\nbind 127.0.0.1\nport {port}\n")
            server.stdin.close()
            yield Machine(compose, postgres, port, tmp_path)
        finally:
            server.terminate()
            server.wait(PATIENCE_S)


def test_redis_is_as_the_file_says_and_its_health_is_asked_for(machine: Machine) -> None:
    client = redis.Redis(port=machine.redis_port, password=PASSWORDS["REDIS_PASSWORD"])
    _wait_until(lambda: machine.health("redis").returncode == 0, "Redis is well")
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_get("save") == {"save": ""}
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=machine.redis_port).ping()
    assert machine.health("redis", REDISCLI_AUTH="wrong").returncode != 0
    client.close()


def test_from_an_empty_postgres_to_members_that_could_work(machine: Machine) -> None:
    assert machine.health("postgres").returncode != 0, "nothing is there yet"
    entry_point = [
        "psql",
        "-v",
        "ON_ERROR_STOP=1",
        "--no-password",
        "--no-psqlrc",
        "--file",
        str(ROOT / "deploy/roles.sql"),
    ]
    host, port = machine.postgres.postgres.split(":")
    login = {"PGHOST": host, "PGPORT": port, "PGUSER": "postgres", "PGPASSWORD": machine.postgres.superuser_password}
    unset = machine.run("postgres", ["env", "--unset", "OWNER_PASSWORD", *entry_point], **login)
    assert unset.returncode != 0, "an unset password is no password"
    made = machine.run("postgres", entry_point, **login)
    assert made.returncode == 0, made.stderr
    assert machine.health("postgres").returncode == 0
    assert machine.health("postgres", APP_PASSWORD="wrong").returncode != 0

    too_early = machine.health("scheduler")
    assert too_early.returncode == 1
    assert "run `nightread migrate`" in too_early.stderr

    command = ["nightread", *machine.compose["services"]["migrate"]["command"]]
    refused = machine.run("scheduler", command)
    assert refused.returncode == 1, "no member may alter the schema"
    migrated = machine.run("migrate", command)
    assert migrated.returncode == 0, migrated.stderr
    assert "empty →" in migrated.stdout
    for member in MEMBERS:
        well = machine.health(member, NIGHTREAD_MODELS_DIR=str(machine.folder / "models"))
        assert well.returncode == 0, f"{member}: {well.stderr}"
    assert machine.health("label", NIGHTREAD_BROKER_URL="redis://127.0.0.1:1/0").returncode == 1
    _every_member_ends_in_time(machine)


def _every_member_ends_in_time(machine: Machine) -> None:
    """Idle, by the signal that Docker sends, within the time that the file gives it."""
    started = {}
    try:
        for member in MEMBERS:
            words = ["nightread", *machine.compose["services"][member]["command"]]
            log = (machine.folder / f"{member}.log").open("wb")
            started[member] = subprocess.Popen(
                words, cwd=machine.folder, env=machine.environment(member), stdout=log, stderr=log
            )
        for member, process in started.items():
            _wait_until(lambda process=process: _at_work(process), f"{member} is at work")
        for member, process in started.items():
            service = machine.compose["services"][member]
            process.send_signal(signal.Signals[service.get("stop_signal", "SIGTERM")])
        for member, process in started.items():
            seconds = float(machine.compose["services"][member]["stop_grace_period"].removesuffix("s"))
            assert process.wait(seconds) == 0, (machine.folder / f"{member}.log").read_text()
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def _at_work(process: subprocess.Popen[bytes]) -> bool:
    """The scheduler itself, or a worker with its pool."""
    assert process.poll() is None
    found = psutil.Process(process.pid)
    return "scheduler" in found.cmdline()[2:] or bool("celery" in found.cmdline() and found.children())


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
