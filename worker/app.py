"""The Celery app: transport only. A message says "there is work of this kind"; the work itself is in Postgres."""

import logging
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from pipeline import names, settings

app = Celery("nightread", include=["worker.tasks"], task_cls="worker.delivery:Task")

# Messages go to a queue by name through the default exchange. Any other exchange keeps its bindings in Redis,
# and after a FLUSHALL messages would vanish until every process reconnects. (Celery still declares a binding of its
# own in Redis; nobody publishes through it.)
QUEUES = tuple(Queue(name, Exchange(""), routing_key=name) for name in names.Queue)


# Read when first used, so that importing this module has no side effects.
@app.on_configure.connect  # type: ignore[untyped-decorator]
def configure(sender: Any, **_: object) -> None:
    logging.getLogger("worker").setLevel(logging.INFO)
    broker = settings.read().broker_url
    sender.conf.update(
        broker_url=broker.get_secret_value() if broker else None,
        # Nothing but plain data crosses: no pickle, and no results that anybody would have to clean up.
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_queues=QUEUES,
        task_create_missing_queues=False,
        task_routes={task: {"queue": queue} for task, queue in names.ROUTES.values()},
        # One message in hand: a claimed job is the reservation, a prefetched message would only idle.
        worker_prefetch_multiplier=1,
        # Early ack: a lost message costs one poll of the scheduler, and leases are the one path of recovery.
        task_acks_late=False,
        # The broker may be away for as long as it likes, at the start and later.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_keepalive": True, "health_check_interval": 30},
        # Nobody listens to worker events or sends remote commands; without them Redis stays empty when idle.
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        # Celery's own chatter stays at the level of the command line; what our jobs did is always worth a line.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
