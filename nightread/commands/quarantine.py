"""`quarantine`: what was not taken in; looked through, looked into, released."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console
from nightread.commands.shared import AsJson, Home, settings, who, write_json
from nightread.console import local_time
from nightread.house import House, opened
from pipeline import identifying, pulls, quarantine
from pipeline.errors import NightreadError
from pipeline.feeds.record import Record, Skipped, Unreadable
from pipeline.quarantine import Chosen, HeldVersion, Places, Quarantined, Release

app = typer.Typer(
    name="quarantine",
    no_args_is_help=True,
    help="What was not taken in, and why; a release reads a record again and takes it in.",
)

# Rows of a table, unless somebody asks for more: a feed that was sent in a wrong encoding has them by the thousand.
LIMIT = 200


@app.command(name="list")
def list_records(
    feed: Annotated[str | None, typer.Option(help="Only records of this feed.")] = None,
    reason: Annotated[
        str | None, typer.Option(help="Only for this reason, or kind of identifying data, e.g. phone-number.")
    ] = None,
    released: Annotated[bool, typer.Option("--all", help="Released ones too.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"No more than so many, the oldest (default: {LIMIT}, with --json all).", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """What is in quarantine: place, reason and kinds; no text is kept of it."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        chosen = Chosen(feed, reason, released)
        counts = quarantine.counted(session, chosen)
        records = quarantine.listed(session, chosen, limit=limit if as_json else limit or LIMIT)
    if feed is not None and not records:
        pulls.named(house_settings, feed)  # a name that no feed has must not look like a feed without troubles
    if as_json:
        write_json([asdict(record) for record in records])
        return
    console.out.print(_counts(counts), markup=False)
    if records:
        console.out.print(_table(records, house_settings.zone))
    if more := counts.total() - len(records):
        console.out.print(f"{more} more are not shown; --limit shows more, --feed and --reason narrow it down.")


@app.command()
def show(
    quarantine_id: Annotated[int, typer.Argument(metavar="ID", help="Number of the record.")],
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """A record, what else we know of its report, and, on a terminal only, its text as its source has it now."""
    with opened(settings(home)) as house:
        with house.sessions.begin() as session:
            record = quarantine.found(session, quarantine_id)
            others = quarantine.history(session, record)
            releases = quarantine.releases(session, record)
            versions = quarantine.versions(session, record)
        if as_json:
            data = {
                "releases": [asdict(release) for release in releases],
                "history": [asdict(other) for other in others],
                "held": [asdict(version) for version in versions],
            }
            write_json(asdict(record) | data)
            return
        zone = house.settings.zone
        console.out.print(_described(record, zone))
        former = releases[:-1] if record.released_at is not None else releases
        for release in former:
            console.out.print(_released_before(release, zone), markup=False)
        if others:
            console.out.print("\nOf the same report, in quarantine or released:")
            console.out.print(_table(others, zone))
        for version in versions:
            console.out.print(_held(version, zone))
        if not console.may_show_texts():
            console.out.print("\nThe text is not kept here; on a terminal this command reads it at its source.")
            return
        _show_text(house, record)


@app.command()
def release(
    quarantine_ids: Annotated[list[int], typer.Argument(metavar="ID", help="Numbers of the records.")],
    note: Annotated[str, typer.Option(help="Why; kept with the record.")],
    home: Home = None,
) -> None:
    """Read records again at their source and take them in, each for the kinds of data it was quarantined for.

    Who released it, when and why stays with the record, and is a fact in the audit trail. Exit code 1 if one
    of them stays in quarantine; the others are released all the same.
    """
    if not note.strip():
        raise typer.BadParameter("say why", param_hint="--note")
    kept = 0
    with opened(settings(home)) as house:
        places = Places(house.settings)
        for quarantine_id in dict.fromkeys(quarantine_ids):
            try:
                console.out.print(_release(house, places, quarantine_id, note.strip()), markup=False, soft_wrap=True)
            except NightreadError as error:
                kept += 1
                console.err.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
    if kept:
        raise typer.Exit(1)


def _release(house: House, places: Places, quarantine_id: int, note: str) -> str:
    with house.sessions.begin() as session:
        record = quarantine.found(session, quarantine_id)
    feed = pulls.named(house.settings, record.feed)
    item = places.read_again(record)  # no transaction waits for a folder far away
    with house.sessions.begin() as session:
        released = quarantine.release(
            session,
            quarantine_id,
            item,
            by=who(),
            note=note,
            record_numbers=feed.record_numbers,
            rules=house.rules,
        )
    became = "" if released.report_id is None else f", report {released.report_id}"
    return f"{quarantine_id}: {released.outcome}{became}"


def _counts(counts: Mapping[tuple[str, tuple[str, ...]], int]) -> str:
    """How many for which reason, e.g. "identifying-data 3 (phone-number 2, e-mail 1), broken-json 1"."""
    reasons: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = defaultdict(Counter)
    for (reason, some), count in counts.items():
        reasons[reason] += count
        by_kind[reason].update(dict.fromkeys(some, count))
    parts = []
    for reason, count in reasons.most_common():
        kinds = by_kind[reason]
        named = ", ".join(f"{kind} {times}" for kind, times in kinds.most_common())
        parts.append(f"{reason} {count}" + (f" ({named})" if named else ""))
    return ", ".join(parts) or "Nothing is in quarantine."


def _table(records: Iterable[Quarantined], zone: ZoneInfo) -> Table:
    table = Table()
    table.add_column("id", justify="right")
    for column in ("feed", "place", "reason", "report", "since", "released"):
        table.add_column(column, overflow="fold")
    for record in records:
        released = f"{local_time(record.released_at, zone)}: {record.release_outcome}" if record.released_at else ""
        table.add_row(
            str(record.id),
            escape(record.feed),
            escape(record.place),
            _reason(record),
            escape(record.source_id or ""),
            local_time(record.quarantined_at, zone),
            released,
        )
    return table


def _described(record: Quarantined, zone: ZoneInfo) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "record": str(record.id),
        "feed": record.feed,
        "place": record.place,
        "reason": _reason(record),
        "report": record.source_id or "its id could not be read",
        "quarantined": local_time(record.quarantined_at, zone),
    }
    if record.released_at is not None:
        became = f", report {record.released_report_id}" if record.released_report_id else ""
        rows["released"] = f"{local_time(record.released_at, zone)} by {record.released_by}"
        rows["because"] = record.release_note or ""
        rows["came to"] = f"{record.release_outcome}{became}"
    for name, value in rows.items():
        table.add_row(name, escape(value))
    return table


def _released_before(release: Release, zone: ZoneInfo) -> str:
    """A release after which the record was held back anew."""
    what = f" for {', '.join(release.kinds)}" if release.kinds else ""
    became = f", report {release.report_id}" if release.report_id else ""
    said = f"{local_time(release.at, zone)}: released{what} by {release.by}: {release.outcome}{became}"
    return said + (f" – {release.note}" if release.note else "") + "; held back anew since"


def _held(version: HeldVersion, zone: ZoneInfo) -> str:
    said = [name for name in ("current", "withdrawn", "flagged") if getattr(version, name)]
    return (
        f"We hold of it: version {version.version} (report {version.report_id}), "
        f"received {local_time(version.received_at, zone)}" + (f"; {', '.join(said)}" if said else "")
    )


def _show_text(house: House, record: Quarantined) -> None:
    try:
        item = Places(house.settings).read_again(record)
    except NightreadError as error:
        console.out.print(f"\nIts text cannot be shown: {error}", style="yellow", markup=False)
        return
    match item:
        case Unreadable() | Skipped():
            console.out.print(f"\nIts text cannot be shown: {item.reason}", style="yellow", markup=False)
        case Record(text=None):
            console.out.print("\nIts source has withdrawn it.")
        case Record(text=str(text)):
            record_numbers = pulls.named(house.settings, record.feed).record_numbers
            kinds = identifying.kinds(text, record_numbers=record_numbers)
            holds = ", ".join(kinds) or "no identifying data that the guard sees"
            console.out.print(f"\nReport {item.source_id} at its source now; it holds {holds}:\n", markup=False)
            console.out.print(console.harmless(text), markup=False)


def _reason(record: Quarantined) -> str:
    return f"{record.reason}: {', '.join(record.kinds)}" if record.kinds else record.reason
