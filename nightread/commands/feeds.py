"""`feeds`: how far each has been read, and what a pull would make of one."""

from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console, waiting
from nightread.commands.shared import AsJson, Home, settings, write_json
from nightread.console import local_time
from nightread.house import opened
from pipeline import feed_states, feeds, pulls
from pipeline.dry_run import DryRun, Intended, dry_run
from pipeline.feed_states import FeedState
from pipeline.feeds.growing_folder import position
from pipeline.language import language
from pipeline.tables import Feed

SHOWN_CHARACTERS = 200

app = typer.Typer(name="feeds", help="Where every feed stands; [bold]feeds check[/] tries one out.")


@app.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False, home: Home = None) -> None:
    """Where every feed stands: how far it has been read, its last run, its lag, and what it brought so far."""
    if context.invoked_subcommand is not None:
        return
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        states = feed_states.read(session, house_settings.feeds)
    if as_json:
        write_json([state.as_json() for state in states])
    elif states:
        _print_states(states, house_settings.zone)
    else:
        console.out.print(f"No feeds yet; {pulls.how_to_add(house_settings.home)}", markup=False)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Feed of the settings.")],
    first: Annotated[int, typer.Option(min=0, help="How many records, and places of each reason, to show.")] = 5,
    limit: Annotated[int, typer.Option(min=1, help="How many records to go through at most.")] = 1000,
    from_start: Annotated[bool, typer.Option("--from-start", help="Read from the start, not from its cursor.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Show what a pull would do now, and do nothing: the first records as they would be stored, and what would be
    skipped or quarantined, where and why.

    Texts, accession numbers and patients are shown on a terminal only.
    """
    house_settings = settings(home)
    feed = pulls.named(house_settings, name)
    with opened(house_settings) as house:
        with house.sessions.begin() as session:
            row = session.get(Feed, name)
            cursor = row.cursor if row is not None and not from_start else {}
        reader = feeds.reader(
            feed, cursor, max_text_bytes=house_settings.max_report_bytes, zone=feed.zone(house_settings.zone)
        )
        found = dry_run(house.sessions, feed, reader, first=first, limit=limit)
    stood = "from the start" if from_start else position(cursor)
    if as_json:
        write_json({"feed": name, "kind": feed.kind, "from": stood, **_as_json(found)})
    else:
        console.out.print(f"{name}: {feed.kind} in {feed.path}, {stood}.", markup=False, soft_wrap=True)
        _print_found(found, feed.zone(house_settings.zone))


def _print_states(states: list[FeedState], zone: ZoneInfo) -> None:
    table = Table()
    for column in ("feed", "read so far", "last run", "lag", "newest report", "brought so far"):
        table.add_column(column)
    for state in states:
        gone = "" if state.in_settings else "\nnot in the settings"
        last = f"{local_time(state.last_started_at, zone)} {state.last_state}" if state.last_state else "never"
        table.add_row(
            escape(f"{_plain(state.name)}\n{_plain(f'{state.kind}, {state.site}')}{gone}"),
            escape(_plain(state.position)),
            escape(last + (f"\n{_plain(state.error)}" if state.error else "")),
            "" if state.lag_seconds is None else _duration(state.lag_seconds),
            local_time(state.newest_report_at, zone),
            escape(waiting.counts(state.counts)) if state.last_state else "",
        )
    console.out.print(table)


def _print_found(found: DryRun, zone: ZoneInfo) -> None:
    if found.records:
        console.out.print(_records(found.records, zone))
        _print_texts(found.records)
    if found.not_taken:
        table = Table(title="What would not be taken in", title_justify="left")
        for column in ("outcome", "reason", "records", "first of them"):
            table.add_column(column, justify="right" if column == "records" else "left")
        for why in found.not_taken.values():
            places = "\n".join(map(_plain, why.places))
            table.add_row(why.outcome, escape(_plain(why.reason)), str(why.records), escape(places))
        console.out.print(table)
    more = "; there is more, see --limit" if found.more else ""
    console.out.print(f"{found.read} records read: {waiting.counts(found.outcomes)}{more}. Nothing was stored.")


def _records(records: list[Intended], zone: ZoneInfo) -> Table:
    """Without the columns that this feed does not fill. What points at a patient is shown on a terminal only."""
    on_terminal = console.may_show_texts()
    shown = [
        {
            "id": record.source_id,
            "outcome": outcome,
            "updated": local_time(record.updated_at, zone),
            "study": local_time(record.study_at, zone),
            "issued": local_time(record.issued_at, zone),
            "accession": (record.accession or "") if on_terminal else "",
            "patient": (record.patient or "") if on_terminal else "",
            "code": record.code or "",
            "modality": record.modality or "",
            "language": language(record.text) if record.text else "",
            "length": str(len(record.text)) if record.text else "",
        }
        for record, outcome in ((one.record, one.outcome) for one in records)
    ]
    table = Table(title="The first records, as they would be stored", title_justify="left")
    filled = [column for column in shown[0] if any(row[column] for row in shown)]
    for column in filled:
        table.add_column(column, no_wrap=column == "outcome")
    for row in shown:
        table.add_row(*(escape(_plain(row[column])) for column in filled))
    return table


def _print_texts(records: list[Intended]) -> None:
    if not console.may_show_texts():
        return
    for one in records:
        if one.record.text:
            shown = _plain(one.record.text[:SHOWN_CHARACTERS])
            more = " …" if len(one.record.text) > SHOWN_CHARACTERS else ""
            console.out.print(f"{_plain(one.record.source_id)}: {shown}{more}", markup=False)


def _as_json(found: DryRun) -> dict[str, Any]:
    """Everything but the texts."""
    return {
        "read": found.read,
        "more": found.more,
        "outcomes": dict(found.outcomes),
        "records": [
            {
                "place": one.record.place,
                "id": one.record.source_id,
                "outcome": one.outcome,
                "updated_at": one.record.updated_at,
                "study_at": one.record.study_at,
                "issued_at": one.record.issued_at,
                "accession": one.record.accession,
                "patient": one.record.patient,
                "code": one.record.code,
                "modality": one.record.modality,
                "language": language(one.record.text) if one.record.text else None,
                "characters": len(one.record.text) if one.record.text else None,
            }
            for one in found.records
        ],
        "not_taken": [
            {"outcome": why.outcome, "reason": why.reason, "records": why.records, "places": why.places}
            for why in found.not_taken.values()
        ],
    }


def _plain(text: str) -> str:
    """On one line and without what a terminal would obey."""
    return " ".join(console.harmless(text).split())


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
