"""Label jobs with a real classifier: what is written back, what happens meanwhile, and how they fail."""

from functools import partial
from typing import Any

import pytest
from given import record, store, stored
from label_jobs import TEXTS, TUESDAY, Serve, label, label_all, real, status
from under_test import HouseUnderTest

from models.errors import ArtifactError, DeviceError
from pipeline.labelling import ServingModel
from pipeline.names import Role
from worker import classifiers, label_reports

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
    house.execute(
        "INSERT INTO job (kind, key, report_ids, priority, max_attempts) "
        "SELECT kind, 'again', report_ids, priority, max_attempts FROM job",
    )
    label_all(house)
    assert house.value("SELECT count(*) FROM classification") == 1
    assert house.value("SELECT sum((outcome ->> 'labelled')::int) FROM job") == 1


def test_who_lost_the_lease_while_reading_writes_nothing(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, TEXTS)
    label(house, happens=lambda: house.execute("UPDATE job SET epoch = epoch + 1"))
    for table in ("classification", "finding"):
        assert house.value(f"SELECT count(*) FROM {table}") == 0, table
    assert house.value("SELECT count(*) FROM event WHERE kind = 'ReportsLabelled'") == 0
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
    house.execute("UPDATE model_version SET artifact_sha256 = 'other'")
    load = partial(classifiers.load, house.home / "models", device="cpu")
    label_reports.run_next(house.sessions, house.house.settings, worker="w", classifier_for=load)
    (job,) = house.rows("SELECT state, attempts, error FROM job")
    assert tuple(job)[:2] == ("ready", 0)
    assert "is not the one that model 1 registered" in job.error
