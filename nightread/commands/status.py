"""`status`: one screen that says whether last night worked and what wants a look."""

import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live

from nightread import console, status_screen
from nightread.commands.shared import AsJson, Home, settings, write_json
from nightread.house import House, opened
from pipeline import status
from pipeline.status import Disk, Missed, Status
from scheduler import clock

app = typer.Typer()

WATCH_SECONDS = 2.0


@app.command(name="status")
def show_status(
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if something wants a look, for a monitoring system.")
    ] = False,
    home: Home = None,
) -> None:
    """Where everything stands: did last night work, what is stuck, which model serves, how full is the disk."""
    with opened(settings(home)) as house:
        if watch:
            _watch(house)
            return
        now, disk, alerts = read(house)
    if as_json:
        write_json(as_data(now, disk, alerts))
    else:
        console.out.print(status_screen.screen(now, disk, alerts, zone=house.settings.zone))
    if check and alerts:
        raise typer.Exit(1)


def read(house: House) -> tuple[Status, Disk, list[str]]:
    """The state of the house, its disk, and what somebody should look at."""
    with house.sessions.begin() as session:
        now = status.read(session)
        disk = status.disk(session, house.settings)
        served = clock.standing(session, house.settings, now=datetime.now(UTC))
    # A feed that was taken out of the settings has nothing more to bring.
    now = replace(now, feeds=[feed for feed in now.feeds if feed.feed in house.settings.feeds])
    zone = house.settings.zone
    missed = [Missed(one.schedule.name, one.missed.astimezone(zone)) for one in served if one.missed is not None]
    return now, disk, status.alerts(now, disk, missed=missed, fullest=house.settings.fullest_disk)


def as_data(now: Status, disk: Disk, alerts: list[str]) -> dict[str, Any]:
    """What `--json` writes."""
    return {**now.as_json(), "disk": asdict(disk), "alerts": alerts}


def _watch(house: House) -> None:
    def shown() -> RenderableType:
        return status_screen.screen(*read(house), zone=house.settings.zone)

    try:
        if not console.out.is_terminal:
            while True:
                console.out.print(shown())
                time.sleep(WATCH_SECONDS)
        with Live(shown(), console=console.out, auto_refresh=False, screen=True) as live:
            while True:
                time.sleep(WATCH_SECONDS)
                live.update(shown(), refresh=True)
    except KeyboardInterrupt:
        return  # that is how one stops watching
