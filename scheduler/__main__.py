"""`python -m scheduler`: the clock and the dispatcher of one machine, until SIGTERM. Two of them are safe."""

import logging
import signal
import threading

from apscheduler.schedulers.background import BackgroundScheduler

from pipeline import labelling, settings
from pipeline.database import DatabaseUnavailable, Sessions, engine
from pipeline.labelling import LabelRules
from pipeline.names import Role
from scheduler import clock
from scheduler.dispatch import Dispatcher

log = logging.getLogger("scheduler")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    house = settings.read()
    if house.database_url is None or house.broker_url is None:
        raise settings.InvalidSettings("the scheduler needs NIGHTREAD_DATABASE_URL and NIGHTREAD_BROKER_URL")
    sessions = Sessions(engine(house.database_url.get_secret_value(), Role.APP))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def tick() -> None:
        try:
            clock.tick(sessions, settings.read())  # read anew: a feed may have been added since
        except (DatabaseUnavailable, settings.InvalidSettings) as error:
            log.warning("the clock stands still: %s", error)  # what is due now is caught up at a later tick

    def reconcile() -> None:
        try:
            with sessions.begin() as session:
                labelling.reconcile(session, rules=LabelRules.of(house))
        except DatabaseUnavailable as error:
            log.warning("not reconciled at the start: %s", error)

    tick()
    reconcile()  # whatever was left without a job while nobody was looking
    ticking = BackgroundScheduler(timezone=house.zone)
    ticking.add_job(tick, "cron", minute="*", max_instances=1, coalesce=True)
    ticking.start()
    dispatcher = Dispatcher(sessions, house.broker_url.get_secret_value())
    dispatcher.run(stop, poll_seconds=house.poll_seconds)
    ticking.shutdown()
    log.info("stopped")


if __name__ == "__main__":
    main()
