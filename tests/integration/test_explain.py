"""`nightread explain`: what it reads from PostgreSQL, where it writes, and what it refuses. No model is needed."""

import os
import pty
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from given import record, store
from sqlalchemy import update
from typer.testing import Result
from under_test import HouseUnderTest

from nightread.commands import explain
from pipeline import explanations, findings, label_sets, labelling
from pipeline.errors import NightreadError
from pipeline.findings import Found, Labelled
from pipeline.tables import Job, JobState, ModelVersion, Stage

TEXT = "양측 흉수 있음. <b>Heart</b> size는 normal.\n👩‍⚕️ No nodule."
EFFUSION, CARDIOMEGALY, LABELS = 12, 2, len(label_sets.CT_RATE_FINDINGS)  # places in the default set, from 0


def serves(house: HouseUnderTest, *, rank: int = 1, threshold: float = 0.5) -> int:
    """A model version that serves; its artifact is never opened here."""
    with house.sessions.begin() as session:
        version = ModelVersion(
            kind="classifier",
            foundation="km-bert",
            stage=Stage.PRODUCTION,
            serving_rank=rank,
            artifact="none",
            artifact_sha256="0" * 64,
            label_set_id=label_sets.register_default(session),
            thresholds=[threshold] * LABELS,
        )
        session.add(version)
        session.flush()
        return version.id


def says(house: HouseUnderTest, report_id: int, **probabilities: float) -> None:
    """Let the serving model have found what is more probable than its threshold, by the report's first word."""
    names = {"effusion": EFFUSION, "cardiomegaly": CARDIOMEGALY}
    every = [0.02] * LABELS
    for name, probability in probabilities.items():
        every[names[name]] = probability
    with house.sessions.begin() as session:
        model = labelling.serving(session)
        assert model is not None
        positives = tuple(
            Found(model.label_ids[place], probability, 0, 9, (0, 3, 6), (2, 5, 8), (0.5, 2.5, -1.0), 0.25)
            for place, probability in enumerate(every)
            if probability >= model.thresholds[place]
        )
        findings.save(session, [Labelled(report_id, tuple(every), positives)], model=model)


def ids(house: HouseUnderTest) -> list[int]:
    return [row.id for row in house.rows("SELECT id FROM report ORDER BY id")]


def explaining(house: HouseUnderTest, report_id: int) -> explanations.Explanation:
    with house.sessions.begin() as session:
        return explanations.read(session, report_id)


def meant(house: HouseUnderTest, asked: str) -> int:
    with house.sessions.begin() as session:
        return explanations.find(session, asked)


@pytest.fixture
def typed(invoke: Callable[..., Result]) -> Callable[..., Result]:
    return partial(invoke, explain.app)


def refusal(result: Result) -> str:
    assert isinstance(result.exception, NightreadError), result.exception
    assert TEXT[:5] not in str(result.exception) + result.output
    return str(result.exception)


# --- what is read


def test_an_explanation_is_what_the_model_that_is_shown_said(house: HouseUnderTest) -> None:
    store(house, record("r1", TEXT))
    version = serves(house, threshold=0.5)
    says(house, 1, effusion=0.93, cardiomegaly=0.4)
    found = explaining(house, 1)
    assert (found.text, found.site, found.accession, found.language) == (TEXT, "seoul", "A-r1", "mixed")
    assert (found.model_version, found.foundation, found.stale, found.flagged) == (version, "km-bert", False, False)
    (effusion,) = found.findings
    assert (effusion.label.name, effusion.label.korean_name) == ("Pleural effusion", "흉수")
    assert (effusion.label.probability, effusion.label.threshold) == (pytest.approx(0.93), 0.5)
    assert [found.text[start:end] for start, end in zip(effusion.starts, effusion.ends, strict=True)] == [
        "양측",
        "흉수",
        "있음",
    ]
    assert effusion.weights == (0.5, 2.5, -1.0)
    assert len(found.absent) == LABELS - 1
    assert found.absent[0].name == "Cardiomegaly", "the most probable first"


def test_until_a_newer_model_has_read_it_the_older_ones_labels_are_shown_as_stale(house: HouseUnderTest) -> None:
    store(house, record("r1", TEXT))
    first = serves(house)
    says(house, 1, effusion=0.9)
    second = serves(house, rank=2)
    assert (explaining(house, 1).model_version, explaining(house, 1).stale) == (first, True)
    says(house, 1, cardiomegaly=0.8)
    found = explaining(house, 1)
    assert (found.model_version, found.stale) == (second, False)
    assert [one.label.name for one in found.findings] == ["Cardiomegaly"]
    with house.sessions.begin() as session:
        rollback = update(ModelVersion).where(ModelVersion.id == second)
        session.execute(rollback.values(stage=Stage.WITHDRAWN, serving_rank=None))
    assert explaining(house, 1).model_version == first


def test_a_report_is_found_by_id_accession_or_source_id(house: HouseUnderTest) -> None:
    store(house, record("r1"), record("r2", accession="7"), record("r3", accession=None))
    assert [meant(house, asked) for asked in ("1", "id:1", "A-r1", "r1", " r1 ", "7", "r3", "id:3")] == [
        1, 1, 1, 1, 1, 2, 3, 3,
    ]  # fmt: skip
    for unknown in ("99", "id:7", "id:x", "9" * 30, "²", "", "'; --"):
        with pytest.raises(explanations.UnknownReport):
            meant(house, unknown)


def test_a_number_that_is_one_reports_id_and_anothers_accession_is_asked_back(house: HouseUnderTest) -> None:
    store(house, record("r1"), record("r2", accession="1"))
    with pytest.raises(explanations.AmbiguousReport, match=r"id:1 .* id:2 "):
        meant(house, "1")
    assert meant(house, "id:1") == 1


def test_an_accession_of_two_sites_is_asked_back(house: HouseUnderTest) -> None:
    store(house, record("r1", accession="A-7"))
    store(house, record("r1", accession="A-7"), feed="other", site="busan")
    with pytest.raises(explanations.AmbiguousReport, match=r"id:1 \(seoul\), id:2 \(busan\)"):
        meant(house, "A-7")


def test_an_older_version_leads_to_the_current_one(house: HouseUnderTest) -> None:
    store(house, record("r1", "First."))
    store(house, record("r1", "Second."))
    assert meant(house, "A-r1") == 2
    with pytest.raises(explanations.NoLongerShown, match="older version; the current one is id:2"):
        meant(house, "id:1")


# --- what has no page


def test_what_cannot_be_explained_says_why_and_what_to_do(house: HouseUnderTest, typed: Callable[..., Result]) -> None:
    store(house, record("r1", TEXT), record("r2", TEXT), record("r3", TEXT))
    assert "nightread train" in refusal(typed("r1", "--html", "x.html"))
    serves(house)
    assert "nightread label --wait" in refusal(typed("r1", "--html", "x.html"))
    with house.sessions.begin() as session:
        model = labelling.serving(session)
        assert model is not None
        session.add(
            Job(
                kind="label", key="x", report_ids=[2], priority=0, max_attempts=1, state=JobState.DEAD,
                model_version_id=model.id,
            )
        )  # fmt: skip
    assert "nightread dead-letters" in refusal(typed("r2", "--html", "x.html"))
    store(house, record("r3", None))
    assert "withdrawn by its source" in refusal(typed("r3", "--html", "x.html"))
    assert "no report has" in refusal(typed("r4", "--html", "x.html"))
    assert "no report has labels" in refusal(typed("--sample", "3", "--html", "pages"))


def test_a_wrong_use_is_told_before_anything_is_opened(typed: Callable[..., Result], tmp_path: Path) -> None:
    for arguments in ((), ("r1", "--sample", "2", "--html", tmp_path / "x"), ("--sample", "2"), ("--sample", "0")):
        assert typed(*arguments).exit_code == 2


def test_without_a_terminal_or_a_file_no_text_is_shown(house: HouseUnderTest, typed: Callable[..., Result]) -> None:
    store(house, record("r1", TEXT))
    serves(house)
    says(house, 1, effusion=0.9)
    result = typed("r1")
    assert "--html FILE" in refusal(result)
    assert result.output == ""


# --- what is written


def test_a_page_is_written_for_its_owner_alone(
    house: HouseUnderTest, typed: Callable[..., Result], tmp_path: Path
) -> None:
    store(house, record("r1", TEXT))
    serves(house)
    says(house, 1, effusion=0.93)
    file = tmp_path / "a.html"
    result = typed("A-r1", "--html", file)
    assert result.exit_code == 0, result.exception
    assert "흉수" not in result.output
    made = file.read_text(encoding="utf-8")
    assert "0.93, positive from 0.50" in made
    assert '<mark class="for-5" title="+2.50">흉수</mark>' in made
    assert "&lt;b&gt;Heart&lt;/b&gt;" in made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_sample_is_varied_repeatable_and_has_an_index(
    house: HouseUnderTest, typed: Callable[..., Result], tmp_path: Path
) -> None:
    english = [record(f"e{number}", f"Effusion {number}.") for number in range(10)]
    store(house, *english, record("k1", "양측 흉수 있음."), record("k2", "심비대 있음."), record("k3", "정상."))
    store(house, record("b1", "Effusion."), record("gone", "Effusion."), feed="other", site="busan")
    serves(house)
    for report_id in ids(house):
        says(
            house,
            report_id,
            **({"cardiomegaly": 0.9} if report_id == 12 else {} if report_id == 13 else {"effusion": 0.9}),
        )
    store(house, record("gone", None), feed="other", site="busan")

    folder = tmp_path / "pages"
    assert typed("--sample", "5", "--html", folder).exit_code == 0
    first = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert len(first) == 6
    assert set(first.values()) == {0o600}
    assert {"report-11.html", "report-12.html", "report-13.html", "report-14.html", "index.html"} < first.keys()
    index = (folder / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'href="([^"]+)"', index)) == first.keys() - {"index.html"}

    assert typed("--sample", "5", "--html", folder).exit_code == 0
    assert {file.name for file in folder.iterdir()} == first.keys(), "the same seed chooses the same"
    others = set()
    for seed in range(1, 6):
        assert typed("--sample", "5", "--seed", seed, "--html", folder).exit_code == 0
        others |= {file.name for file in folder.iterdir()}
    assert others - first.keys(), "another seed may choose others"
    assert typed("--sample", "50", "--html", folder).exit_code == 0
    assert len(list(folder.iterdir())) == 15, "all that stand, and the index; not the withdrawn one"


def test_a_terminal_is_shown_the_text(house: HouseUnderTest) -> None:
    store(house, record("r1", TEXT))
    serves(house)
    says(house, 1, effusion=0.93)
    ours, theirs = pty.openpty()
    code = "from nightread.commands.explain import app; app()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "r1"],
        env={**os.environ, **house.environment, "TERM": "xterm-256color", "COLUMNS": "100"},
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux's way of saying that the other side closed
                break
            if not part:
                break
            shown += part
        assert process.wait(60) == 0
    os.close(ours)
    said = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert "양측 흉수 있음." in said
    assert "0.93, positive from 0.50" in said
