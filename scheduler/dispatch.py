"""Waking the workers: as many messages out as there is ready work, woken by NOTIFY, and by polling always."""

import logging
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from pipeline import jobs, names
from pipeline.database import DatabaseUnavailable, Sessions, translated
from pipeline.names import ROUTES, JobKind

log = logging.getLogger(__name__)

# More waiting messages than this wake nobody sooner: a worker that finds work passes its message on.
MOST_WAITING = 8


def missing_messages(*, ready_jobs: int, waiting_messages: int, most: int = MOST_WAITING) -> int:
    """How many messages to send so that ready work has a message, and no slot gets more than it can use."""
    return max(0, min(ready_jobs, most) - waiting_messages)


class Dispatcher:
    """Keeps the queues in step with the ready jobs."""

    def __init__(self, sessions: Sessions, broker_url: str) -> None:
        self._sessions = sessions
        # A producer needs little of the worker's app: JSON, and no results.
        self._app = Celery("nightread-scheduler", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            task_serializer="json",
            task_ignore_result=True,
            task_queues=[Queue(name, Exchange(""), routing_key=name) for name in names.Queue],
            # A poll that cannot reach Redis is over soon; the next one comes anyway.
            broker_connection_timeout=5,
            task_publish_retry=False,
            broker_transport_options={"socket_connect_timeout": 5, "socket_timeout": 10},
        )

    def dispatch(self) -> int:
        """Send the missing messages; how many. An absent database or broker is logged: the next poll tries again."""
        try:
            with self._sessions.begin() as session:
                ready = jobs.ready(session)
            return self._send(ready) if ready else 0
        except DatabaseUnavailable as error:
            log.warning("no work can be handed out: %s", error)
        except (OperationalError, OSError) as error:
            log.warning("the message broker cannot be reached (%s); trying again", type(error).__name__)
        return 0

    def _send(self, ready: dict[JobKind, int]) -> int:
        sent = 0
        with self._app.connection_for_write() as connection:
            channel = connection.default_channel
            for kind, count in ready.items():
                task, queue = ROUTES[kind]
                waiting = channel.queue_declare(queue=queue, passive=False).message_count
                for _ in range(missing_messages(ready_jobs=count, waiting_messages=waiting)):
                    self._app.send_task(task, queue=queue, connection=connection)
                    sent += 1
        return sent

    def run(self, stop: threading.Event, *, poll_seconds: float) -> None:
        """Dispatch on every notification and at least every `poll_seconds`, until stopped."""
        while not stop.is_set():
            try:
                with translated(), self._listening() as connection:
                    while not stop.is_set():
                        self.dispatch()
                        _wait(connection, stop, poll_seconds)
            except DatabaseUnavailable as error:
                log.warning("not listening for work: %s", error)
                stop.wait(poll_seconds)

    @contextmanager
    def _listening(self) -> Iterator[Any]:
        """A connection of its own, since notifications are delivered between transactions only."""
        pooled = self._sessions.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {jobs.CHANNEL}")
            yield connection
        finally:
            connection.close()


def _wait(connection: Any, stop: threading.Event, seconds: float) -> None:
    """Until a notification comes or the poll is due; looks at `stop` twice a second."""
    waited = 0.0
    while waited < seconds and not stop.is_set():
        if select.select([connection], [], [], 0.5)[0]:
            connection.poll()
            connection.notifies.clear()
            return
        waited += 0.5
