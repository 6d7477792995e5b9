"""How fast are the data team's ten questions on 200,000 labelled reports, and how do they grow from 20,000?

    .venv/bin/python benchmarks/sql.py [--reports 200000] [--fewer 20000] [--runs 30] [--quick]

The questions are those of `docs/sql.md`, read from there and asked as it says: over a connection of the role named,
each time about another day, finding and report. Two houses on an embedded PostgreSQL, both of as many reports a day: a
hospital after some weeks, and after a year. A time is that of the query with all its rows fetched. The questions take
turns, and each was asked about three other things before it counts. "scans" names the large tables that PostgreSQL
reads from one end to the other, as EXPLAIN says; for a question about one day, finding or report there must be none.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import benchmark_form
import sql_house
import sql_questions
from benchmark_form import Data, last_line, markdown, scratch_home
from sql_questions import QUICK, Question
from sqlalchemy import text

from nightread.house import House, opened
from pipeline.database import engine
from pipeline.names import Role
from pipeline.settings import Settings

AIM_MS = 100
DAYS_OF_A_YEAR = 365
WARM_UP = 3
LARGE = {"report", "classification", "finding"}


@dataclass(slots=True)
class Measured:
    """Milliseconds of each run of one question, rows of the longest answer, and large tables scanned."""

    times: list[float] = field(default_factory=list)
    rows: int = 0
    scans: set[str] = field(default_factory=set)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.times, n=20, method="inclusive")[-1]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one round of questions is about."""

    day: str
    finding: str
    report_id: int


def main(given: argparse.Namespace) -> None:
    questions = sql_questions.read(sql_questions.PAGE.read_text(encoding="utf-8"))
    a_day = max(1, given.reports // DAYS_OF_A_YEAR)
    before = in_a_house(given.fewer, a_day, questions, given.runs)
    after = in_a_house(given.reports, a_day, questions, given.runs)
    show(questions, before, after, a_day, given)


def in_a_house(reports: int, a_day: int, questions: Sequence[Question], runs: int) -> Mapping[int, Measured]:
    """All questions in a new house of so many reports, by number."""
    with scratch_home("sql") as home, opened(Settings(home=home), migrate=True) as house:
        began = time.perf_counter()
        days = sql_house.fill(house, reports, a_day=a_day)
        print(f"{reports} reports of {len(days)} days are stored: {time.perf_counter() - began:.0f} s", flush=True)
        return measured(house, days, questions, runs)


def measured(house: House, days: Sequence[date], questions: Sequence[Question], runs: int) -> Mapping[int, Measured]:
    found = {question.number: Measured() for question in questions}
    roles = {role: engine(house.urls[role], role) for role in {question.role for question in questions}}
    pooled: dict[Role, Any] = {role: bound.raw_connection() for role, bound in roles.items()}
    for turn, asked in enumerate(different(house, days, WARM_UP + runs)):
        for question in questions:
            query = question.of(day=asked.day, finding=asked.finding, report_id=asked.report_id)
            with pooled[question.role].cursor() as cursor:
                began = time.perf_counter()
                cursor.execute(query)
                rows = cursor.fetchall()
                took = (time.perf_counter() - began) * 1000
                here = found[question.number]
                if turn >= WARM_UP:
                    here.times.append(took)
                    here.rows = max(here.rows, len(rows))
                cursor.execute(f"EXPLAIN (FORMAT JSON) {query}")
                here.scans.update(LARGE.intersection(scanned(cursor.fetchone()[0][0]["Plan"])))
    for connection in pooled.values():
        connection.close()
    for bound in roles.values():
        bound.dispose()
    return found


def different(house: House, days: Sequence[date], count: int) -> Iterator[Asked]:
    """Days, and reports with one of their findings, drawn at random; the first week has no week before it."""
    chance = random.Random(0)
    with house.sessions.begin() as session:
        newest = session.execute(text("SELECT max(report_id) FROM report_texts")).scalar_one()
        one = text("SELECT report_id, column_name FROM report_findings WHERE report_id >= :from ORDER BY 1, 2 LIMIT 20")
        for _ in range(count):
            rows = session.execute(one, {"from": chance.randrange(1, newest - 100)}).all()
            report_id, finding = chance.choice(rows)
            yield Asked(chance.choice(days[7:]).isoformat(), finding, report_id)


def scanned(plan: Mapping[str, Any]) -> Iterator[str]:
    """Tables that a plan, as EXPLAIN gives it in JSON, reads without an index."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)


def show(
    questions: Sequence[Question],
    before: Mapping[int, Measured],
    after: Mapping[int, Measured],
    a_day: int,
    given: argparse.Namespace,
) -> None:
    """A Markdown table, then one line of JSON."""
    columns = ("question", "about", "rows", f"median ms, {given.fewer}", "median ms", "p95 ms", "growth", "scans")
    growth = {number: after[number].median / before[number].median for number in after}
    rows = (
        (
            f"{one.number}. {one.title}",
            one.about,
            here.rows,
            *(f"{milliseconds:.1f}" for milliseconds in (before[one.number].median, here.median, here.p95)),
            f"{growth[one.number]:.1f} ×",
            ", ".join(sorted(here.scans)) or "–",
        )
        for one, here in ((one, after[one.number]) for one in questions)
    )
    quick = [one.number for one in questions if one.about in QUICK]
    named = {one.number: one.title for one in questions}
    worst = max(after[number].p95 for number in quick)
    print(f"\n{given.reports} made-up reports, {a_day} a day, each question asked {given.runs} times.\n")
    print(markdown(columns, rows))
    print(f"\nWorst p95 about one day, one finding or one report: {worst:.1f} ms (aim: at most {AIM_MS} ms).\n")
    figures = {
        "p95_worst_ms": round(worst, 1),
        "aim_ms": AIM_MS,
        "reached": worst <= AIM_MS,
        "growth_worst": round(max(growth[number] for number in quick), 2),
        "growth_worst_of_all": round(max(growth.values()), 2),
        "scans_instead_of_index": sorted(set().union(*(after[number].scans for number in quick))),
        "median_ms": {named[number]: round(here.median, 1) for number, here in after.items()},
        "p95_ms": {named[number]: round(here.p95, 1) for number, here in after.items()},
        "growth": {named[number]: round(factor, 2) for number, factor in growth.items()},
        "reports": given.reports,
        "fewer": given.fewer,
        "runs": given.runs,
    }
    last_line(figures, data=Data.MADE_UP, quick=given.quick)


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(__doc__, quick="20,000 and 2,000 reports, ten runs")
    parser.add_argument("--reports", type=int, default=200_000, help="labelled reports in the large house")
    parser.add_argument("--fewer", type=int, default=20_000, help="and in the small one")
    parser.add_argument("--runs", type=int, default=30, help="times that each question is asked")
    given = parser.parse_args()
    if given.quick:
        given.reports, given.fewer, given.runs = 20_000, 2_000, 10
    if given.runs < 2 or given.fewer * 14 < given.reports:
        parser.error("a 95th percentile needs two runs, and the small house more than two weeks of reports")
    return given


if __name__ == "__main__":
    main(arguments())
