"""`nightread train` and `nightread evaluate`: a model is made from annotations and judged by others."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typed_commands import Typed
from under_test import TINY_TEXTS, HouseUnderTest

from pipeline.names import Role

HEADER = ("id", "report_text", "split", "Nodule", "흉수")


def annotated(file: Path, texts: Sequence[str], *, split: str = "") -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for number, words in enumerate(texts):
            writer.writerow((f"r{number}", words, split, number % 2, int("흉수" in words)))
    return file


@pytest.fixture
def trained(house: HouseUnderTest, tiny_artifact: tuple[Path, str], tmp_path: Path) -> Path:
    """A model that serves, trained by the command; its annotations."""
    parts = ("train",) * 8 + ("calibration",) * 2 + ("gate",) * 2
    file = tmp_path / "labels.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for number, split in enumerate(parts):
            words = f"{TINY_TEXTS[number % 4]} ({number})"
            writer.writerow((f"r{number}", words, split, number % 2, int(number % 4 < 2)))
    foundation = str(tiny_artifact[0].parent / "foundation")
    options = ("--annotations", str(file), "--foundation", foundation, "--epochs", "1", "--promote")
    done = house.command("train", *options)
    assert done.returncode == 0, done.stderr
    assert "12 reports, 2 labels; 8 train, 2 calibration, 2 gate" in done.stdout
    assert "Model version 1 is registered; it serves now." in done.stdout
    assert "training:" in done.stderr, "without a terminal the bar is a line"
    return file


def test_a_model_is_made_and_judged(trained: Path, house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    (model,) = house.rows("SELECT foundation, serves, gate_macro_f1, artifact_sha256 FROM model_history", Role.ANALYST)
    assert (model.foundation, model.serves) == ("foundation", True)
    assert 0 <= model.gate_macro_f1 <= 1
    assert house.value("SELECT settings ->> 'epochs' FROM model_version") == "1"
    assert house.value("SELECT count(*) FROM fitted_on") == 10, "gate reports are never fitted"
    columns = house.rows("SELECT column_name FROM label WHERE label_set_id = 2 ORDER BY position")
    assert [row.column_name for row in columns] == ["nodule", "label_2"]
    artifact = house.home / "models" / house.value("SELECT artifact FROM model_version")
    assert artifact.name.startswith("classifier-")
    assert not list((house.home / "models").glob(".training-*"))

    refused = typed("evaluate", "--annotations", str(trained))
    assert refused.code == 1
    assert "model 1 was fitted on 10 of these 12 reports" in refused.plain_err
    assert "--include-fitted" in refused.plain_err

    flattered = json.loads(typed("evaluate", "--annotations", str(trained), "--include-fitted", "--json").out)
    assert (flattered["model"], flattered["reports"]) == (1, 12)

    unseen = annotated(tmp_path / "unseen.csv", ["A nodule of 3 cm.", "흉수 없음.", "Clear.", "결절과 흉수."])
    judged = json.loads(typed("evaluate", "--annotations", str(unseen), "--json").out)
    assert judged["reports"] == 4
    assert set(judged["labels"]) == {"Nodule", "흉수"}
    assert judged["labels"]["Nodule"]["support"] == 2
    assert {"precision", "recall", "f1", "f1_interval"} <= set(judged["labels"]["흉수"])
    assert 0 <= judged["macro_f1"] <= 1

    table = typed("evaluate", "--annotations", str(unseen), "--model", "1")
    assert "Model 1 on 4 reports" in table.out
    assert "Macro F1" in table.out

    other = tmp_path / "other.csv"
    other.write_text("text,Nodule,Emphysema\nA,1,0\n")
    said = typed("evaluate", "--annotations", str(other))
    assert said.code == 1
    assert "only one of the two has: Emphysema, 흉수" in said.plain_err

    said = typed("evaluate", "--annotations", str(unseen), "--model", "7")
    assert said.code == 1
    assert "no model version 7; known are: 1" in said.plain_err


def test_a_file_that_cannot_be_used_is_refused_before_anything_starts(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("text,age\nA,57\n")
    said = typed("train", "--annotations", str(tmp_path / "bad.csv"), "--foundation", "nowhere")
    assert said.code == 1
    assert "no 0/1 column" in said.plain_err


def test_evaluating_before_any_model_serves_says_so(typed: Typed, tmp_path: Path) -> None:
    said = typed("evaluate", "--annotations", str(annotated(tmp_path / "a.csv", ["A."])))
    assert said.code == 1
    assert "no model serves yet" in said.plain_err
