"""`replay`: what is kept against forgetting, by stratum; general text is added here."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.table import Table

from nightread import console, corpora
from nightread.commands.shared import AsJson, Home, settings, write_json
from nightread.console import Tracker, local_time
from nightread.corpora import Kind
from nightread.corpus_files import CorpusError
from nightread.house import opened
from pipeline import replay
from pipeline.replay import Stratum
from pipeline.settings import ReplaySettings

_BETWEEN_UPDATES = 200
_EMPTY = (
    "Nothing is kept against forgetting yet. `nightread replay add CORPUS` puts general text in, and `nightread replay "
    "refill` takes from the stored reports; every refresh does the latter first."
)

app = typer.Typer(
    name="replay", help="What is kept against forgetting; [bold]replay add[/] puts in a corpus of general text."
)


@app.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False, home: Home = None) -> None:
    """What is kept against forgetting, by stratum: site, language and quarter of the study, or general text."""
    if context.invoked_subcommand is not None:
        return
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        strata = replay.strata(session)
    if as_json:
        write_json([asdict(one) for one in strata])
    elif strata:
        _print(strata, house_settings.replay, house_settings.zone)
    else:
        console.out.print(_EMPTY, soft_wrap=True, markup=False)


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus of files, see `nightread corpus`.")],
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Put a corpus in as general text, so that no refresh forgets what the foundation had learnt.

    A bounded sample is kept, as of reports. What is in already changes nothing; long documents are cut.
    """
    house_settings = settings(home)
    if name == corpora.REPORTS:
        raise CorpusError(
            f"the corpus {name!r} is the stored reports, which `nightread replay refill` takes, and which leave when "
            "they are withdrawn; name a corpus of files"
        )
    corpora.require(house_settings, [name])
    corpus = next(one for one in corpora.listed(house_settings) if one.name == name)
    if corpus.kind == Kind.EHR:
        raise CorpusError(
            f"the corpus {name!r} holds patients' records, which may be withdrawn one day, and general text never is; "
            "let a feed bring reports"
        )
    with opened(house_settings) as house, console.tracked(f"adding {name}", corpus.documents) as shown:
        texts = _counted(corpora.texts(house_settings, [name]), shown)
        with house.sessions.begin() as session:
            added = replay.add_general(session, texts, kept=house_settings.replay)
    if as_json:
        write_json(asdict(added))
        return
    cut = f" {added.cut:,} were cut to {replay.LONGEST:,} characters." if added.cut else ""
    console.out.print(
        f"{added.read:,} documents of {name} were read; {added.new:,} of them are new in the buffer.{cut}", markup=False
    )


@app.command()
def refill(as_json: AsJson = False, home: Home = None) -> None:
    """Take from the stored reports what should be kept, and let go what should not; every refresh does so first."""
    house_settings = settings(home)
    with opened(house_settings) as house, house.sessions.begin() as session:
        refilled = replay.refill(session, kept=house_settings.replay)
    if as_json:
        write_json(asdict(refilled))
        return
    console.out.print(
        f"{refilled.added:,} texts were added, {refilled.evicted:,} evicted for others, and {refilled.left:,} are gone "
        "with their reports.",
        markup=False,
    )


def _counted(texts: Iterator[str], shown: Tracker) -> Iterator[str]:
    done = 0
    for done, text in enumerate(texts, 1):
        if done % _BETWEEN_UPDATES == 0:
            shown.update(done)
        yield text
    shown.update(done)


def _print(strata: list[Stratum], kept: ReplaySettings, zone: ZoneInfo) -> None:
    table = Table(show_footer=True)
    total = sum(one.kept for one in strata)
    for column, footer in (
        ("stratum", "all"),
        ("kept", f"{total:,} of {kept.items:,}"),
        ("held out", f"{sum(one.held_out for one in strata):,}"),
        ("oldest", ""),
        ("newest", ""),
    ):
        table.add_column(column, footer, justify="right" if column in ("kept", "held out") else "left", overflow="fold")
    for one in strata:
        moments = (local_time(moment, zone) for moment in (one.oldest_added_at, one.newest_added_at))
        table.add_row(escape(console.harmless(one.name)), f"{one.kept:,}", f"{one.held_out:,}", *moments)
    console.out.print(table)
