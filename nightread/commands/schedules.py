"""`schedules`, `pause` and `resume`: what happens when, and letting nights pass."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console
from nightread.commands.shared import AsJson, Home, settings, who, write_json
from nightread.console import local_time
from nightread.house import opened
from pipeline import pulls, schedules
from pipeline.settings import Settings
from scheduler import clock
from scheduler.clock import Served

app = typer.Typer()

Feed = Annotated[str | None, typer.Argument(help="Feed of the settings; none: everything on the clock.")]


@app.command(name="schedules")
def show_schedules(as_json: AsJson = False, home: Home = None) -> None:
    """What happens when: every schedule with its time zone, its last and its next time."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        standing = clock.standing(session, house_settings, now=datetime.now(UTC))
    if as_json:
        write_json([_as_data(one) for one in standing])
        return
    table = Table()
    for column in ("schedule", "cron", "time zone", "last time", "next time", "state"):
        table.add_column(column)
    for one in standing:
        zone = one.schedule.zone
        state = "paused" if one.paused_since else "missed" if one.missed else ""
        table.add_row(
            escape(one.schedule.name),
            one.schedule.cron,
            zone.key,
            local_time(one.last, zone),
            local_time(one.next, zone),
            state,
        )
    console.out.print(table)


@app.command()
def pause(
    feed: Feed = None,
    note: Annotated[str | None, typer.Option(help="Why; kept with the pause.")] = None,
    home: Home = None,
) -> None:
    """Let a feed's nights pass, or everything's, until `resume`. `nightread pull` still pulls when asked.

    Nothing is lost: the first pull afterwards reads all that has come meanwhile.
    """
    house_settings = settings(home)
    name = _schedule(house_settings, feed)
    with opened(house_settings) as house, house.sessions.begin() as session:
        new = schedules.pause(session, name, by=who(), note=note, rules=house.rules)
    what = f"Feed {feed} is" if feed else "All schedules are"
    console.out.print(f"{what} paused{'' if new else ' already'}; `nightread resume` ends it.", markup=False)


@app.command()
def resume(feed: Feed = None, home: Home = None) -> None:
    """End a feed's pause, or without a name every pause."""
    name = schedules.ALL if feed is None else schedules.pull(feed)  # a feed that is gone may be resumed, too
    with opened(settings(home)) as house, house.sessions.begin() as session:
        ended = schedules.resume(session, name, by=who(), rules=house.rules)
        still = schedules.paused(name, schedules.pauses(session))
    console.out.print(
        f"Resumed: {', '.join(map(_named, ended))}." if ended else "Nothing was paused by that name.", markup=False
    )
    if still:
        console.out.print("All schedules are still paused; `nightread resume` without a name ends that.")


def _schedule(house_settings: Settings, feed: str | None) -> str:
    if feed is None:
        return schedules.ALL
    pulls.named(house_settings, feed)  # a name that no feed has would pause nothing
    return schedules.pull(feed)


def _named(schedule: str) -> str:
    return "everything" if schedule == schedules.ALL else schedule


def _as_data(one: Served) -> dict[str, str | None]:
    moments = {"last": one.last, "next": one.next, "missed": one.missed, "paused_since": one.paused_since}
    return {
        "schedule": one.schedule.name,
        "cron": one.schedule.cron,
        "timezone": one.schedule.zone.key,
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
    }
