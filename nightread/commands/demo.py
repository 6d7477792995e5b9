"""`demo`: the whole job on a made-up feed, and what to do next."""

import shlex
import sys
from pathlib import Path

import typer

from nightread import console, demo, status_screen
from nightread.commands import status
from nightread.commands.shared import Home, settings, who
from nightread.commands.sql import print_answer
from nightread.house import opened
from pipeline.names import Role
from pipeline.settings import FILE_NAME

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
        "SELECT label, word, count(*) AS reports, round(avg(weight)::numeric, 2) AS mean_weight "
        "FROM finding_words GROUP BY label, word HAVING count(*) > 3 ORDER BY mean_weight DESC LIMIT 8",
    ),
    (
        "What was not taken in, and why?",
        Role.ANALYST,
        "SELECT feed, place, reason, array_to_string(kinds, ', ') AS kinds FROM quarantined_records "
        "ORDER BY quarantine_id",
    ),
)


@app.command(name="demo")
def show_demo(home: Home = None) -> None:
    """The whole job on a made-up feed: train a small model, pull, label, explain, and ask in SQL.

    A second run reuses what is there and duplicates nothing. Nothing of it is real; no patient was examined.
    """
    own = demo.settle(settings(home))
    with opened(own) as house:
        demo.run(house, by=who())
        console.out.print(status_screen.screen(*status.read(house), zone=own.zone))
        for question, role, query in QUESTIONS:
            console.out.print(f"\n[bold]{question}[/]")
            console.out.print(query, style="dim", markup=False)
            print_answer(house.urls[role], role, query)
    console.out.print("\n[bold]Go on with[/]")
    console.out.print(_next_steps(own.home), markup=False, soft_wrap=True)


def _next_steps(home: Path) -> str:
    return "\n".join(
        (
            f"  export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
            f"  export NIGHTREAD_HOME={shlex.quote(str(home))}",
            '  nightread sql "SELECT * FROM report_labels LIMIT 1"',
            '  nightread sql --role reader "SELECT label, word, weight FROM finding_words WHERE report_id = 1"',
            "  nightread explain --sample 12 --html pages   # which words say so; open pages/index.html",
            "  nightread status            # where everything stands",
            "  nightread up                # scheduler and workers in the foreground; then, in another terminal:",
            "  nightread pull --wait       # pull at once instead of at night",
            f"For your own reports see the README and {home / FILE_NAME}. All that you saw here is made up.",
        )
    )
