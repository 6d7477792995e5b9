"""Taking reports in: a pull from FHIR NDJSON into an embedded PostgreSQL, against a bare COPY of the same rows.

    .venv/bin/python benchmarks/intake.py [--data ../shared/data] [--reports 20000] [--rounds 5] [--quick]

The reports are real ones of CT-RATE, each time another report's number behind it so that no two are equal; where they
are not at hand, made-up ones of the same lengths. A round pulls all of them from one file by the worker's own code
(`worker.pull_reports.run_next`: parsing, the guard against identifying data, hashes, versions, label jobs, a
transaction per chunk), as a feed of its own so that every report is new; then the rows that it stored are written again
by one COPY, already in COPY's format, in one transaction:

* bare: into a table with the same columns and a primary key. `times_bare_copy` is the pull over this, by medians.
* with the report table's own indexes and checks (`LIKE report INCLUDING ALL`; foreign keys it has none). Nothing that
  stores reports can be faster than this.

The parts come from one more pull whose functions are timed, each without those that it calls. Memory is the most that
a process which did nothing but pull ever had (VmHWM, so Linux only): from this feed, and from one ten times as long.
The last line is the same in JSON. `--quick`: 2,000 reports, 3 rounds, memory of 2,000 and 20,000.
"""

import argparse
import base64
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple

import benchmark_form
import psycopg2
from benchmark_form import Data, is_real, last_line, markdown, report_rows, scratch_home
from peak_memory import measured_apart, peak_mb

from nightread import made_up
from nightread.house import House, opened
from pipeline import database, feeds, identifying, intake, labelling, pulls, reports, settings
from pipeline.intake import Outcome
from pipeline.names import Role
from pipeline.settings import FeedSettings, Settings
from worker import pull_reports

AIM = 6.0
# Characters of a real report: its deciles, from the shortest to the longest.
LENGTHS = (374, 921, 1113, 1270, 1457, 1616, 1811, 2054, 2515, 3146, 7963)
BARE, INDEXED = "bare", "indexed"
PARTS: tuple[tuple[str, ModuleType, str], ...] = (
    ("the guard against identifying data", identifying, "kinds_in_record"),
    ("hashes", intake, "content_hash"),
    ("the other decisions", reports, "take"),
    ("which language", reports, "language"),
    ("looking up what we hold", reports, "standing"),
    ("COPY", database, "copy_rows"),
    ("ids of what was stored, event, cursor", reports, "_write"),
    ("label jobs", labelling, "enqueue"),
)
READING, REST = "reading and parsing", "the rest: commits, cursor, event, pull job"


class Round(NamedTuple):
    """Seconds for the same reports."""

    pull: float
    bare: float
    indexed: float


def main(given: argparse.Namespace) -> None:
    if given.measure is not None:
        print(json.dumps(peak_of(given.measure)))
        return
    texts, data = texts_of_real_length(given.data)
    with scratch_home("intake") as home:
        write_feed(home / "feed", texts, given.reports)
        write_feed(home / "tenfold", texts, 10 * given.reports)
        with opened(Settings(home=home / "home"), migrate=True) as house:
            rounds = [one_round(house, home / "feed", number, given.reports) for number in range(given.rounds)]
            parts = seconds_by_part(house, home / "feed", given.reports)
            peaks = [peak_apart(house, home / name) for name in ("feed", "tenfold")]
    show(rounds, parts, peaks, given.reports, data, quick=given.quick)


def texts_of_real_length(folder: Path) -> tuple[Sequence[str], Data]:
    """Texts to make the feed from, each once, and what to call them."""
    if is_real(folder):
        rows, data = report_rows(folder)
        return [row["report_text"] for row in rows], data
    chance = random.Random(0)
    pieces = (one.text for one in made_up.reports(20_000, seed=0))
    return [as_long_as_a_real_one(pieces, chance) for _ in range(800)], Data.MADE_UP


def as_long_as_a_real_one(pieces: Iterator[str], chance: random.Random) -> str:
    decile = chance.randrange(len(LENGTHS) - 1)
    length = chance.randint(LENGTHS[decile], LENGTHS[decile + 1])
    text = ""
    while len(text) < length:
        text += next(pieces) + "\n\n"
    return text[:length]


def write_feed(folder: Path, texts: Sequence[str], reports_wanted: int) -> None:
    """One file of FHIR Bulk NDJSON, written as it is made up."""
    folder.mkdir()
    folder.chmod(0o755)
    with (folder / "DiagnosticReport.000.ndjson").open("w", encoding="utf-8") as stream:
        for number in range(1, reports_wanted + 1):
            stream.write(resource(number, f"{texts[number % len(texts)]}\nReport {number} of the benchmark."))


def resource(number: int, text: str) -> str:
    at = f"2026-11-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:00Z"
    return (
        json.dumps(
            {
                "resourceType": "DiagnosticReport",
                "id": f"benchmark-{number}",
                "meta": {"lastUpdated": at},
                "identifier": [
                    {
                        "type": {
                            "coding": [
                                {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"},
                            ]
                        },
                        "value": f"ACC{number:08}",
                    }
                ],
                "status": "final",
                "category": [
                    {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "CT"}]},
                ],
                "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]},
                "subject": {"reference": f"Patient/pseudonym-{number % 9_000}"},
                "effectiveDateTime": at,
                "issued": at,
                "presentedForm": [
                    {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(text.encode()).decode()}
                ],
            }
        )
        + "\n"
    )


def one_round(house: House, folder: Path, number: int, expected: int) -> Round:
    """The pull and the two COPYs, the pull first since its rows are what they write."""
    site = f"round-{number}"
    seconds = pulled(house, folder, site, expected)
    print(f"round {number + 1}: pulled in {seconds:.2f} s", flush=True)
    copied = written_again(house, site)
    print(f"round {number + 1}: COPY bare {copied[BARE]:.2f} s, with indexes {copied[INDEXED]:.2f} s", flush=True)
    return Round(seconds, copied[BARE], copied[INDEXED])


def pulled(house: House, folder: Path, site: str, expected: int | None) -> float:
    """Seconds of a worker's pull of a folder that nobody pulled before."""
    feed = FeedSettings(path=folder, site=site, source_system="benchmark")
    known = house.settings.model_copy(update={"feeds": {site: feed}})
    with house.sessions.begin() as session:
        pulls.ask(session, site, feed, attempts=1)
    started = time.perf_counter()
    pull_reports.run_next(house.sessions, known, worker="benchmark:1")
    seconds = time.perf_counter() - started
    outcome = said(house, f"SELECT outcome FROM job WHERE feed = '{site}' AND state = 'done'")
    if expected is not None and outcome != {Outcome.NEW: expected}:
        raise SystemExit(f"the pull should have stored {expected} new reports, and came to {outcome}")
    return seconds


def written_again(house: House, site: str) -> dict[str, float]:
    """Seconds of one COPY of a site's rows into each table; both are new and empty."""
    found = {}
    with TemporaryDirectory() as scratch, owner(house) as connection, connection.cursor() as cursor:
        rows = Path(scratch) / "rows"
        with rows.open("wb") as stream:
            cursor.copy_expert(f"COPY (SELECT * FROM report WHERE site = '{site}') TO STDOUT", stream)
        for name, like, key in ((BARE, "", ", PRIMARY KEY (id)"), (INDEXED, " INCLUDING ALL", "")):
            cursor.execute(f"CREATE TABLE {name} (LIKE report{like}{key})")
            connection.commit()
            with rows.open("rb") as stream:
                started = time.perf_counter()
                cursor.copy_expert(f"COPY {name} FROM STDIN", stream)
                connection.commit()
                found[name] = time.perf_counter() - started
            cursor.execute(f"DROP TABLE {name}")
            connection.commit()
    return found


@contextmanager
def owner(house: House) -> Iterator[Any]:
    connection = psycopg2.connect(house.urls[Role.OWNER])
    try:
        yield connection
    finally:
        connection.close()


def said(house: House, query: str) -> Any:
    with owner(house) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


class Clock:
    """Seconds by part, each without the parts that it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._within: list[str] = [REST]
        self._since = time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._settle()
        self._within.append(name)
        try:
            yield
        finally:
            self._settle()
            self._within.pop()

    def _settle(self) -> None:
        now = time.perf_counter()
        self.seconds[self._within[-1]] += now - self._since
        self._since = now


def seconds_by_part(house: House, folder: Path, expected: int) -> Counter[str]:
    """Seconds of each part of one more pull; timing costs it a few per cent."""
    clock = Clock()
    with ExitStack() as stack:
        for name, module, function in PARTS:
            stack.enter_context(replaced(module, function, timed(clock, name, getattr(module, function))))
        stack.enter_context(replaced(feeds, "reader", reading_timed(clock)))
        clock.seconds.clear()
        pulled(house, folder, "parts", expected)
    return clock.seconds


def timed(clock: Clock, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        with clock.part(name):
            return function(*given, **named)

    return call


def reading_timed(clock: Clock) -> Callable[..., Any]:
    """`feeds.reader`, with the time that its reader takes for each item."""
    made = feeds.reader

    class Timed:
        def __init__(self, *given: Any, **named: Any) -> None:
            self._reader = made(*given, **named)
            self.cursor = self._reader.cursor

        def __iter__(self) -> Iterator[Any]:
            items = iter(self._reader)
            while True:
                with clock.part(READING):
                    found = list(islice(items, 1))
                if not found:
                    return
                yield found[0]

    return Timed


@contextmanager
def replaced(module: ModuleType, name: str, by: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, by)
    try:
        yield
    finally:
        setattr(module, name, before)


def peak_apart(house: House, folder: Path) -> dict[str, float]:
    """The most memory, in MB, of a process that pulls this folder and does nothing else."""
    found = measured_apart(__file__, folder, house)
    print(f"memory with {folder.name}: {found['peak_mb']:.0f} MB, {found['seconds']:.1f} s", flush=True)
    return found


def peak_of(folder: Path) -> dict[str, float]:
    house_settings = settings.read(None)
    url = os.environ["NIGHTREAD_DATABASE_URL"]
    house = House(house_settings, {Role.APP: url, Role.OWNER: url}, embedded=False)
    before = peak_mb()
    seconds = pulled(house, folder, f"memory-{folder.name}", None)
    return {"before_mb": before, "peak_mb": peak_mb(), "seconds": seconds}


def show(
    rounds: Sequence[Round],
    parts: Counter[str],
    peaks: Sequence[dict[str, float]],
    count: int,
    data: Data,
    *,
    quick: bool,
) -> None:
    """Markdown tables, then one line of JSON."""
    pull, bare, indexed = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\n{count:,} {data} reports, medians of {len(rounds)} rounds in turns\n")
    timed_rows = (
        (name, f"{seconds:.2f}", f"{count / seconds:,.0f}", f"{seconds / bare:.1f}", f"{seconds / indexed:.1f}")
        for name, seconds in (("pull", pull), ("COPY with the indexes", indexed), ("bare COPY", bare))
    )
    print(markdown(("", "s", "reports/s", "times the bare COPY", "times the COPY with indexes"), timed_rows))
    part_rows = (
        (name, f"{seconds:.2f}", f"{seconds / count * 1e6:.0f}", f"{seconds / parts.total():.0%}")
        for name, seconds in parts.most_common()
    )
    print(f"\n{markdown(('part of a pull', 's', 'µs a report', 'share'), part_rows)}\n")
    memory_rows = (
        (f"{reports_there:,}", f"{peak['before_mb']:.0f}", f"{peak['peak_mb']:.1f}", f"{peak['seconds']:.1f}")
        for reports_there, peak in zip((count, 10 * count), peaks, strict=True)
    )
    print(markdown(("memory of a process that pulls", "before, MB", "peak, MB", "s"), memory_rows))
    times = pull / bare
    print(f"\nA pull takes {times:.1f} times a bare COPY (aim: {AIM:.0f}).\n")
    figures = {
        "times_bare_copy": round(times, 2),
        "times_indexed_copy": round(pull / indexed, 2),
        "aim": AIM,
        "reached": times <= AIM,
        "peak_mb": round(peaks[0]["peak_mb"], 1),
        "peak_mb_tenfold": round(peaks[1]["peak_mb"], 1),
        "reports": count,
        "reports_per_second": round(count / pull),
        "seconds": {
            "pull": [round(one.pull, 3) for one in rounds],
            "bare_copy": [round(one.bare, 3) for one in rounds],
            "indexed_copy": [round(one.indexed, 3) for one in rounds],
        },
        "parts_s": {name: round(seconds, 3) for name, seconds in parts.most_common()},
    }
    last_line(figures, data=data, quick=quick)


def arguments() -> argparse.Namespace:
    parser = benchmark_form.parser(__doc__, quick="2,000 reports, 3 rounds", data="the reports are made up")
    parser.add_argument("--reports", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.reports, given.rounds = 2_000, 3
    return given


if __name__ == "__main__":
    main(arguments())
