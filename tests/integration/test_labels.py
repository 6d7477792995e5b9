"""Label jobs with a real classifier: what ends up in the tables, and what the views make of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from given import MONDAY, record, store, stored
from sqlalchemy import text
from under_test import HouseUnderTest

from models.classifier import Classifier, Finding, Prediction
from models.errors import ArtifactError, DeviceError, ReadingError
from models.sentences import Span
from pipeline import jobs, label_sets, model_versions
from pipeline.labelling import ServingModel
from pipeline.model_versions import NewVersion
from pipeline.names import Role
from worker import classifiers, label_reports

Serve = Callable[..., int]
TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
LABELS = [name for name, _, _ in label_sets.CT_RATE_FINDINGS]
COLUMNS = [column for _, column, _ in label_sets.CT_RATE_FINDINGS]
TEXTS = [
    "No pleural effusion. There is a nodule of 3.5 cm in the right upper lobe.",
    "양측 폐에 결절이 보입니다. 흉수는 없음.\n1. 폐기종 동반.",
    "Both lung에 GGO 있음 (3.5cm). Heart size는 normal.",
    "🫁 결절 👩‍⚕️ 3.5 cm: Dr. Kim — 흉수 e\u0301 없음 😀. No change.",
    "ㅤ",
]

_loaded: dict[str, Classifier] = {}


@pytest.fixture(scope="session")
def dividing(tiny_artifact: tuple[Path, str]) -> float:
    """A threshold that some of the tiny classifier's probabilities reach and others do not."""
    predictions = Classifier.load(tiny_artifact[0], device="cpu").predict(TEXTS, thresholds=[2.0] * 18)
    ordered = sorted(probability for prediction in predictions for probability in prediction.probabilities)
    middle = len(ordered) // 2
    return (ordered[middle - 1] + ordered[middle]) / 2


def real(house: HouseUnderTest) -> Callable[[ServingModel], Classifier]:
    """The classifier that a version names, loaded once for all tests."""

    def load(model: ServingModel) -> Classifier:
        if model.artifact_sha256 not in _loaded:
            _loaded[model.artifact_sha256] = Classifier.load(house.home / "models" / model.artifact, device="cpu")
        return _loaded[model.artifact_sha256]

    return load


class Instead:
    """A fake classifier that lets something happen while it reads, and then reads as the real one does."""

    def __init__(self, classifier: Classifier, happens: Callable[[], object]) -> None:
        self.classifier, self.happens = classifier, happens
        self.labels, self.sha256 = classifier.labels, classifier.sha256

    def predict(self, texts: Sequence[str], *, thresholds: Sequence[float]) -> list[Prediction]:
        self.happens()
        return self.classifier.predict(texts, thresholds=thresholds)


def label(house: HouseUnderTest, *, happens: Callable[[], object] | None = None, **changes: Any) -> bool:
    """Run the next label job; `happens` while the model reads."""

    def classifier_for(model: ServingModel) -> Any:
        classifier = real(house)(model)
        return Instead(classifier, happens) if happens else classifier

    settings = house.house.settings.model_copy(update=changes)
    return label_reports.run_next(house.sessions, settings, worker="here:1", classifier_for=classifier_for)


def label_all(house: HouseUnderTest) -> None:
    while label(house):
        pass


def status(house: HouseUnderTest) -> dict[str, int]:
    (row,) = house.rows("SELECT received, labelled, pending, dead, withdrawn, stale FROM completeness")
    assert row.received == row.labelled + row.pending + row.dead + row.withdrawn
    return {name: count for name, count in row._mapping.items() if count}


def events(house: HouseUnderTest) -> list[str]:
    return [row.kind for row in house.rows("SELECT kind FROM event ORDER BY id")]


def execute(house: HouseUnderTest, statement: str) -> None:
    with house.sessions.begin() as session:
        session.execute(text(statement))


# --- written back


def test_without_a_job_there_is_nothing_to_label(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    assert not label(house)


def test_a_job_is_labelled_and_done(house: HouseUnderTest, serve: Serve) -> None:
    version = serve()
    ids = stored(house, TEXTS)
    assert label(house)
    assert not label(house)
    assert status(house) == {"received": 5, "labelled": 5}
    (job,) = house.rows("SELECT state, outcome, model_version_id, error FROM job WHERE kind = 'label'")
    assert tuple(job) == ("done", {"labelled": 5, "dropped": 0}, version, None)
    (fact,) = house.rows("SELECT payload FROM event WHERE kind = 'ReportsLabelled'")
    assert fact.payload == {"job_id": 1, "model_version_id": version, "report_ids": ids}


def test_what_the_model_said_is_what_is_stored(house: HouseUnderTest, serve: Serve, dividing: float) -> None:
    serve(threshold=dividing)
    stored(house, TEXTS)
    label(house)
    with house.sessions.begin() as session:
        model = label_reports.labelling.serving(session)
    assert model is not None
    said = dict(zip(TEXTS, real(house)(model).predict(TEXTS, thresholds=[dividing] * 18), strict=True))
    rows = house.rows("SELECT r.text, c.id, c.probabilities FROM report r JOIN classification c ON c.report_id = r.id")
    assert len(rows) == len(TEXTS)
    for row in rows:
        prediction = said[row.text]
        assert row.probabilities == pytest.approx(prediction.probabilities, abs=1e-5)
        findings = house.rows(
            "SELECT l.name, f.* FROM finding f JOIN label l ON l.id = f.label_id WHERE classification_id = :id",
            id=row.id,
        )
        assert {found.name for found in findings} == {found.label for found in prediction.findings}
        for found in findings:
            expected = next(one for one in prediction.findings if one.label == found.name)
            assert (found.starts, found.ends) == (list(expected.starts), list(expected.ends))
            assert (found.sentence_start, found.sentence_end) == tuple(expected.sentence)
            assert found.weights == pytest.approx(expected.weights, abs=1e-4)
            assert found.residual == pytest.approx(expected.residual, abs=1e-3)


def test_no_transaction_is_open_while_the_model_reads(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS)
    seen: list[Any] = []

    def look() -> None:
        # As the application: of other users' sessions PostgreSQL hides the state.
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE state LIKE 'idle in transaction%' AND datname = current_database()"
        )
        seen.append(house.rows(query, Role.APP)[0][0])

    label(house, happens=look)
    assert seen == [0]


# --- the views


def test_the_wide_view_has_a_column_for_each_label(house: HouseUnderTest, serve: Serve, dividing: float) -> None:
    version = serve(threshold=dividing)
    stored(house, TEXTS)
    label(house)
    rows = [row._mapping for row in house.rows("SELECT * FROM report_labels ORDER BY report_id", Role.ANALYST)]
    assert list(rows[0])[-18:] == COLUMNS
    stated = house.rows("SELECT report_id, probabilities, thresholds FROM current_classification ORDER BY report_id")
    for row, one in zip(rows, stated, strict=True):
        positive = [
            probability >= threshold for probability, threshold in zip(one.probabilities, one.thresholds, strict=True)
        ]
        assert [row[column] for column in COLUMNS] == positive
        assert (row["model_version"], row["stale"], row["version"], row["site"]) == (version, False, 1, "seoul")
    values = Counter(row[column] for row in rows for column in COLUMNS)
    assert values[True], "the threshold should divide them, or the test shows little"
    assert values[False]


def test_the_long_views_say_the_same(house: HouseUnderTest, serve: Serve, dividing: float) -> None:
    serve(threshold=dividing)
    stored(house, TEXTS)
    label(house)
    wide = {
        (row["report_id"], column)
        for row in (row._mapping for row in house.rows("SELECT * FROM report_labels"))
        for column in COLUMNS
        if row[column]
    }
    long = house.rows("SELECT report_id, column_name, positive FROM label_probabilities", Role.ANALYST)
    assert len(long) == len(TEXTS) * 18
    assert {(row.report_id, row.column_name) for row in long if row.positive} == wide
    found = house.rows("SELECT report_id, column_name, korean_name FROM report_findings", Role.ANALYST)
    assert {(row.report_id, row.column_name) for row in found} == wide
    korean = {column: korean for _, column, korean in label_sets.CT_RATE_FINDINGS}
    assert all(row.korean_name == korean[row.column_name] for row in found)


def test_the_words_of_a_heatmap_are_the_report_s_own_characters(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS)
    label(house)
    texts = {row.report_id: row.text for row in house.rows("SELECT report_id, text FROM report_texts", Role.READER)}
    words = house.rows("SELECT * FROM finding_words ORDER BY report_id, label, word_index", Role.READER)
    for row in words:
        assert row.word == texts[row.report_id][row.word_start : row.word_end] != ""
    seen = {row.word for row in words}
    assert seen >= {"nodule", "3.5", "결절이", "흉수는", "lung에", "GGO", "size는", "🫁", "😀", "e\u0301", "Kim"}
    spans = house.rows("SELECT * FROM finding_spans ORDER BY report_id, label, word_index", Role.ANALYST)
    assert [(s.report_id, s.label, s.word_index, s.word_start, s.word_end, s.weight) for s in spans] == [
        (w.report_id, w.label, w.word_index, w.word_start, w.word_end, w.weight) for w in words
    ]


def test_findings_stand_in_omop_s_shape(house: HouseUnderTest, serve: Serve) -> None:
    version = serve()
    stored(house, TEXTS)
    label(house)
    rows = house.rows('SELECT *, "offset"::int AS start FROM note_nlp', Role.READER)
    texts = {row.report_id: row.text for row in house.rows("SELECT report_id, text FROM report_texts")}
    heaviest = {
        (row.report_id, row.label): row.word
        for row in house.rows("SELECT * FROM finding_words ORDER BY weight, word_index DESC")
    }
    assert len(rows) == house.value("SELECT count(*) FROM report_findings") > 0
    assert len({row.note_nlp_id for row in rows}) == len(rows)
    for row in rows:
        assert texts[row.note_id][row.start :].startswith(row.snippet)
        assert (row.nlp_system, row.term_exists) == (f"nightread model {version}", "Y")
        label_name = row.term_modifiers.removeprefix("label=").rpartition(",")[0]
        assert row.lexical_variant == heaviest.get((row.note_id, label_name))


def test_prevalence_counts_labelled_reports_by_day_of_the_study(
    house: HouseUnderTest, serve: Serve, dividing: float
) -> None:
    serve(threshold=dividing)
    studies = [MONDAY, MONDAY, TUESDAY, None]
    store(house, *(record(f"r{n}", TEXTS[n], study_at=study) for n, study in enumerate(studies)))
    label(house)
    rows = house.rows("SELECT * FROM daily_prevalence WHERE column_name = 'lung_nodule' ORDER BY day", Role.ANALYST)
    received = house.value("SELECT min(received_at)::date FROM report")
    assert [(row.day, row.reports) for row in rows] == [(MONDAY.date(), 2), (TUESDAY.date(), 1), (received, 1)]
    assert sum(row.positives for row in rows) == house.value("SELECT count(*) FROM report_labels WHERE lung_nodule")
    assert all(row.prevalence == row.positives / row.reports for row in rows)


def test_every_state_is_counted_once(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS)
    label(house)
    store(house, record("r1", text=None, updated_at=TUESDAY), record("dead", "Poison."))
    while label(house, happens=poison, attempts=1):
        pass
    store(house, record("waits", "Waits."))
    store(house, record("gone", text=None, updated_at=TUESDAY))
    assert status(house) == {"received": 8, "labelled": 4, "pending": 1, "dead": 1, "withdrawn": 2}
    (row,) = house.rows("SELECT report_id, reason FROM dead_letters", Role.ANALYST)
    assert row.report_id == house.value("SELECT id FROM report WHERE source_id = 'dead'")
    assert row.reason == "text 1 of 1: the model's answer is not a number"


def poison() -> None:
    raise ReadingError("text 1 of 1: the model's answer is not a number")


# --- promotions


def test_after_a_promotion_labels_are_stale_until_their_own_have_come(house: HouseUnderTest, serve: Serve) -> None:
    old = serve()
    stored(house, TEXTS)
    label_all(house)
    new = serve(artifact="tiny2")
    assert status(house) == {"received": 5, "labelled": 5, "stale": 5}
    before = house.rows("SELECT DISTINCT model_version, stale FROM report_labels")
    assert [tuple(row) for row in before] == [(old, True)]
    label_all(house)
    assert status(house) == {"received": 5, "labelled": 5}
    after = house.rows("SELECT DISTINCT model_version, stale FROM report_labels")
    assert [tuple(row) for row in after] == [(new, False)]


def test_a_fresh_report_comes_before_relabelling(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS)
    label_all(house)
    new = serve(artifact="tiny2")
    store(house, record("fresh", "A nodule."))
    label(house)
    rows = house.rows("SELECT source_id, stale FROM report_labels WHERE model_version = :new", new=new)
    assert [tuple(row) for row in rows] == [("fresh", False)]
    assert status(house) == {"received": 6, "labelled": 6, "stale": 5}
    (job,) = house.rows("SELECT priority FROM job WHERE state = 'ready'")
    assert job.priority == jobs.RELABEL


def test_what_each_model_said_can_be_asked_for_ever(house: HouseUnderTest, serve: Serve) -> None:
    old = serve()
    stored(house, TEXTS)
    label_all(house)
    new = serve(artifact="tiny2", threshold=0.9)
    label_all(house)
    store(house, record("r1", "Amended.", updated_at=TUESDAY))
    store(house, record("r2", text=None, updated_at=TUESDAY))
    label_all(house)
    history = Counter(
        (row.source_id, row.version, row.model_version)
        for row in house.rows("SELECT source_id, version, model_version FROM classification_history", Role.ANALYST)
    )
    assert history == {
        **{(f"r{n}", 1, model): 18 for n in range(1, 6) for model in (old, new)},
        ("r1", 2, new): 18,
    }
    models = house.rows("SELECT model_version, serves, reports_labelled FROM model_history ORDER BY 1", Role.ANALYST)
    assert [tuple(row) for row in models] == [(old, False, 5), (new, True, 6)]


def test_a_promotion_while_a_job_is_read_leads_to_a_new_job(house: HouseUnderTest, serve: Serve) -> None:
    old = serve()
    stored(house, TEXTS)
    label(house, happens=lambda: serve(artifact="tiny2"))
    assert {row.model_version_id for row in house.rows("SELECT model_version_id FROM classification")} == {old}
    assert status(house) == {"received": 5, "labelled": 5, "stale": 5}
    label_all(house)
    assert status(house) == {"received": 5, "labelled": 5}
    assert house.value("SELECT count(*) FROM classification") == 10


def test_another_label_set_makes_another_wide_view(house: HouseUnderTest, serve: Serve) -> None:
    old = serve()
    (first, second) = stored(house, TEXTS[:2])
    label_all(house)
    with house.sessions.begin() as session:
        label_set = label_sets.for_names(session, ["흉수", "Lung nodule", "site"])
        new = model_versions.register(
            session,
            NewVersion(
                foundation="x",
                artifact="x",
                artifact_sha256="sha",
                label_set_id=label_set,
                thresholds=[0.5, 0.5, 0.5],
                metrics={},
                settings={},
                fitted_on=[],
            ),
        )
        model_versions.promote(session, new, by="test@here", rules=house.house.rules)
    view = [row._mapping for row in house.rows("SELECT * FROM report_labels", Role.ANALYST)]
    assert list(view[0])[-3:] == ["label_1", "lung_nodule", "site_3"]
    assert [(row["lung_nodule"], row["model_version"], row["stale"]) for row in view] == [(None, old, True)] * 2
    while label_reports.run_next(
        house.sessions, house.house.settings, worker="w", classifier_for=lambda _: ThreeLabels()
    ):
        pass
    rows = house.rows("SELECT report_id, label_1, lung_nodule, site_3, stale FROM report_labels ORDER BY 1")
    assert [tuple(row) for row in rows] == [(first, True, False, False, False), (second, True, False, False, False)]
    comments = house.rows(
        "SELECT col_description('report_labels'::regclass, attnum) FROM pg_attribute "
        "WHERE attrelid = 'report_labels'::regclass AND attname IN ('label_1', 'site') ORDER BY attnum"
    )
    assert [row[0] for row in comments] == ["Hospital.", "Whether the report states: 흉수"]


class ThreeLabels:
    """A fake classifier of three labels, that finds the first in every report."""

    labels, sha256 = ("흉수", "Lung nodule", "site"), "sha"

    def predict(self, texts: Sequence[str], *, thresholds: Sequence[float]) -> Any:
        found = Finding("흉수", 0.75, Span(0, 1), (0,), (1,), (0.5,), 0.0)
        return [Prediction((0.75, 0.25, 0.25), (found,)) for _ in texts]


# --- what happens meanwhile


def test_a_report_withdrawn_before_its_job_begins_is_not_read(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS[:2])
    store(house, record("r1", text=None, updated_at=TUESDAY))
    label_all(house)
    assert status(house) == {"received": 2, "labelled": 1, "withdrawn": 1}
    assert house.value("SELECT outcome FROM job WHERE state = 'done'") == {"labelled": 1, "dropped": 1}


def test_a_report_withdrawn_while_it_is_read_is_dropped(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    ids = stored(house, TEXTS[:2])
    label(house, happens=lambda: store(house, record("r1", text=None, updated_at=TUESDAY)))
    assert [row.report_id for row in house.rows("SELECT report_id FROM classification")] == ids[1:]
    assert status(house) == {"received": 2, "labelled": 1, "withdrawn": 1}
    assert house.value("SELECT count(*) FROM finding_words WHERE report_id = :id", id=ids[0]) == 0


def test_a_report_withdrawn_after_it_was_labelled_leaves_every_view(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS[:1])
    label(house)
    store(house, record("r1", text=None, updated_at=TUESDAY))
    for view in (
        "report_labels",
        "label_probabilities",
        "report_findings",
        "finding_words",
        "note_nlp",
        "report_texts",
    ):
        assert house.rows(f"SELECT * FROM {view}") == [], view


def test_a_report_amended_while_it_is_read_waits_for_labels_of_its_own(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS[:1])
    label(house, happens=lambda: store(house, record("r1", "Amended.", updated_at=TUESDAY)))
    assert status(house) == {"received": 1, "pending": 1}
    label_all(house)
    (row,) = house.rows("SELECT version, model_version FROM report_labels")
    assert row.version == 2
    assert status(house) == {"received": 1, "labelled": 1}


def test_a_report_in_two_jobs_is_written_once(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS[:1])
    execute(
        house,
        "INSERT INTO job (kind, key, report_ids, priority, max_attempts) "
        "SELECT kind, 'again', report_ids, priority, max_attempts FROM job",
    )
    label_all(house)
    assert house.value("SELECT count(*) FROM classification") == 1
    assert house.value("SELECT sum((outcome ->> 'labelled')::int) FROM job") == 1


def test_who_lost_the_lease_while_reading_writes_nothing(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS)
    label(house, happens=lambda: execute(house, "UPDATE job SET epoch = epoch + 1"))
    for table in ("classification", "finding"):
        assert house.value(f"SELECT count(*) FROM {table}") == 0, table
    assert "ReportsLabelled" not in events(house)
    (job,) = house.rows("SELECT state, error FROM job")
    assert tuple(job) == ("running", None)


# --- failures


def failing(house: HouseUnderTest, error: Exception) -> Any:
    def fails(_: ServingModel) -> Any:
        raise error

    label_reports.run_next(house.sessions, house.house.settings, worker="here:1", classifier_for=fails)
    (job,) = house.rows("SELECT state, attempts, waits, error FROM job WHERE kind = 'label'")
    return tuple(job)


def test_without_a_model_a_job_waits_and_says_so(house: HouseUnderTest) -> None:
    stored(house, TEXTS[:1])
    label(house)
    (job,) = house.rows("SELECT state, attempts, waits, error FROM job")
    assert tuple(job)[:3] == ("ready", 0, 1)
    assert "nightread train" in job.error
    assert house.status()["waiting"] == [job.error]


def test_a_promotion_lets_waiting_jobs_go_at_once(house: HouseUnderTest, serve: Serve) -> None:
    stored(house, TEXTS[:1])
    label(house)
    assert not label(house), "it waits"
    serve()
    label_all(house)
    assert status(house) == {"received": 1, "labelled": 1}


@pytest.mark.parametrize(
    "error",
    [ArtifactError("no manifest"), DeviceError("CUDA out of memory"), OSError(28, "No space left"), MemoryError()],
    ids=lambda error: type(error).__name__,
)
def test_when_the_environment_fails_the_attempt_is_given_back(
    error: Exception, house: HouseUnderTest, serve: Serve
) -> None:
    serve()
    stored(house, TEXTS[:1])
    assert failing(house, error)[:3] == ("ready", 0, 1)


def test_when_the_work_fails_the_attempt_counts(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, ["Secret words."])
    state, attempts, waits, reason = failing(house, ValueError("Secret words."))
    assert (state, attempts, waits) == ("ready", 1, 0)
    assert reason.startswith("ValueError at test_labels.py:")
    assert "Secret" not in reason


def test_an_artifact_that_is_not_the_registered_one_labels_nothing(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS[:1])
    execute(house, "UPDATE model_version SET artifact_sha256 = 'other'")
    load = partial(classifiers.load, house.home / "models", device="cpu")
    label_reports.run_next(house.sessions, house.house.settings, worker="w", classifier_for=load)
    (job,) = house.rows("SELECT state, attempts, error FROM job")
    assert tuple(job)[:2] == ("ready", 0)
    assert "is not the one that model 1 registered" in job.error
