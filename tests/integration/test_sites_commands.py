"""A model that learns at one hospital and is judged at two: `train --site`, `evaluate`, `models thresholds`."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result
from under_test import HouseUnderTest

from nightread import cli
from nightread.made_up import FINDINGS, Hospital, MadeUpReport, reports
from pipeline.errors import NightreadError
from pipeline.tables import Split

EAST, WEST = Hospital
SPLITS = (Split.TRAIN,) * 8 + (Split.CALIBRATION,) * 6 + (Split.GATE,) * 6
Typed = Callable[..., str]
Row = tuple[str, Split, str, tuple[int, ...]]


def of(site: Hospital, *, splits: Iterable[Split] = SPLITS) -> list[Row]:
    made: Iterable[MadeUpReport] = reports(len(SPLITS), seed=5, site=site)
    return [
        (site, split, one.text, tuple(one.labels[name] for name in FINDINGS))
        for one, split in zip(made, splits, strict=False)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: Iterable[Row], name: str = "a.csv") -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as stream:
            written = csv.writer(stream)
            written.writerow(("site", "split", "text", *FINDINGS))
            written.writerows((site, split, text, *labels) for site, split, text, labels in rows)
        return tmp_path / name

    return write


@pytest.fixture
def typed(invoke: Callable[..., Result]) -> Typed:
    def run(*arguments: object) -> str:
        result = invoke(cli.app, *arguments)
        assert result.exit_code == 0, (result.exception, result.output)
        return result.stdout

    return run


@pytest.fixture
def train(typed: Typed, tiny_artifact: tuple[Path, str]) -> Typed:
    foundation = str(tiny_artifact[0].parent / "foundation")
    return lambda *options: typed("train", "--foundation", foundation, "--epochs", "1", *options)


@pytest.fixture
def refused(invoke: Callable[..., Result]) -> Typed:
    def run(*arguments: object) -> str:
        result = invoke(cli.app, *arguments)
        assert isinstance(result.exception, NightreadError), (result.exception, result.output)
        return str(result.exception)

    return run


def shown(typed: Typed, version: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(typed("models", "show", version, "--json"))
    return found


def fitted_on(house: HouseUnderTest, version: int) -> dict[tuple[str, str], int]:
    rows = house.rows(
        "SELECT site, split, count(*) FROM fitted_on JOIN annotation ON annotation_id = id "
        "WHERE model_version_id = :version GROUP BY site, split",
        version=version,
    )
    return {(row.site, row.split): row.count for row in rows}


AT = {site: {(str(site), "train"): 8, (str(site), "calibration"): 6} for site in Hospital}


def test_a_model_of_one_site_owes_nothing_to_the_other(
    house: HouseUnderTest, train: Typed, typed: Typed, file: Callable[..., Path]
) -> None:
    both = file(of(EAST) + of(WEST))
    said = train("--annotations", both, "--site", EAST, "--promote")
    assert f"20 reports of {EAST}, 18 labels; 8 train, 6 calibration, 6 gate" in said
    train("--annotations", file(of(EAST), "east.csv"))
    of_both, alone = shown(typed, 1), shown(typed, 2)
    assert of_both["thresholds"] == alone["thresholds"], "thresholds of the training site alone"
    assert of_both["artifact_sha256"] == alone["artifact_sha256"]
    assert fitted_on(house, 1) == fitted_on(house, 2) == AT[EAST]
    assert (of_both["settings"]["sites"], of_both["settings"]["calibrated_at"]) == ([EAST], [EAST])
    assert of_both["settings"]["reports"] == {"train": 8, "calibration": 6, "gate": 6}
    assert of_both["metrics"]["gate"] == alone["metrics"]["gate"], "and gate is the internal figure"
    where = {site: one["where"] for site, one in of_both["metrics"]["sites"].items()}
    assert where == {EAST: "internal", WEST: "external"}
    internal, external = (of_both["metrics"]["sites"][site] for site in (EAST, WEST))
    assert internal["macro_f1"] == of_both["metrics"]["gate"]["macro_f1"]
    assert external["reports"] == 6
    low, high = external["macro_f1_interval"]
    assert low <= external["macro_f1"] <= high

    # Evaluated later, on the gate annotations of both, it says the same of each.
    judged = json.loads(typed("evaluate", "--json"))
    assert (judged["reports"], judged["left_out"]) == (12, 0)
    for site, one in of_both["metrics"]["sites"].items():
        assert judged["sites"][site]["macro_f1"] == pytest.approx(one["macro_f1"])
        assert judged["sites"][site]["where"] == one["where"]
        assert set(judged["sites"][site]["labels"]) == set(FINDINGS)
    only = json.loads(typed("evaluate", "--site", WEST, "--json"))
    assert only["macro_f1"] == judged["sites"][WEST]["macro_f1"]
    assert list(only["sites"]) == [WEST]

    lines = [line for line in typed("evaluate").splitlines() if "made-up" in line]
    assert [("internal" in line, "external" in line) for line in lines] == [(True, False), (False, True)]
    header = typed("evaluate", "--by-site")
    assert header.index(EAST) < header.index(WEST)
    assert "external" in typed("evaluate", "--site", WEST)
    assert f"{WEST} (external, 6 reports)" in typed("models", "show", "1")


def test_thresholds_are_calibrated_where_the_version_was_fitted(
    house: HouseUnderTest, train: Typed, typed: Typed, refused: Typed, file: Callable[..., Path]
) -> None:
    train("--annotations", file(of(EAST) + of(WEST)), "--site", EAST)
    typed("models", "thresholds", 1, "--set", "Lung nodule=0.9")
    said = typed("models", "thresholds", 2, "--calibrate")
    assert f"Set on 6 reports of {EAST}." in said
    assert shown(typed, 3)["thresholds"] == shown(typed, 1)["thresholds"]
    assert shown(typed, 3)["metrics"] == shown(typed, 1)["metrics"]
    for version in (2, 3):
        assert fitted_on(house, version) == AT[EAST]
        assert shown(typed, version)["settings"]["sites"] == [EAST]
        assert shown(typed, version)["settings"]["calibrated_at"] == [EAST]

    assert "there are: made-up-hospital-east" in refused("models", "thresholds", 1, "--calibrate", "--site", "north")
    elsewhere = file(of(WEST), "west.csv")
    assert "name it with --site" in refused("models", "thresholds", 1, "--annotations", elsewhere)

    typed("models", "thresholds", 1, "--calibrate", "--site", WEST)
    moved = shown(typed, 4)
    assert moved["thresholds"] != shown(typed, 1)["thresholds"]
    assert (moved["settings"]["sites"], moved["settings"]["calibrated_at"]) == ([EAST], [WEST])
    assert fitted_on(house, 4) == AT[EAST] | {(str(WEST), "calibration"): 6}
    where = {site: one["where"] for site, one in moved["metrics"]["sites"].items()}
    assert where == {EAST: "internal", WEST: "internal"}, "what set its thresholds is no stranger"
    typed("models", "promote", 4)
    judged = json.loads(typed("evaluate", "--json"))["sites"]
    assert {site: one["where"] for site, one in judged.items()} == where


def test_without_a_choice_every_site_is_learnt_from_and_judged_apart(
    house: HouseUnderTest, train: Typed, typed: Typed, file: Callable[..., Path]
) -> None:
    said = train("--annotations", file(of(EAST) + of(WEST, splits=SPLITS[:8])))
    assert f"28 reports of {EAST} and {WEST}, 18 labels; 16 train, 6 calibration, 6 gate" in said
    assert f"{WEST}: no annotation is in the split calibration" in said
    assert "not judged: no report is kept for judging" in said
    found = shown(typed, 1)
    assert found["settings"]["sites"] == [EAST, WEST]
    assert found["metrics"]["sites"][WEST] == {
        "where": "internal",
        "reports": 0,
        "not_judged": "no report is kept for judging",
    }


def test_what_is_missing_at_a_site_is_said(train: Typed, typed: Typed, file: Callable[..., Path]) -> None:
    uncalibrated = of(EAST, splits=[Split.TRAIN] * 8 + [Split.GATE] * 2)
    healthy = [(WEST, split, text, (0,) * len(FINDINGS)) for _, split, text, _ in of(WEST)]
    said = train("--annotations", file(uncalibrated + healthy), "--site", EAST)
    assert "Every threshold is 0.5" in said
    assert "not judged: none of 6 reports has a finding" in said
    found = shown(typed, 1)
    assert set(found["thresholds"].values()) == {0.5}
    assert found["settings"]["calibrated_at"] == []
    assert found["metrics"]["gate"]["reports"] == 2


def test_a_text_learnt_from_at_one_site_cannot_judge_at_the_other(
    train: Typed, typed: Typed, refused: Typed, file: Callable[..., Path]
) -> None:
    east = of(EAST)
    same = (WEST, Split.GATE, east[0][2], east[0][3])
    rows = file([*east, *of(WEST), same])
    assert "1 report is left out" in train("--annotations", rows, "--site", EAST, "--promote")
    judged = json.loads(typed("evaluate", "--json"))
    assert (judged["reports"], judged["left_out"], judged["sites"][WEST]["reports"]) == (12, 1, 6)
    assert json.loads(typed("evaluate", "--include-fitted", "--json"))["reports"] == 13
    assert "was fitted on 15 of these 41 reports" in refused("evaluate", "--annotations", rows)


def test_sites_that_cannot_be_used_are_refused_and_nothing_is_imported(
    house: HouseUnderTest, refused: Typed, file: Callable[..., Path]
) -> None:
    rows = file(of(EAST) + of(WEST, splits=[Split.GATE] * 4))
    train = ("train", "--foundation", "nowhere", "--annotations", rows)
    assert f"'seoul'; there are: {EAST}, {WEST}" in refused(*train, "--site", "seoul")
    assert f"{WEST!s}' is in the split train" in refused(*train, "--site", WEST)
    assert house.value("SELECT count(*) FROM annotation") == 0


def test_a_site_to_evaluate_must_be_there(train: Typed, refused: Typed, file: Callable[..., Path]) -> None:
    train("--annotations", file(of(EAST)), "--promote")
    assert f"there are: {EAST}" in refused("evaluate", "--site", WEST)
