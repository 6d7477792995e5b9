"""Which past reports a new model reads again: all, none, or those of studies since a date; and in which order."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from given import record, store
from under_test import HouseUnderTest

from models.classifier import Prediction
from pipeline import jobs, labelling, model_versions, settings
from pipeline.labelling import LabelRules, ServingModel
from pipeline.settings import InvalidSettings, Relabel
from worker import label_reports

Serve = Callable[..., int]
ALL, NONE = LabelRules(reports=2, attempts=3), LabelRules(reports=2, attempts=3, relabel_since=date.max)


class NothingFound:
    """A fake classifier that finds nothing."""

    def __init__(self, model: ServingModel) -> None:
        self.labels = model.labels

    def predict(self, texts: Sequence[str], *, thresholds: Sequence[float]) -> list[Prediction]:
        return [Prediction((0.0,) * len(self.labels), ()) for _ in texts]


def label_all(house: HouseUnderTest) -> None:
    def classifier_for(model: ServingModel) -> Any:
        return NothingFound(model)

    while label_reports.run_next(house.sessions, house.house.settings, worker="here:1", classifier_for=classifier_for):
        pass


@pytest.fixture
def promote(house: HouseUnderTest, serve: Serve) -> Callable[[LabelRules], int]:
    """Five reports, r1 of 2025 to r5 of 2027 (r3 has no date of its study, only of its issue, and r4 none at all), read
    by one model; then another one is promoted under rules.
    """
    serve()
    studies = {"r1": 2025, "r2": 2026, "r3": None, "r4": None, "r5": 2027}
    for source_id, year in studies.items():
        at = datetime(year, 1, 1, tzinfo=UTC) if year else None
        issued = datetime(2025, 6, 1, tzinfo=UTC) if source_id == "r3" else None
        store(house, record(source_id, f"Report {source_id}.", study_at=at, issued_at=issued))
    label_all(house)
    second = serve(artifact="tiny2")
    with house.sessions.begin() as session:
        model_versions.rollback(session, by="x", rules=ALL)
    label_all(house)  # the jobs of that promotion, in which there is nothing to read any more
    assert open_jobs(house) == []

    def promoted(rules: LabelRules) -> int:
        with house.sessions.begin() as session:
            model_versions.promote(session, second, by="x", rules=rules)
        return second

    return promoted


def open_jobs(house: HouseUnderTest) -> list[tuple[list[str], int]]:
    """Source ids and priority of every open job, in the order in which they are claimed."""
    rows = house.rows(
        "SELECT j.priority, array_agg(r.source_id ORDER BY o.n) AS reports"
        " FROM job j, unnest(j.report_ids) WITH ORDINALITY o(id, n) JOIN report r ON r.id = o.id"
        " WHERE j.state IN ('ready', 'running') GROUP BY j.id ORDER BY j.priority, j.id"
    )
    return [(list(row.reports), row.priority) for row in rows]


def test_all_are_read_again_the_newest_first(house: HouseUnderTest, promote: Callable[[LabelRules], int]) -> None:
    promote(ALL)
    expected = [["r5", "r4"], ["r3", "r2"], ["r1"]]
    assert open_jobs(house) == [(reports, jobs.RELABEL) for reports in expected]


def test_none_is_read_again(house: HouseUnderTest, promote: Callable[[LabelRules], int]) -> None:
    promote(NONE)
    assert open_jobs(house) == []
    with house.sessions.begin() as session:
        assert labelling.reconcile(session, rules=NONE) == 0, "nor at night"
    assert house.value("SELECT count(*) FROM report_labels WHERE stale") == 5, "their labels say that they are older"


def test_since_a_date_are_read_again_by_the_study_s_day_or_what_stands_for_it(
    house: HouseUnderTest, promote: Callable[[LabelRules], int]
) -> None:
    promote(LabelRules(reports=2, attempts=3, relabel_since=date(2026, 1, 1)))
    # r3 was issued in 2025; r4 has no date but the one at which it was received.
    assert open_jobs(house) == [(["r5", "r4"], jobs.RELABEL), (["r2"], jobs.RELABEL)]


@pytest.mark.parametrize("rules", [ALL, NONE])
def test_whatever_the_policy_a_report_without_a_label_comes_first(
    rules: LabelRules, house: HouseUnderTest, promote: Callable[[LabelRules], int]
) -> None:
    store(house, record("r6", "Report r6."), rules=rules)
    with house.sessions.begin() as session:  # as if its job had been lost
        session.connection().exec_driver_sql("UPDATE job SET state = 'dropped' WHERE state = 'ready'")
    promote(rules)
    first, *rest = open_jobs(house)
    assert first == (["r6"], jobs.FRESH)
    assert bool(rest) == (rules is ALL)
    store(house, record("r7", "Report r7."), rules=rules)
    assert open_jobs(house)[:2] == [(["r6"], jobs.FRESH), (["r7"], jobs.FRESH)], "new ones at once, before relabelling"


def test_what_only_a_withdrawn_version_had_read_is_read_again_even_where_nothing_is(
    house: HouseUnderTest, promote: Callable[[LabelRules], int]
) -> None:
    promote(NONE)
    store(house, record("r6", "Report r6."), rules=NONE)
    label_all(house)
    with house.sessions.begin() as session:
        model_versions.rollback(session, by="x", rules=NONE)
    assert open_jobs(house) == [(["r6"], jobs.FRESH)]


def test_relabelled_reports_are_no_longer_stale(house: HouseUnderTest, promote: Callable[[LabelRules], int]) -> None:
    second = promote(LabelRules(reports=2, attempts=3, relabel_since=date(2026, 1, 1)))
    label_all(house)
    rows = house.rows(
        "SELECT r.source_id, l.model_version, l.stale FROM report_labels l JOIN report r ON r.id = l.report_id"
    )
    assert {row.source_id for row in rows if row.model_version == second} == {"r2", "r4", "r5"}
    assert {row.source_id for row in rows if row.stale} == {"r1", "r3"}


# --- as the settings say it


@pytest.mark.parametrize(
    ("toml", "relabel", "since"),
    [
        ("", Relabel.ALL, None),
        ('relabel = "all"', Relabel.ALL, None),
        ('relabel = "none"', Relabel.NONE, date.max),
        ('relabel = "2026-01-01"', date(2026, 1, 1), date(2026, 1, 1)),
        ("relabel = 2026-01-01", date(2026, 1, 1), date(2026, 1, 1)),
    ],
)
def test_settings_say_which(toml: str, relabel: object, since: date | None, tmp_path: Path) -> None:
    (tmp_path / settings.FILE_NAME).write_text(toml)
    found = settings.read(tmp_path)
    assert found.relabel == relabel
    assert LabelRules.of(found).relabel_since == since


@pytest.mark.parametrize("value", ['"some"', '"2026-13-01"', "true", "[]", '"next year"'])
def test_anything_else_is_refused_with_what_it_may_be(value: str, tmp_path: Path) -> None:
    (tmp_path / settings.FILE_NAME).write_text(f"relabel = {value}")
    with pytest.raises(InvalidSettings, match=r"relabel: .* is neither all nor none nor a date") as error:
        settings.read(tmp_path)
    assert settings.FILE_NAME in str(error.value)
