"""The whole job on a made-up feed: a vocabulary, an encoder and a classifier of its own, then a night's work."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select

from nightread import console, made_up, waiting
from nightread.house import House
from pipeline import annotation_files, pulls
from pipeline import settings as house_settings
from pipeline.errors import NightreadError
from pipeline.settings import FILE_NAME, Settings, file_for
from pipeline.tables import ModelVersion, Stage

FEED = "made-up"
REPORTS, ANNOTATED, CORPUS = 300, 2_000, 4_000
PIECES = 8_000
# An encoder that starts from nothing needs a far higher rate than one that only adapts.
EPOCHS, LEARNING_RATE = 5, 2e-3
# Feed, annotations and corpus are different reports of one of the made-up hospitals, the one that is the default.
FEED_SEED, ANNOTATIONS_SEED, CORPUS_SEED = 1, 2, 3
FOUNDATION = "made-up-foundation"

SETTINGS = f"""\
# Written by `nightread demo`. Everything in this home is made up.
[feeds.{FEED}]
path = "made-up/feed"
site = "{made_up.Hospital.EAST}"
source_system = "made-up"
codes = ["{made_up.CHEST_CT_CODE}"]
schedule = "0 1 * * *"
"""


class HomeInUse(NightreadError):
    """The home has feeds of its own, which made-up reports must not mix with."""


def run(house: House, *, by: str) -> None:
    """Make reports up, train a classifier on some, pull and label the others; a second run adds nothing."""
    folder = house.settings.home / "made-up"
    with console.tracked("making reports up", total=2) as shown:
        made_up.write_fhir(made_up.reports(REPORTS, seed=FEED_SEED), folder / "feed", every_outcome=True)
        shown.update(1)
        made_up.write_annotations(made_up.reports(ANNOTATED, seed=ANNOTATIONS_SEED), folder / "annotations.csv")
        shown.update(2)
    _serve_own_model(house, folder, by=by)
    with house.sessions.begin() as session:
        pulls.ask(session, FEED, house.settings.feeds[FEED], attempts=house.settings.attempts)
    waiting.for_pulls(house, [FEED])
    waiting.for_labels(house)


def settle(settings: Settings) -> Settings:
    """The settings of a home that is the demonstration's own; a file is written if there is none yet.

    Raises `HomeInUse` rather than mix made-up reports with those of a hospital.
    """
    file = file_for(settings.home)
    if settings.feeds.keys() - {FEED} or (file is not None and FEED not in settings.feeds):
        raise HomeInUse(
            f"{file or settings.home} has settings of its own; the demonstration wants a home for itself: "
            "nightread --home some-new-folder demo"
        )
    if not settings.embedded:
        raise HomeInUse(
            "the settings name a PostgreSQL and a Redis; the demonstration uses the embedded ones, so that made-up "
            "reports never reach a hospital's database: unset NIGHTREAD_DATABASE_URL and NIGHTREAD_BROKER_URL"
        )
    if file is None:
        settings.home.mkdir(parents=True, exist_ok=True)
        (settings.home / FILE_NAME).write_text(SETTINGS, encoding="utf-8")
    return house_settings.read(settings.home)


def _serve_own_model(house: House, folder: Path, *, by: str) -> None:
    """Train vocabulary, encoder and classifier from scratch and promote them, unless that has been done."""
    with house.sessions.begin() as session:
        if session.scalar(select(ModelVersion.id).where(ModelVersion.stage == Stage.PRODUCTION).limit(1)):
            console.out.print("The classifier of an earlier run serves.")
            return
    from models.encoder import new_encoder  # noqa: PLC0415 - torch, which a second run does not need here
    from models.vocabulary import train_wordpiece  # noqa: PLC0415
    from nightread import training  # noqa: PLC0415

    with TemporaryDirectory(dir=folder) as scratch:
        foundation = Path(scratch) / FOUNDATION
        with console.tracked("training a bilingual vocabulary", total=CORPUS) as shown:
            tokenizer = train_wordpiece(_counted(made_up.reports(CORPUS, seed=CORPUS_SEED), shown), PIECES)
            new_encoder(foundation, tokenizer, layers=2, width=128)
        console.out.print(f"Vocabulary: {len(tokenizer)} pieces. Encoder: 2 layers, 128 wide, from random weights.")
        recipe = training.Recipe(epochs=EPOCHS, seed=0, learning_rate=LEARNING_RATE)
        file = annotation_files.read(folder / "annotations.csv")
        made = training.train(house, file, str(foundation), recipe, by=by, promote=True)
    if made.gate is not None:
        console.out.print(f"Classifier: macro F1 {made.gate.macro_f1:.2f} on {made.gate.reports} made-up gate reports.")


def _counted(reports: Iterator[made_up.MadeUpReport], shown: console.Tracker) -> Iterator[str]:
    for count, report in enumerate(reports, 1):
        shown.update(count)
        yield report.text
