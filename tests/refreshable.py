"""A house whose model can be refreshed: tiny language models, made-up reports, annotations in every split."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nightread.made_up import FINDINGS, Hospital, MadeUpReport, reports
from pipeline import label_sets, model_versions, pulls, replay
from pipeline import reports as storing
from pipeline.annotation_files import text_hash
from pipeline.feeds.record import Record
from pipeline.model_versions import NewVersion
from pipeline.settings import FeedSettings, ReplaySettings
from pipeline.tables import Annotation, Feed, Split

if TYPE_CHECKING:
    from under_test import HouseUnderTest

SITES = {"east": Hospital.EAST, "west": Hospital.WEST}
# Small enough for seconds, gates so wide that a tiny model passes whatever it learnt.
SETTINGS = """
lease_seconds = 600
[refresh]
length = 32
batch_tokens = 256
checkpoint_every = 2
learning_rate = 1e-3
classifier_epochs = 1
[refresh.gates]
macro_f1 = 1.0
least_positives = 1
least_words = 1
bits_per_byte = 5.0
"""


def language_model(folder: Path) -> tuple[Path, str]:
    """A masked language model of one layer that has read nothing yet, and its sha256."""
    from models import masked_lm
    from models.encoder import new_encoder
    from models.vocabulary import train_wordpiece

    texts = [report.text for site in SITES.values() for report in _made_up(site, 30, seed=1)]
    new_encoder(folder / "encoder", train_wordpiece(texts, 600), layers=1, width=32, heads=2)
    model, tokenizer = masked_lm.load(folder / "encoder")
    return folder / "language", masked_lm.save(model, tokenizer, folder / "language")


def make(house: "HouseUnderTest", scratch: Path, *, new_reports: int = 30, annotated: int = 24) -> int:
    """Annotate both sites, let a classifier of the tiny language model serve, store reports; the version."""
    from models.finetuning import fine_tune

    language, language_sha256 = language_model(scratch)
    models = house.home / "models"
    models.mkdir(exist_ok=True)
    kept = models / f"language-{language_sha256[:16]}"
    if not kept.exists():
        language.rename(kept)
    with house.sessions.begin() as session:
        label_set = label_sets.register_default(session)
        session.add_all(
            Annotation(
                label_set_id=label_set,
                site=site,
                source_id=f"{site}-{number}",
                text_hash=text_hash(report.text),
                text=report.text,
                labels=[report.labels[finding] for finding in FINDINGS],
                split=split,
            )
            for site, hospital in SITES.items()
            for number, (report, split) in enumerate(
                zip(_made_up(hospital, annotated, seed=2), list(Split) * annotated, strict=False)
            )
        )
        session.flush()
        fitted = session.query(Annotation).filter(Annotation.split == Split.TRAIN).all()
        artifact = models / f"classifier-{language_sha256[:16]}"
        if not artifact.exists():
            fine_tune(
                kept,
                artifact,
                texts=[one.text for one in fitted],
                labels=[one.labels for one in fitted],
                label_names=FINDINGS,
                epochs=1,
                device="cpu",
            )
        from models import artifacts

        version = model_versions.register(
            session,
            NewVersion(
                foundation="tiny",
                artifact=artifact.name,
                artifact_sha256=artifacts.verify(artifact),
                label_set_id=label_set,
                thresholds=[0.5] * len(FINDINGS),
                metrics={},
                settings={"sites": sorted(SITES)},
                fitted_on=[one.id for one in fitted],
                language_model=kept.name,
                language_model_sha256=language_sha256,
            ),
        )
        model_versions.promote(session, version, by="test@here", rules=house.house.rules)
        # What a foundation has read before; some of it is held out, to see whether it is forgotten.
        general = [f"{report.text} ({number})" for number, report in enumerate(_made_up(Hospital.WEST, 120, seed=5))]
        replay.add_general(session, general, kept=ReplaySettings())
    receive(house, new_reports)
    return version


def receive(house: "HouseUnderTest", count: int, *, seed: int = 3) -> None:
    """So many made-up reports arrive from each site; another seed gives others."""
    for site, hospital in SITES.items():
        made = enumerate(_made_up(hospital, count, seed))
        _store(house, site, [_record(report, f"{seed}-{number}") for number, report in made])


def receive_text(house: "HouseUnderTest", text: str) -> None:
    """One report with this text arrives."""
    (like,) = _made_up(Hospital.EAST, 1, seed=4)
    _store(house, "east", [replace(_record(like, "with-this-text"), text=text)])


def _store(house: "HouseUnderTest", site: str, records: list[Record]) -> None:
    with house.sessions.begin() as session:
        pulls.register(session, site, FeedSettings(path=Path("/nowhere"), site=site))
        storing.store(session, session.get_one(Feed, site), records, cursor={}, rules=house.house.rules)


def _made_up(hospital: Hospital, count: int, seed: int) -> list[MadeUpReport]:
    return list(reports(count, seed=seed, site=hospital))


def _record(report: MadeUpReport, source_id: str) -> Record:
    return Record(
        source_id=source_id,
        text=report.text,
        place=f"made-up:{source_id}",
        updated_at=report.updated_at,
        withdrawn=False,
        accession=f"A-{source_id}",
        patient="P1",
        study_at=report.study_at,
        issued_at=report.issued_at,
        code="24627-2",
        modality="CT",
    )
