"""A refresh from the question to the promotion, and every other way in which it can end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import refreshable
from sqlalchemy import text
from under_test import HouseUnderTest

from pipeline import model_versions, refresh_runs
from pipeline.refresh_runs import NotRefreshed
from pipeline.tables import ModelVersion, RefreshRun
from worker import refresh_evaluation, refresh_model, refresh_training


@pytest.fixture
def champion(house: HouseUnderTest, tmp_path: Path) -> int:
    house.configure(refreshable.SETTINGS)
    return refreshable.make(house, tmp_path)


def ask(house: HouseUnderTest, **given: Any) -> int:
    with house.sessions.begin() as session:
        run = refresh_runs.ask(session, reason="test", by="ann@there", rules=house.house.rules, **given)
        return run.id


def work(house: HouseUnderTest) -> bool:
    return refresh_model.run_next(house.sessions, house.house.settings, worker="test:1")


def ended(house: HouseUnderTest) -> Any:
    return house.rows("SELECT state, model_version_id, verdict FROM refresh_run ORDER BY id DESC LIMIT 1")[0]


def reasons(house: HouseUnderTest) -> str:
    payload = house.value("SELECT payload FROM event WHERE kind = 'RefreshFinished' ORDER BY id DESC LIMIT 1")
    return " ".join(payload["reasons"])


def serving(house: HouseUnderTest) -> int:
    return house.value("SELECT model_version FROM model_history WHERE serves")


def shards_left(house: HouseUnderTest) -> list[Path]:
    return [path for path in (house.home / "models" / ".refresh").glob("*/shards/**/*") if path.is_file()]


def test_from_the_question_to_the_promotion(house: HouseUnderTest, champion: int) -> None:
    ask(house)
    assert work(house)

    state, made, verdict = ended(house)
    assert (state, verdict["state"]) == ("promoted", "passed")
    assert serving(house) == made
    refresh, parent, by = house.rows(
        f"SELECT refresh, parent, promoted_by FROM model_history WHERE model_version = {made}"
    )[0]
    assert (refresh, parent, by) == (1, champion, "refresh 1")
    # Both were measured on every suite.
    suites = house.rows("SELECT metric, count(DISTINCT model_version_id) FROM evaluation GROUP BY metric ORDER BY 1")
    assert [tuple(row) for row in suites] == [("bits-per-byte", 2), ("macro-f1", 2)]
    facts = [row.kind for row in house.rows("SELECT kind FROM event WHERE kind ~ 'Refresh|Promoted' ORDER BY id")]
    assert facts == ["ModelPromoted", "RefreshDue", "ModelPromoted", "RefreshFinished"]
    assert house.value("SELECT count(*) FROM refresh_item WHERE part = 'new'") > 0
    assert shards_left(house) == []
    # What it learnt from is known to the next one.
    with house.sessions.begin() as session:
        assert refresh_runs.learnt_until(session, made) == house.value("SELECT max(id) FROM report")
        assert refresh_runs.learnt_until(session, champion) == 0
    assert not work(house), "no second job was left"


def test_the_next_one_replays_what_was_learnt_and_learns_what_came(house: HouseUnderTest, champion: int) -> None:
    ask(house)
    work(house)
    learnt = house.value("SELECT max(id) FROM report")
    refreshable.receive(house, 30, seed=9)
    second = ask(house)
    assert work(house)
    parts = house.rows(
        "SELECT part, min(report_id), max(report_id) FROM refresh_item WHERE refresh_run_id = :run GROUP BY part",
        run=second,
    )
    spans = {part: (first, last) for part, first, last in parts}
    assert spans["replayed"][1] <= learnt < spans["new"][0]
    matrix = house.rows("SELECT refresh_number, count(*) FROM model_scores GROUP BY 1 ORDER BY 1")
    assert [number for number, _ in matrix] == [0, 1, 2]


def test_a_withdrawn_report_is_in_no_later_mix(house: HouseUnderTest, champion: int) -> None:
    run = ask(house)
    gone = house.value("SELECT min(id) FROM report")
    _stop_after_the_snapshot(house)
    assert house.value(f"SELECT count(*) FROM refresh_item WHERE report_id = {gone}") == 1
    with house.sessions.begin() as session:
        session.execute(text(f"UPDATE report SET withdrawn_at = now(), text = NULL WHERE id = {gone}"))
    assert work(house)
    left_out = house.rows(f"SELECT left_out_at FROM refresh_item WHERE refresh_run_id = {run} AND report_id = {gone}")
    assert left_out[0][0] is not None
    assert house.value("SELECT state FROM refresh_run") == "promoted"


def _stop_after_the_snapshot(house: HouseUnderTest) -> None:
    """As a worker that is killed there leaves it, its lease over."""
    kept = refresh_training.champion

    def stop(_: Any) -> Any:
        raise OSError(5, "the disk is away")

    refresh_training.champion = stop
    try:
        assert work(house)
    finally:
        refresh_training.champion = kept
    with house.sessions.begin() as session:
        session.execute(text("UPDATE job SET not_before = now() WHERE kind = 'refresh'"))


def test_one_that_fails_a_gate_is_kept_as_rejected_and_touches_nothing(house: HouseUnderTest, champion: int) -> None:
    ask(house)
    work(house)
    learnt = serving(house)
    assert learnt != champion
    refreshable.receive(house, 30, seed=9)
    relabelling = house.value("SELECT count(*) FROM job WHERE kind = 'label'")
    # Without any margin it would have to be better beyond doubt, and so little text makes no model that.
    house.configure(refreshable.SETTINGS.replace("macro_f1 = 1.0", "macro_f1 = 0.0"))
    ask(house)
    work(house)
    state, made, verdict = ended(house)
    assert (state, verdict["state"]) == ("rejected", "failed")
    assert serving(house) == learnt
    assert house.value(f"SELECT stage FROM model_history WHERE model_version = {made}") == "rejected"
    assert "macro F1" in reasons(house)
    assert house.value("SELECT count(*) FROM job WHERE kind = 'label'") == relabelling
    assert house.value("SELECT max(refresh_number) FROM model_scores") == 1, "what never served forgot nothing"


def test_too_few_positives_are_inconclusive_and_wait_for_a_person(house: HouseUnderTest, champion: int) -> None:
    house.configure(refreshable.SETTINGS.replace("least_positives = 1", "least_positives = 100000"))
    ask(house)
    work(house)
    state, made, _ = ended(house)
    assert state == "inconclusive"
    assert serving(house) == champion
    assert house.value(f"SELECT stage FROM model_history WHERE model_version = {made}") == "candidate"
    assert "east" in reasons(house)


def test_who_asked_may_take_it_upon_them(house: HouseUnderTest, champion: int) -> None:
    house.configure(refreshable.SETTINGS.replace("least_positives = 1", "least_positives = 100000"))
    ask(house, accepts_inconclusive=True)
    work(house)
    assert ended(house)[0] == "promoted"
    assert "ann@there" in reasons(house)


def test_a_site_without_gate_annotations_is_named(house: HouseUnderTest, champion: int) -> None:
    with house.sessions.begin() as session:
        session.execute(text("UPDATE annotation SET split = 'train' WHERE site = 'west'"))
    ask(house)
    work(house)
    assert ended(house)[0] == "inconclusive"
    assert "west" in reasons(house)


def test_another_model_that_serves_meanwhile_stays(house: HouseUnderTest, champion: int) -> None:
    ask(house)
    kept = refresh_evaluation.compare

    def promote_meanwhile(*arguments: Any) -> Any:
        found = kept(*arguments)
        with house.sessions.begin() as session:
            copy = session.get_one(ModelVersion, champion)
            session.expunge(copy)
            new = model_versions.NewVersion(
                foundation="other",
                artifact=copy.artifact,
                artifact_sha256=copy.artifact_sha256,
                label_set_id=copy.label_set_id,
                thresholds=copy.thresholds,
                metrics={},
                settings={},
                fitted_on=[],
            )
            version = model_versions.register(session, new)
            model_versions.promote(session, version, by="bo@there", rules=house.house.rules)
        return found

    refresh_evaluation.compare = promote_meanwhile
    try:
        work(house)
    finally:
        refresh_evaluation.compare = kept
    state, made, _ = ended(house)
    assert state == "inconclusive"
    assert serving(house) not in {champion, made}
    assert "serves by now" in reasons(house)


def test_a_candidate_that_is_not_as_it_was_written_does_not_serve(house: HouseUnderTest, champion: int) -> None:
    ask(house)
    kept = refresh_evaluation.compare

    def spoil(desk: Any, *arguments: Any) -> Any:
        found = kept(desk, *arguments)
        (desk.classifier / "config.json").write_text("{}")
        return found

    refresh_evaluation.compare = spoil
    try:
        work(house)
    finally:
        refresh_evaluation.compare = kept
    assert serving(house) == champion
    assert house.value("SELECT state FROM refresh_run") == "open"
    state, error = house.rows("SELECT state, error FROM job WHERE kind = 'refresh'")[0]
    assert state == "ready"
    assert "config.json" in error


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_cancelled_one_ends_and_production_is_as_it_was(house: HouseUnderTest, champion: int, when: str) -> None:
    ask(house)

    def cancel() -> RefreshRun:
        with house.sessions.begin() as session:
            run = refresh_runs.cancel(session, by="bo@there", rules=house.house.rules)
            session.expunge(run)
            return run

    if when == "before":
        assert cancel().state == "cancelled"
        assert not work(house)
    else:
        kept = refresh_training.pretrain

        def cancelled(*arguments: Any) -> Any:
            assert cancel().state == "open", "its worker has to hear of it first"
            return kept(*arguments)

        refresh_training.pretrain = cancelled
        try:
            work(house)
        finally:
            refresh_training.pretrain = kept
    assert house.value("SELECT state FROM refresh_run") == "cancelled"
    assert "bo@there" in reasons(house)
    assert serving(house) == champion
    assert shards_left(house) == []
    ask(house)  # the way is free


def test_only_one_at_a_time(house: HouseUnderTest, champion: int) -> None:
    ask(house)
    with pytest.raises(NotRefreshed, match="is under way"):
        ask(house)


def test_nothing_begins_without_what_it_needs(house: HouseUnderTest, champion: int) -> None:
    with house.sessions.begin() as session:
        session.execute(text("UPDATE annotation SET split = 'gate'"))
    with pytest.raises(NotRefreshed, match="split train"):
        ask(house)
    with house.sessions.begin() as session:
        session.execute(text("UPDATE annotation SET split = 'train'"))
        session.execute(text("UPDATE report SET withdrawn_at = now()"))
    with pytest.raises(NotRefreshed, match="nothing to learn"):
        ask(house)


def test_without_a_model_there_is_nothing_to_go_on_from(house: HouseUnderTest) -> None:
    with pytest.raises(NotRefreshed, match="nightread train"):
        ask(house)


def test_a_refresh_whose_job_was_given_up_has_failed(house: HouseUnderTest, champion: int) -> None:
    ask(house)
    kept: Callable[..., Any] = refresh_training.begin

    def fails(_: Any) -> None:
        raise ValueError("a fault of ours")

    refresh_training.begin = fails
    try:
        while work(house):
            pass
    finally:
        refresh_training.begin = kept
    assert house.value("SELECT state FROM job WHERE kind = 'refresh'") == "dead"
    ask(house)  # closes the dead one first
    assert [row.state for row in house.rows("SELECT state FROM refresh_run ORDER BY id")] == ["failed", "open"]


def test_a_language_model_that_was_altered_waits_for_its_restoration(house: HouseUnderTest, champion: int) -> None:
    name = house.value(f"SELECT language_model FROM model_version WHERE id = {champion}")
    file = house.home / "models" / name / "config.json"
    before = file.read_bytes()
    file.write_bytes(before + b" ")
    try:
        ask(house)
        work(house)
    finally:
        file.write_bytes(before)
    state, attempts, error = house.rows("SELECT state, attempts, error FROM job WHERE kind = 'refresh'")[0]
    assert (state, attempts) == ("ready", 0)
    assert "config.json" in error
