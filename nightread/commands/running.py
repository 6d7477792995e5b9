"""`up` and `migrate`: a house at work, and a database at head."""

import logging
import signal
import threading

import typer

from nightread import console, crew
from nightread.commands.shared import Home, settings
from nightread.house import opened
from pipeline import pulls

app = typer.Typer()


@app.command()
def up(home: Home = None) -> None:
    """Run everything in the foreground: servers if none are named, migrations, the scheduler and the workers.

    Ctrl-C or SIGTERM stops all of it cleanly. Feeds are pulled at the times of their schedules;
    `nightread pull` pulls at once.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("alembic", "apscheduler"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    house_settings = settings(home)
    house_settings.home.mkdir(parents=True, exist_ok=True)
    with (
        crew.exclusive(house_settings.home),
        opened(house_settings, migrate=True) as house,
        crew.at_work(house, logs=None) as at_work,
    ):
        console.out.print(f"Nightread is up on {house_settings.home}; Ctrl-C stops it.", soft_wrap=True)
        if not house_settings.feeds:
            console.out.print(f"No feed is named yet; {pulls.how_to_add(house_settings.home)}", markup=False)
        while not stop.wait(1):
            at_work.look_after()
        console.out.print("Stopping; work in hand is finished first.")
    console.out.print("Stopped.")


@app.command()
def migrate(home: Home = None) -> None:
    """Bring the database to the schema of this version.

    Where the login may not create roles, it prints the SQL for the database's administrator.
    """
    with opened(settings(home), migrate=True, told=console.out.print):
        pass
