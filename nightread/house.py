"""Opening the house for a command: its settings, its servers (embedded or the hospital's), its database."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from pydantic import SecretStr
from sqlalchemy import text

import migrations
from nightread import servers
from pipeline.database import Sessions, engine
from pipeline.labelling import LabelRules
from pipeline.names import Role
from pipeline.settings import Settings


@dataclass(frozen=True)
class House:
    """An open house: everything a command needs, as values."""

    settings: Settings
    urls: Mapping[Role, str]
    embedded: bool

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(engine(self.urls[Role.APP], Role.APP))

    @property
    def rules(self) -> LabelRules:
        return LabelRules.of(self.settings)

    def environment(self) -> dict[str, str]:
        """What a worker or scheduler process of this house must find in its environment. Holds passwords."""
        broker = self.settings.broker_url
        return {
            "NIGHTREAD_HOME": str(self.settings.home),
            "NIGHTREAD_DATABASE_URL": self.urls[Role.APP],
            "NIGHTREAD_BROKER_URL": broker.get_secret_value() if broker else "",
        }


@contextmanager
def opened(
    settings: Settings, *, migrate: bool = False, told: Callable[[str], None] = lambda _: None
) -> Iterator[House]:
    """The house with its servers running; the embedded ones stop again with their last user.

    An embedded database is brought to head by itself; the hospital's own only when asked to `migrate`.
    Raises `SchemaBehind` if it is not at head. `told` hears what migrating did.
    """
    if not settings.embedded:
        house = House(settings, _hospital_urls(settings), embedded=False)
        _prepare(house, migrate=migrate, told=told)
        try:
            yield house
        finally:
            house.sessions.engine.dispose()
        return
    with servers.running(settings.home) as addresses:
        urls = {role: addresses.database_url(role) for role in Role}
        house = House(
            settings.model_copy(
                update={
                    "database_url": SecretStr(urls[Role.APP]),
                    "broker_url": SecretStr(addresses.broker_url),
                }
            ),
            urls,
            embedded=True,
        )
        _prepare(house, migrate=True, told=told)
        _set_time_zone(house)
        try:
            yield house
        finally:
            house.sessions.engine.dispose()


def _set_time_zone(house: House) -> None:
    """Days are the hospital's days; its own database has its administrator's time zone, ours has the settings'."""
    wanted = house.settings.timezone
    with house.sessions.begin() as session:
        if session.scalar(text("SHOW timezone")) == wanted:
            return
    owner = Sessions(engine(house.urls[Role.OWNER]))
    with owner.begin() as session:
        # The zone is one that Python knows, so it holds no quote.
        session.execute(
            text(f"ALTER DATABASE {session.scalar(text('SELECT current_database()'))} SET timezone = '{wanted}'")
        )
    owner.engine.dispose()
    house.sessions.engine.dispose()  # connections made from here on have it


def _prepare(house: House, *, migrate: bool, told: Callable[[str], None]) -> None:
    if migrate:
        migrations.upgrade(house.urls[Role.OWNER], told=told)
    else:
        migrations.require_head(house.sessions)


def _hospital_urls(settings: Settings) -> dict[Role, str]:
    """A login per role where the settings name one, else the one login that may become any of them."""
    named = {
        Role.APP: settings.database_url,
        Role.OWNER: settings.owner_database_url,
        Role.ANALYST: settings.analyst_database_url,
        Role.READER: settings.reader_database_url,
    }
    shared = (settings.database_url or SecretStr("")).get_secret_value()
    return {role: url.get_secret_value() if url else _acting_as(shared, role) for role, url in named.items()}


def _acting_as(url: str, role: Role) -> str:
    """The URL of a login, as one whose connections begin as `role`."""
    if role in {Role.APP, Role.OWNER}:
        return url  # `engine` sees to it, and can say what is missing
    return f"{url}{'&' if '?' in url else '?'}options=-c%20role%3D{role}"
