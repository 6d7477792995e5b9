"""Whether building the training mix of a refresh takes constant memory: from 20,000 and from 200,000 made-up reports.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/training_mix.py [--quick]

In an embedded house of its own, with reports made up from 2,000 texts of two hospitals over three years, and made-up
general text. Nine reports in ten are new. Measured is a process that does what a refresh does before it trains: refill
the buffer, write the mix down, read its texts and write their tokens to disk. The peak is the most memory that this
process ever had (VmHWM, so Linux only), all that it imports included; PostgreSQL's own is bounded by its settings.
The last line is the same in JSON.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import benchmark_form
from benchmark_form import Data, last_line, markdown, scratch_home
from peak_memory import measured_apart, peak_mb
from sqlalchemy import func, text
from transformers import PreTrainedTokenizerFast

from models import shards
from models.foundations import save_tokenizer
from models.vocabulary import train_wordpiece
from nightread.house import House, opened
from nightread.made_up import Hospital, Period, reports
from pipeline import pulls, replay, training_mix
from pipeline.database import Sessions, copy_rows, engine
from pipeline.language import language
from pipeline.names import Role
from pipeline.settings import FeedSettings, RefreshSettings, ReplaySettings, Settings
from pipeline.tables import Part, RefreshRun, RefreshState

TEXTS, PIECES, GENERAL = 2_000, 8_000, 5_000
FULL, QUICK = (20_000, 200_000), (2_000, 20_000)
FEED = "made-up"
URL = "NIGHTREAD_DATABASE_URL"

COLUMNS = {
    "reports": "{reports:,}",
    "in the buffer": "{buffer:,}",
    "texts in the mix": "{texts:,}",
    "tokens": "{tokens:,}",
    "on disk, MB": "{disk_mb:.0f}",
    "refill, s": "{refill:.1f}",
    "mix, s": "{mix:.1f}",
    "read and tokenise, s": "{tokenise:.1f}",
    "peak before, MB": "{before_mb:.0f}",
    "peak, MB": "{peak_mb:.0f}",
}
REPORTS_FROM_TEXTS = text(
    """
    INSERT INTO report
        (site, source_system, source_id, version, is_current, study_at, language, text, content_hash, feed)
    SELECT m.site, 'made-up', 'made-up-' || g, 1, true, timestamptz '2023-01-01 UTC' + g % 1095 * interval '1 day',
           m.language, m.text, encode(sha256(convert_to('made-up-' || g, 'UTF8')), 'hex'), :feed
    FROM generate_series(CAST(:first AS int), :last) g JOIN made_up m ON m.number = g % :texts
    """
)


def main() -> None:
    parser = benchmark_form.parser(__doc__, quick="2,000 and 20,000 reports")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.measure is not None:
        print(json.dumps(measure(wanted.measure)))
        return
    with scratch_home("training-mix") as scratch:
        tokenizer = scratch / "tokenizer"
        tokenizer.mkdir()
        made = made_up()
        save_tokenizer(train_wordpiece((one.text for one in made), PIECES), tokenizer)
        measured = []
        with opened(Settings(home=scratch / "home")) as house:
            prepare(house, made)
            there = 0
            for count in QUICK if wanted.quick else FULL:
                add(house, made, there + 1, count)
                there = count
                measured.append(measured_apart(__file__, tokenizer, house))
    show(measured, quick=wanted.quick)


def show(measured: Sequence[dict[str, float]], *, quick: bool) -> None:
    print(markdown(list(COLUMNS), [[shown.format(**one) for shown in COLUMNS.values()] for one in measured]))
    few, many = measured
    figures = {
        "peak_mb": few["peak_mb"],
        "peak_mb_tenfold": many["peak_mb"],
        "seconds": few["refill"] + few["mix"] + few["tokenise"],
        "seconds_tenfold": many["refill"] + many["mix"] + many["tokenise"],
        "reports": few["reports"],
    }
    last_line({name: round(value, 1) for name, value in figures.items()}, data=Data.MADE_UP, quick=quick)


class Made(NamedTuple):
    """A text that every so many reports are made from."""

    number: int
    site: str
    language: str
    text: str


def made_up() -> list[Made]:
    made = (
        one for site in Hospital for period in Period for one in reports(TEXTS // 4, seed=5, site=site, period=period)
    )
    return [Made(number, one.site, language(one.text), one.text) for number, one in enumerate(made)]


def prepare(house: House, made: Sequence[Made]) -> None:
    """The feed that the reports come from, and general text."""
    with house.sessions.begin() as session:
        pulls.register(session, FEED, FeedSettings(path=house.settings.home, site=FEED))
        general = (f"Made-up general text {number}: {made[number % TEXTS].text}" for number in range(GENERAL))
        replay.add_general(session, general, kept=ReplaySettings())


def add(house: House, made: Sequence[Made], first: int, last: int) -> None:
    with house.sessions.begin() as session:
        session.execute(
            text("CREATE TEMPORARY TABLE made_up (number int, site text, language text, text text) ON COMMIT DROP")
        )
        copy_rows(session, "made_up", Made._fields, made)
        session.execute(REPORTS_FROM_TEXTS, {"first": first, "last": last, "texts": TEXTS, "feed": FEED})


def measure(tokenizer_folder: Path) -> dict[str, float]:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    sessions = Sessions(engine(os.environ[URL], Role.APP))
    kept, length = ReplaySettings(), RefreshSettings().length
    before, started = peak_mb(), time.monotonic()
    with sessions.begin() as session:
        replay.refill(session, kept=kept)
    refilled = time.monotonic()
    with sessions.begin() as session:
        last = session.execute(text("SELECT max(id) FROM report")).scalar_one()
        run = RefreshRun(reason="benchmark", asked_by="benchmark", state=RefreshState.CANCELLED, finished_at=func.now())
        session.add(run)
        session.flush()
        run_id = run.id
        training_mix.snapshot(session, run_id, after=last // 10, until=last)
        training_mix.leave_out(session, run_id)
    mixed = time.monotonic()
    texts = chain.from_iterable(training_mix.texts(sessions, run_id, part) for part in Part)
    with TemporaryDirectory() as scratch:
        documents = shards.write(texts, tokenizer, Path(scratch) / "shards", length=length)
        tokenised, peak = time.monotonic(), peak_mb()
        disk = sum(file.stat().st_size for file in (Path(scratch) / "shards").iterdir())
    with sessions.begin() as session:
        in_mix = sum(one.texts for one in training_mix.counts(session, run_id))
        in_buffer = sum(one.kept + one.held_out for one in replay.strata(session))
    return {
        "reports": last,
        "buffer": in_buffer,
        "texts": in_mix,
        "tokens": len(documents.ids),
        "disk_mb": disk / 1e6,
        "refill": refilled - started,
        "mix": mixed - refilled,
        "tokenise": tokenised - mixed,
        "before_mb": before,
        "peak_mb": peak,
    }


if __name__ == "__main__":
    main()
