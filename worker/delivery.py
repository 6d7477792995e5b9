"""How a message is taken from Redis: an acknowledgement that fails makes the worker reconnect."""

import logging

from celery import Task as CeleryTask
from celery.worker.request import Request

log = logging.getLogger(__name__)


class Delivery(Request):  # type: ignore[misc]
    """A message in a worker's hand."""

    def acknowledge(self) -> None:
        # Celery logs an acknowledgement that fails because Redis is away, and kombu goes on counting the message as
        # in hand. With a prefetch of one the worker then fetches nothing any more, long after Redis is back
        # (seen with Celery and kombu 5.7.0). Not caught, here by naming no errors to catch, the failure reaches
        # the event loop, which treats it as the lost connection that it is.
        if not self.acknowledged:  # type: ignore[has-type]
            self._on_ack(log, ())
            self.acknowledged = True


class Task(CeleryTask):  # type: ignore[misc]
    """What `@app.task` makes."""

    Request = Delivery
