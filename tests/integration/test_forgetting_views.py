"""The views model_scores and model_forgetting against a matrix whose figures were worked out by hand."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from sqlalchemy import func
from typer.testing import Result
from under_test import HouseUnderTest

from nightread.commands import registry as commands
from pipeline import label_sets, model_forgetting, model_versions
from pipeline.model_versions import NewVersion
from pipeline.names import Metric
from pipeline.tables import Evaluation, ModelVersion, RefreshRun, RefreshState

BITS, F1 = Metric.BITS_PER_BYTE, Metric.MACRO_F1
Scores = Mapping[Metric, Mapping[str, float]]


def version(house: HouseUnderTest, *, served: bool) -> int:
    with house.sessions.begin() as session:
        label_set = label_sets.register_default(session)
        new = NewVersion(
            foundation="x", artifact="x", artifact_sha256="sha", label_set_id=label_set,
            thresholds=[0.5] * 18, metrics={}, settings={}, fitted_on=[],
        )  # fmt: skip
        made = model_versions.register(session, new)
        if served:
            session.get_one(ModelVersion, made).promoted_at = func.now()
    return made


def refreshed(
    house: HouseUnderTest,
    former: int,
    made: int,
    *,
    before: Scores,
    after: Scores,
    earlier: set[str],
    state: RefreshState,
) -> int:
    """A refresh as its gates leave it: scores of champion and challenger; the champion had learnt `earlier`."""
    with house.sessions.begin() as session:
        run = RefreshRun(
            reason="asked", asked_by="test@here", state=state, finished_at=func.now(),
            former_model_version_id=former, model_version_id=made,
        )  # fmt: skip
        session.add(run)
        session.flush()
        session.add_all(
            Evaluation(
                refresh_run_id=run.id, model_version_id=judged, metric=metric, suite=suite, value=value,
                earlier=suite in earlier, items=50,
            )
            for judged, scores in ((former, before), (made, after))
            for metric, by_suite in scores.items()
            for suite, value in by_suite.items()
        )  # fmt: skip
        return run.id


@pytest.fixture
def history(house: HouseUnderTest) -> list[int]:
    """Four refreshes, the second of them rejected; the versions are 1 (trained by hand) to 5."""
    versions = [version(house, served=served) for served in (True, True, False, True, True)]
    v1, v2, v3, v4, v5 = versions
    promoted, rejected = RefreshState.PROMOTED, RefreshState.REJECTED
    first = {"general", "east"}
    refreshed(
        house, v1, v2, earlier=first, state=promoted,
        before={BITS: {"general": 2.0, "east": 1.5, "west": 3.0}, F1: {"east": 0.80}, Metric.CHURN: {"east": 0.0}},
        after={BITS: {"general": 2.2, "east": 1.4, "west": 1.8}, F1: {"east": 0.85}, Metric.CHURN: {"east": 0.1}},
    )  # fmt: skip
    refreshed(
        house, v2, v3, earlier={*first, "west"}, state=rejected,
        before={BITS: {"general": 2.2, "east": 1.4, "west": 1.8}, F1: {"east": 0.85}},
        after={BITS: {"general": 9.9, "east": 0.1, "west": 0.1}, F1: {"east": 0.10}},
    )  # fmt: skip
    refreshed(
        house, v2, v4, earlier={*first, "west"}, state=promoted,
        before={BITS: {"general": 2.2, "east": 1.4, "west": 1.8, "later": 3.5}, F1: {"east": 0.85}},
        after={BITS: {"general": 2.1, "east": 1.6, "west": 1.9, "later": 2.5}, F1: {"east": 0.82}},
    )  # fmt: skip
    refreshed(
        house, v4, v5, earlier={*first, "west", "later"}, state=promoted,
        before={BITS: {"general": 2.1, "east": 1.6, "west": 1.9, "later": 2.5}, F1: {"east": 0.82}},
        after={BITS: {"general": 2.4, "east": 1.3, "west": 1.7, "later": 2.4}, F1: {"east": 0.84}},
    )  # fmt: skip
    return versions


def test_the_matrix_has_a_row_per_refresh_whose_model_served(house: HouseUnderTest, history: list[int]) -> None:
    rows = house.rows("SELECT refresh_number, model_version, suite, score FROM model_scores WHERE metric = :m", m=BITS)
    found = {(row.refresh_number, row.suite): (row.model_version, row.score) for row in rows}
    v1, v2, _, v4, v5 = history
    assert found == {
        (0, "general"): (v1, 2.0), (0, "east"): (v1, 1.5), (0, "west"): (v1, 3.0),
        (1, "general"): (v2, 2.2), (1, "east"): (v2, 1.4), (1, "west"): (v2, 1.8),
        (2, "general"): (v4, 2.1), (2, "east"): (v4, 1.6), (2, "west"): (v4, 1.9), (2, "later"): (v4, 2.5),
        (3, "general"): (v5, 2.4), (3, "east"): (v5, 1.3), (3, "west"): (v5, 1.7), (3, "later"): (v5, 2.4),
    }  # fmt: skip
    assert house.value("SELECT count(*) FROM model_scores WHERE metric = 'churn'") == 0


def test_a_suite_counts_from_the_refresh_that_learnt_it(house: HouseUnderTest, history: list[int]) -> None:
    rows = house.rows("SELECT DISTINCT suite, learnt_at FROM model_scores WHERE metric = :m", m=BITS)
    assert dict(map(tuple, rows)) == {"general": 0, "east": 0, "west": 1, "later": 2}


def test_average_backward_transfer_and_forgetting_of_bits_per_byte(house: HouseUnderTest, history: list[int]) -> None:
    """Less is better, so a rise is a loss.

    1: backward transfer (-0.2 + 0.1) / 2 over general and east, which version 1 had learnt; forgetting the reverse.
    2: backward transfer (-0.1 - 0.1 - 0.1) / 3, west being held against refresh 1, which learnt it. Forgetting is
       held against the best before: general 2.1 - 2.0, east 1.6 - 1.4, west 1.9 - 1.8; their mean 0.4 / 3.
    3: backward transfer (-0.4 + 0.2 + 0.1 + 0.1) / 4; forgetting (0.4 - 0.1 - 0.1 - 0.1) / 4.
    """
    assert summaries(house, BITS) == {
        0: (2, pytest.approx(3.5 / 2), None, None),
        1: (3, pytest.approx(5.4 / 3), pytest.approx(-0.05), pytest.approx(0.05)),
        2: (4, pytest.approx(8.1 / 4), pytest.approx(-0.1), pytest.approx(0.4 / 3)),
        3: (4, pytest.approx(7.8 / 4), pytest.approx(0.0, abs=1e-9), pytest.approx(0.025)),
    }


def test_more_is_better_for_macro_f1(house: HouseUnderTest, history: list[int]) -> None:
    assert summaries(house, F1) == {
        0: (1, pytest.approx(0.80), None, None),
        1: (1, pytest.approx(0.85), pytest.approx(0.05), pytest.approx(-0.05)),
        2: (1, pytest.approx(0.82), pytest.approx(0.02), pytest.approx(0.03)),
        3: (1, pytest.approx(0.84), pytest.approx(0.04), pytest.approx(0.01)),
    }


def summaries(house: HouseUnderTest, metric: Metric) -> dict[int, tuple[object, ...]]:
    rows = house.rows("SELECT * FROM model_forgetting WHERE metric = :m", m=metric)
    return {row.refresh_number: (row.suites, row.average, row.backward_transfer, row.forgetting) for row in rows}


def test_a_house_without_refreshes_has_empty_views(house: HouseUnderTest) -> None:
    version(house, served=True)
    assert house.value("SELECT count(*) FROM model_scores") == 0
    with house.sessions.begin() as session:
        assert model_forgetting.read(session) == []


def test_what_a_first_champion_never_learnt_and_nobody_measured_again_is_not_learnt(house: HouseUnderTest) -> None:
    former, made = version(house, served=True), version(house, served=True)
    refreshed(
        house, former, made, earlier={"east"}, state=RefreshState.PROMOTED,
        before={BITS: {"east": 1.5, "west": 3.0}}, after={BITS: {"east": 1.5}},
    )  # fmt: skip
    assert summaries(house, BITS)[0] == (1, 1.5, None, None)
    with house.sessions.begin() as session:
        (matrix,) = model_forgetting.read(session)
    assert matrix.suites == ("east", "west")
    assert not matrix.rows[0].scores["west"].learnt


def test_the_command_shows_matrix_and_summaries(
    history: list[int], invoke: Callable[..., Result], tmp_path: Path
) -> None:
    picture = tmp_path / "forgetting.png"
    said = invoke(commands.app, "forgetting", "--png", picture)
    assert said.exit_code == 0, said.exception
    lines = [line for line in said.stdout.splitlines() if f"1 (model {history[1]})" in line]
    bits = next(line for line in lines if "1.800" in line)
    for figure in ("2.200", "1.400", "-0.050", "0.050"):
        assert figure in bits
    assert "(3.000)" in said.stdout, "west is in brackets as long as nobody had learnt it"
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(invoke(commands.app, "forgetting", "--json").stdout)
    assert [one["metric"] for one in found] == ["bits-per-byte", "macro-f1"]
    assert found[0]["suites"] == ["east", "general", "west", "later"]
    assert found[0]["rows"][0]["forgetting"] is None
