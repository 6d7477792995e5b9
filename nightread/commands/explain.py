"""`explain`: which words say so, on a terminal, as a page, or as a folder of pages."""

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from nightread import console
from nightread.commands.shared import Home, settings
from nightread.house import House, opened
from nightread.pages import files, page, terminal
from pipeline import explanations
from pipeline.errors import NightreadError
from pipeline.explanations import Explanation, NotLabelledYet

app = typer.Typer()


class NoTerminal(NightreadError):
    """Report text goes to a terminal, or to a file that was asked for."""


class NothingToExplain(NightreadError):
    """No report has labels."""


@app.command()
def explain(
    report: Annotated[
        str | None,
        typer.Argument(help="Report id (also as id:12), accession number or source id.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="PATH", help="Write a page that stands alone; with --sample a folder.", show_default=False
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Explain N varied reports, with an index.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed chooses the same sample.")] = 0,
    home: Home = None,
) -> None:
    """Show what was found in a report and which words say so.

    nightread explain A-1042                      on this terminal

    nightread explain A-1042 --html A-1042.html   as one page, for a browser, a phone or a printer

    nightread explain --sample 20 --html pages/   twenty varied reports, with an index

    Pages hold report text: they are written for you alone.
    """
    if (report is None) == (sample is None):
        raise typer.BadParameter("name a report, or ask for --sample N of them")
    if sample is not None and html is None:
        raise typer.BadParameter("--sample needs --html DIR, a folder for the pages")
    if html is None and not console.may_show_texts():
        raise NoTerminal("report text is shown on a terminal only; with --html FILE it goes to a file")
    house_settings = settings(home)
    with opened(house_settings) as house:
        if sample is not None and html is not None:
            _write_sample(house, html, count=sample, seed=seed)
            return
        with house.sessions.begin() as session:
            explanation = explanations.read(session, explanations.find(session, report or ""))
    if html is None:
        for line in terminal.lines(explanation, zone=house_settings.zone):
            console.out.print(line)
        return
    made = page.report(explanation, zone=house_settings.zone, made_at=datetime.now(UTC), nightread=_version())
    files.write(html, made)
    console.out.print(f"Wrote {html}.", markup=False, soft_wrap=True)


def _write_sample(house: House, folder: Path, *, count: int, seed: int) -> None:
    with house.sessions.begin() as session:
        chosen = explanations.sample(session, count=count, seed=seed)
    if not chosen:
        raise NothingToExplain("no report has labels yet; `nightread status` says what is to come")
    files.prepare(folder)
    zone, made_at, nightread = house.settings.zone, datetime.now(UTC), _version()
    shown: list[Explanation] = []
    with console.tracked("explaining", total=len(chosen)) as tracker:
        for done, report_id in enumerate(chosen, 1):
            try:
                with house.sessions.begin() as session:
                    explanation = explanations.read(session, report_id)
            except (NotLabelledYet, explanations.NoLongerShown):
                continue  # withdrawn or amended since it was chosen
            made = page.report(explanation, zone=zone, made_at=made_at, nightread=nightread, index=True)
            files.write(folder / files.name(report_id), made)
            shown.append(explanation)
            tracker.update(done)
    made = page.index(shown, zone=zone, made_at=made_at, nightread=nightread, seed=seed)
    files.write(folder / files.INDEX, made)
    console.out.print(f"Wrote {len(shown)} pages; begin with {folder / files.INDEX}.", markup=False, soft_wrap=True)


def _version() -> str:
    try:
        return version("nightread")
    except PackageNotFoundError:
        return "(not installed)"  # run from its sources
