"""Promoting and rolling back against real PostgreSQL: what serves, what is shown, and who has to be read again."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from given import RULES, record, store, stored
from sqlalchemy import text
from under_test import HouseUnderTest

from models.classifier import Prediction
from pipeline import jobs, label_sets, labelling, model_history, model_versions
from pipeline.database import DatabaseFailed, engine
from pipeline.jobs import Terms
from pipeline.label_sets import ViewInUse
from pipeline.labelling import ServingModel
from pipeline.model_versions import NewVersion, NotRolledBack, PromotionRefused, RolledBack, UnknownModel
from pipeline.names import EventKind, JobKind, Role
from pipeline.settings import Settings
from worker import label_reports

Serve = Callable[..., int]
TERMS = Terms.of(Settings())


class NothingFound:
    """A fake classifier that finds nothing; `happens` while it reads, and says which texts it read."""

    def __init__(self, model: ServingModel, happens: Callable[[], object] = lambda: None) -> None:
        self.labels, self.happens = model.labels, happens
        self.read: list[str] = []

    def predict(self, texts: Sequence[str], *, thresholds: Sequence[float]) -> list[Prediction]:
        self.read += texts
        self.happens()
        return [Prediction((0.0,) * len(self.labels), ()) for _ in texts]


def label(house: HouseUnderTest, happens: Callable[[], object] = lambda: None) -> list[str] | None:
    """Run the next label job; the texts that it read, or None without a job."""
    made: list[NothingFound] = []

    def classifier_for(model: ServingModel) -> Any:
        made.append(NothingFound(model, happens))
        return made[-1]

    done = label_reports.run_next(house.sessions, house.house.settings, worker="here:1", classifier_for=classifier_for)
    return [one for classifier in made for one in classifier.read] if done else None


def label_all(house: HouseUnderTest) -> None:
    while label(house) is not None:
        pass


def rollback(house: HouseUnderTest, **arguments: Any) -> RolledBack:
    with house.sessions.begin() as session:
        return model_versions.rollback(session, by="ann@there", rules=RULES, **arguments)


def promote(house: HouseUnderTest, version: int, **arguments: Any) -> int | None:
    with house.sessions.begin() as session:
        return model_versions.promote(session, version, by="ann@there", rules=RULES, **arguments)


def candidate(house: HouseUnderTest, *, labels: Sequence[str] | None = None, **changes: Any) -> int:
    with house.sessions.begin() as session:
        names = labels or [name for name, _, _ in label_sets.CT_RATE_FINDINGS]
        stated: dict[str, Any] = {
            "foundation": "x",
            "artifact": "x",
            "artifact_sha256": "sha",
            "label_set_id": label_sets.for_names(session, names),
            "thresholds": [0.5] * len(names),
            "metrics": {},
            "settings": {},
            "fitted_on": [],
        }
        return model_versions.register(session, NewVersion(**(stated | changes)))


def open_jobs(house: HouseUnderTest) -> list[tuple[list[int], int]]:
    rows = house.rows("SELECT report_ids, priority FROM job WHERE state IN ('ready', 'running') ORDER BY priority, id")
    return [(list(row.report_ids), row.priority) for row in rows]


def shown(house: HouseUnderTest) -> list[tuple[int, int, bool]]:
    rows = house.rows("SELECT report_id, model_version, stale FROM report_labels ORDER BY 1")
    return [tuple(row) for row in rows]


def states(house: HouseUnderTest) -> dict[int, str]:
    return {row.report_id: row.state for row in house.rows("SELECT report_id, state FROM report_state")}


def facts(house: HouseUnderTest, kind: EventKind) -> list[dict[str, Any]]:
    return [row.payload for row in house.rows("SELECT payload FROM event WHERE kind = :kind ORDER BY id", kind=kind)]


@pytest.fixture
def two(house: HouseUnderTest, serve: Serve) -> tuple[int, int]:
    """Two versions; the second serves."""
    return serve(), serve(artifact="tiny2")


# --- promoted


def test_a_promotion_says_who_when_and_why(house: HouseUnderTest, serve: Serve) -> None:
    first, second = serve(), candidate(house, created_by="bob@here", parent_id=None)
    assert promote(house, second, note="better on effusions") == first
    with house.sessions.begin() as session:
        found = model_history.details(session, second)
    one = found.version
    assert (one.stage, one.serving_rank, one.serves, one.note) == ("production", 2, True, "better on effusions")
    assert (one.created_by, one.promoted_by, one.withdrawn_by) == ("bob@here", "ann@there", None)
    assert one.promoted_at is not None
    assert facts(house, EventKind.MODEL_PROMOTED)[-1] == {
        "model_version_id": second,
        "former_model_version_id": first,
        "by": "ann@there",
        "note": "better on effusions",
    }


def test_promoting_what_serves_changes_nothing(house: HouseUnderTest, two: tuple[int, int]) -> None:
    before = house.rows("SELECT * FROM model_version ORDER BY id")
    assert promote(house, two[1], note="again") == two[1]
    assert house.rows("SELECT * FROM model_version ORDER BY id") == before
    assert len(facts(house, EventKind.MODEL_PROMOTED)) == 2


def test_a_former_version_may_serve_again_and_has_read_its_reports_already(house: HouseUnderTest, serve: Serve) -> None:
    first = serve()
    (one,) = stored(house, ["One."])
    label_all(house)
    second = serve(artifact="tiny2")
    store(house, record("r2", "Two."))
    label_all(house)
    promote(house, first)
    assert shown(house) == [(one, first, False), (one + 1, second, True)]
    assert open_jobs(house) == [([one + 1], jobs.RELABEL)]
    assert rollback(house) == RolledBack((first,), second), "the version before, whatever its number"


def test_what_its_gates_rejected_is_refused_unless_someone_insists(house: HouseUnderTest, serve: Serve) -> None:
    first, rejected = serve(), candidate(house)
    with house.sessions.begin() as session:
        session.execute(
            text("UPDATE model_version SET stage = 'rejected', stage_note = 'macro F1 fell' WHERE id = :id"),
            {"id": rejected},
        )
    with pytest.raises(PromotionRefused, match=r"rejected by its gates \(macro F1 fell\).*--force"):
        promote(house, rejected)
    assert house.value("SELECT count(*) FROM model_version WHERE serving_rank IS NOT NULL") == 1
    assert promote(house, rejected, force=True) == first


def test_a_version_that_is_not_there_is_refused_with_those_that_are(house: HouseUnderTest, two: Any) -> None:
    with pytest.raises(UnknownModel, match=r"no model version 9; known are: 1, 2"):
        promote(house, 9)


# --- rolled back


def test_after_a_rollback_the_labels_before_are_shown_and_not_stale(house: HouseUnderTest, serve: Serve) -> None:
    first = serve()
    (one,) = stored(house, ["One."])
    label_all(house)
    second = serve(artifact="tiny2")
    label_all(house)
    assert rollback(house, note="it misses effusions") == RolledBack((second,), first)
    assert shown(house) == [(one, first, False)]
    assert open_jobs(house) == []
    with house.sessions.begin() as session:
        found = model_history.details(session, second).version
    assert (found.stage, found.serving_rank, found.serves) == ("withdrawn", None, False)
    assert (found.withdrawn_by, found.note, found.promoted_by) == ("ann@there", "it misses effusions", "test@here")
    assert facts(house, EventKind.MODEL_WITHDRAWN) == [
        {
            "model_version_ids": [second],
            "serving_model_version_id": first,
            "by": "ann@there",
            "note": "it misses effusions",
        }
    ]
    assert house.value("SELECT count(*) FROM classification WHERE model_version_id = :it", it=second) == 1, "history"


def test_what_only_the_withdrawn_version_had_read_is_pending_again_and_comes_first(
    house: HouseUnderTest, serve: Serve
) -> None:
    first = serve()
    (one,) = stored(house, ["One."])
    label_all(house)
    second = serve(artifact="tiny2")
    store(house, record("r2", "Two."))
    assert label(house) == ["Two."]  # fresh before relabelling
    rollback(house)
    assert states(house) == {one: "labelled", one + 1: "pending"}
    assert shown(house) == [(one, first, False)]
    assert open_jobs(house) == [([one + 1], jobs.FRESH), ([one], jobs.RELABEL)]
    assert label(house) == ["Two."]
    assert label(house) == [], "the job that the promotion left reads nothing that has its label"
    assert shown(house) == [(one, first, False), (one + 1, first, False)]
    assert second not in {model for _, model, _ in shown(house)}


def test_a_pending_report_in_a_job_of_a_promotion_before_comes_first(house: HouseUnderTest, serve: Serve) -> None:
    first = serve()
    serve(artifact="tiny2")
    (one,) = stored(house, ["One."])
    label_all(house)
    serve(artifact="tiny3")
    assert open_jobs(house) == [([one], jobs.RELABEL)]
    rollback(house, to=first)
    assert states(house) == {one: "pending"}
    assert open_jobs(house) == [([one], jobs.FRESH)]


def test_a_rollback_wakes_what_waits(house: HouseUnderTest, two: tuple[int, int]) -> None:
    stored(house, ["One."])
    with house.sessions.begin() as session:
        held = jobs.claim(session, JobKind.LABEL, worker="w", terms=TERMS)
        assert held is not None
        jobs.give_back(session, held, "the artifact is missing", TERMS)
    assert label(house) is None
    rollback(house)
    assert label(house) == ["One."]


def test_a_rollback_goes_back_several_versions(house: HouseUnderTest, two: tuple[int, int], serve: Serve) -> None:
    third = serve(artifact="tiny3")
    assert rollback(house, to=two[0]) == RolledBack((third, two[1]), two[0])
    stages = house.rows("SELECT stage, serving_rank FROM model_version ORDER BY id")
    assert [tuple(row) for row in stages] == [("production", 1), ("withdrawn", None), ("withdrawn", None)]


def test_a_withdrawn_version_may_be_promoted_again(house: HouseUnderTest, two: tuple[int, int]) -> None:
    rollback(house)
    assert promote(house, two[1]) == two[0]
    with house.sessions.begin() as session:
        found = model_history.details(session, two[1])
    assert (found.version.stage, found.version.withdrawn_at, found.version.withdrawn_by) == ("production", None, None)
    assert [(change.what, change.serving) for change in found.changes] == [
        (EventKind.MODEL_PROMOTED, two[1]),
        (EventKind.MODEL_WITHDRAWN, two[0]),
        (EventKind.MODEL_PROMOTED, two[1]),
    ]


def test_the_only_version_stays(house: HouseUnderTest, serve: Serve) -> None:
    version = serve()
    with pytest.raises(NotRolledBack, match="the only one"):
        rollback(house)
    with house.sessions.begin() as session:
        serving = labelling.serving(session)
    assert serving is not None
    assert serving.id == version


def test_the_wide_view_follows_what_serves(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, ["One."])
    label_all(house)
    other = candidate(house, labels=["Fracture", "흉수"])
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'report_labels'"
    promote(house, other)
    assert {"fracture", "label_2"} <= {row[0] for row in house.rows(columns)}
    rollback(house)
    after = {row[0] for row in house.rows(columns)}
    assert "lung_nodule" in after
    assert "fracture" not in after
    assert house.rows("SELECT lung_nodule, stale FROM report_labels") == [(False, False)]


def test_views_of_the_data_team_are_in_the_way_and_the_error_says_what_to_do(
    house: HouseUnderTest, serve: Serve
) -> None:
    first = serve()
    owner = engine(house.addresses.database_url(Role.OWNER))
    with owner.begin() as connection:
        connection.execute(text("CREATE VIEW nodules AS SELECT report_id FROM report_labels WHERE lung_nodule"))
    other = candidate(house, labels=["Fracture", "흉수"])
    with pytest.raises(ViewInUse, match="drop those views, do this again, and then make them anew"):
        promote(house, other)
    with house.sessions.begin() as session:
        serving = labelling.serving(session)
    assert serving is not None
    assert serving.id == first, "production stays as it is"
    with owner.begin() as connection:
        connection.execute(text("DROP VIEW nodules"))
    owner.dispose()
    assert promote(house, other) == first


def test_what_the_new_model_gave_up_is_not_still_to_come(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, ["One.", "Two."])
    label_all(house)
    serve(artifact="tiny2")
    with house.sessions.begin() as session:
        assert model_history.still_to_come(session) == (0, 2)
    with house.sessions.begin() as session:
        session.execute(
            text("UPDATE job SET state = 'dead', report_ids = '{1}', model_version_id = 2 WHERE state = 'ready'")
        )
    with house.sessions.begin() as session:
        assert model_history.still_to_come(session) == (0, 1)


# --- while a job is at work


def test_a_rollback_while_a_job_is_read_leads_to_a_new_job(house: HouseUnderTest, two: tuple[int, int]) -> None:
    (one,) = stored(house, ["One."])
    label(house, happens=lambda: rollback(house))
    assert states(house) == {one: "pending"}, "the labels of the withdrawn version are no longer shown"
    assert open_jobs(house) == [([one], jobs.FRESH)]
    label_all(house)
    assert shown(house) == [(one, two[0], False)]


def test_a_rollback_that_is_taken_back_while_a_job_is_read(house: HouseUnderTest, two: tuple[int, int]) -> None:
    (one,) = stored(house, ["One."])

    def there_and_back() -> None:
        rollback(house)
        promote(house, two[1])

    label(house, happens=there_and_back)
    assert shown(house) == [(one, two[1], False)]
    assert open_jobs(house) == []


def test_what_has_its_label_is_not_read_again(house: HouseUnderTest, two: tuple[int, int]) -> None:
    stored(house, ["One.", "Two."])
    label_all(house)
    with house.sessions.begin() as session:
        labelling.enqueue(session, [1, 2], rules=RULES)
        store(house, record("r3", "Three."))
    assert sorted([label(house), label(house)]) == [[], ["Three."]]
    assert house.value("SELECT count(*) FROM classification") == 3
    assert house.value("SELECT count(*) FROM job WHERE state = 'done' AND outcome ->> 'dropped' = '2'") == 1


@pytest.mark.parametrize("change", ["promote", "rollback"])
def test_a_change_waits_for_nobody_who_claims(
    change: str, house: HouseUnderTest, two: tuple[int, int], serve: Serve
) -> None:
    stored(house, ["One."])
    with house.sessions.begin() as claiming:
        held = jobs.claim(claiming, JobKind.LABEL, worker="w", terms=TERMS)
        assert held is not None
        with house.sessions.begin() as changing:
            changing.execute(text("SET LOCAL lock_timeout = '5s'"))
            if change == "rollback":
                model_versions.rollback(changing, by="x", rules=RULES)
            else:
                model_versions.promote(changing, two[0], by="x", rules=RULES)
        jobs.read_with(claiming, held, two[1])  # waits for the change, which therefore must not wait for the claim
    assert house.value("SELECT state FROM job") == "running"


def test_a_change_waits_for_labels_that_are_being_written(house: HouseUnderTest, two: tuple[int, int]) -> None:
    with house.sessions.begin() as writing:
        assert labelling.serving_while_writing(writing) is not None
        with pytest.raises(DatabaseFailed, match="55P03"), house.sessions.begin() as changing:
            changing.execute(text("SET LOCAL lock_timeout = '100ms'"))
            model_versions.rollback(changing, by="x", rules=RULES)
    assert rollback(house).serving == two[0]
