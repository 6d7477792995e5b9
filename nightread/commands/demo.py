"""`demo`: the whole job on a made-up feed, and what to do next."""

from pathlib import Path

import typer
from rich.panel import Panel

from nightread import console, demo
from nightread.commands.reports import print_status
from nightread.commands.shared import Home, settings
from nightread.commands.sql import print_answer
from nightread.house import opened
from pipeline import settings as house_settings
from pipeline import status
from pipeline.names import Role

app = typer.Typer()

# What a data team asks on its first morning, by the role it asks as.
QUESTIONS = (
    (
        "What was found, and how often?",
        Role.ANALYST,
        "SELECT label, sum(reports) AS reports, sum(positives) AS positives FROM daily_prevalence "
        "GROUP BY label ORDER BY positives DESC LIMIT 6",
    ),
    (
        "Which words say so?",
        Role.READER,
        "SELECT report_id, label, round(probability::numeric, 2) AS p, word, round(weight::numeric, 2) AS weight "
        "FROM finding_words ORDER BY weight DESC LIMIT 6",
    ),
    (
        "What was not taken in, and why?",
        Role.ANALYST,
        "SELECT feed, place, reason FROM quarantined_records ORDER BY quarantine_id",
    ),
)


@app.command(name="demo")
def show_demo(home: Home = None) -> None:
    """The whole job on a made-up feed: train a small model, pull, label, explain, and ask in SQL.

    A second run reuses what is there and duplicates nothing. Nothing of it is real; no patient was examined.
    """
    own = demo.settle(settings(home))
    with opened(own) as house:
        demo.run(house)
        with house.sessions.begin() as session:
            standing = status.read(session)
        print_status(standing, own)
        for question, role, query in QUESTIONS:
            console.out.print(f"\n[bold]{question}[/]")
            console.out.print(query, style="dim", markup=False)
            print_answer(house.urls[role], role, query)
    console.out.print(Panel(_next_steps(own.home), title="Go on with", title_align="left"), markup=True)


def _next_steps(home: Path) -> str:
    at = f"export NIGHTREAD_HOME={home}"
    return "\n".join(
        (
            at,
            "nightread status                     where everything stands",
            'nightread sql "SELECT * FROM report_labels LIMIT 3"',
            'nightread sql --role reader "SELECT * FROM finding_words LIMIT 20"',
            "nightread up                         scheduler and workers in the foreground; then, elsewhere:",
            "nightread pull --wait                pull at once instead of at night",
            f"your own reports: see the README and {house_settings.FILE_NAME}; all that you saw here is made up",
        )
    )
