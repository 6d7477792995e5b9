"""Labels when another model begins to serve: stale until its own have come, and the old ones kept."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from given import record, store, stored
from label_jobs import TEXTS, TUESDAY, Serve, label, label_all, status
from under_test import HouseUnderTest

from models.classifier import Finding, Prediction
from models.sentences import Span
from pipeline import jobs, label_sets, model_versions
from pipeline.model_versions import NewVersion
from pipeline.names import Role
from worker import label_reports


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
