"""What tests share beside fixtures: a house on real servers, and texts for a tiny classifier."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from pydantic import SecretStr
from sqlalchemy import text

from nightread.house import House
from nightread.servers import Addresses
from pipeline import settings
from pipeline.database import Sessions, engine
from pipeline.names import Role

# Findings of the tiny classifier that tests label with: a part of the default label set would be another set.
TINY_TEXTS = (
    "No pleural effusion. There is a nodule of 3.5 cm in the right upper lobe.",
    "양측 폐에 결절이 보입니다. 흉수는 없음.",
    "Both lung에 GGO 있음. Heart size is normal.",
    "Minimal pericardial effusion. Emphysema in both lungs.",
)


@dataclass(frozen=True)
class HouseUnderTest:
    """An empty house on real servers: its home, what a process of it needs in its environment, its database."""

    home: Path
    addresses: Addresses
    environment: dict[str, str]
    sessions: Sessions

    def configure(self, toml: str) -> None:
        (self.home / settings.FILE_NAME).write_text(toml, encoding="utf-8")

    @property
    def house(self) -> House:
        """The house as a command would open it, for calls inside this process."""
        found = settings.read(self.home).model_copy(
            update={
                "database_url": SecretStr(self.addresses.database_url(Role.APP)),
                "broker_url": SecretStr(self.addresses.broker_url),
            }
        )
        return House(found, {role: self.addresses.database_url(role) for role in Role}, embedded=True)

    def rows(self, query: str, role: Role = Role.OWNER, **parameters: Any) -> list[Any]:
        bound = engine(self.addresses.database_url(role))
        try:
            with bound.connect() as connection:
                return list(connection.execute(text(query), parameters).all())
        finally:
            bound.dispose()

    def value(self, query: str, **parameters: Any) -> Any:
        return self.rows(query, **parameters)[0][0]

    def execute(self, statement: str, **parameters: Any) -> None:
        """Run a statement as the application, in a transaction of its own."""
        with self.sessions.begin() as session:
            session.execute(text(statement), parameters)

    def command(self, *arguments: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `nightread …` as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "nightread", *arguments],
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        done = self.command("status", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def broker_client(addresses: Addresses) -> "redis.Redis":
    """A plain Redis client for the house's broker."""
    url = addresses.broker_url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    return redis.Redis.from_url(url)
