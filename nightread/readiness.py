"""Whether a member of the crew could do its work here and now: what health checks ask before and while it runs."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from kombu import Connection
from kombu.exceptions import OperationalError

from nightread.crew import Member
from nightread.house import House
from pipeline import labelling
from scheduler import clock

BROKER_PATIENCE_S = 5


def lacking(house: House, member: Member) -> Iterator[str]:
    """What the member lacks, in a line each with the way out. The house is open, so its database is at head."""
    yield from _broker(house)
    match member:
        case Member.SCHEDULER:
            yield from _schedules_missed(house)
        case Member.INTAKE:
            yield from _unreadable_feeds(house)
        case Member.LABEL:
            yield from _missing_model(house)
        case Member.TRAINING:
            yield from _missing_model(house)
            folder = house.settings.models_folder
            if not os.access(folder, os.W_OK):
                yield f"cannot write to the models folder {folder}, where a refreshed model would go"


def _broker(house: House) -> Iterator[str]:
    url = house.settings.broker_url
    options = {"socket_connect_timeout": BROKER_PATIENCE_S, "socket_timeout": BROKER_PATIENCE_S}
    try:
        # Kombu's own way in, so that every URL is understood that Celery understands. A channel begins with PING.
        with Connection(url.get_secret_value() if url else "", transport_options=options) as connection:
            _ = connection.default_channel
    except (OperationalError, OSError) as error:  # by kind alone: the message may quote the URL and its password
        yield f"Redis does not answer ({type(error).__name__}); is NIGHTREAD_BROKER_URL right, is it running?"


def _schedules_missed(house: House) -> Iterator[str]:
    with house.sessions.begin() as session:
        standing = clock.standing(session, house.settings, now=datetime.now(UTC))
    for one in standing:
        if one.missed is not None:
            yield f"{one.schedule.name} was due at {one.missed:%Y-%m-%d %H:%M} UTC and no clock served it"


def _unreadable_feeds(house: House) -> Iterator[str]:
    for name, feed in house.settings.feeds.items():
        if not (feed.path.is_dir() and os.access(feed.path, os.R_OK | os.X_OK)):
            yield f"feed {name}: cannot read the folder {feed.path}; is it mounted here?"


def _missing_model(house: House) -> Iterator[str]:
    with house.sessions.begin() as session:
        model = labelling.serving(session)
    if model is not None and not (house.settings.models_folder / model.artifact).is_dir():
        yield (
            f"the models folder {house.settings.models_folder} does not hold the model that serves, version "
            f"{model.id}; share the folder with this machine, or name it in NIGHTREAD_MODELS_DIR"
        )
