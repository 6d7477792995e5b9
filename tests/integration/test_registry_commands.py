"""`nightread models …`: what serves changes only to a model whose files are whole, and everybody can see who did it."""

import csv
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from given import RULES, stored
from sqlalchemy import text
from under_test import TINY_TEXTS, HouseUnderTest

from models.artifacts import MANIFEST
from nightread import registry
from nightread.commands import registry as commands
from nightread.commands.shared import who
from nightread.thresholds import UnusableThresholds
from pipeline import label_sets, model_versions
from pipeline.annotation_files import UnusableAnnotations
from pipeline.model_versions import NotRolledBack, PromotionRefused, UnknownModel
from pipeline.sites import UnusableSites
from pipeline.tables import Split

Serve = Callable[..., int]
Typed = Callable[..., Result]
LABELS = [name for name, _, _ in label_sets.CT_RATE_FINDINGS]


@pytest.fixture
def typed(invoke: Callable[..., Result]) -> Typed:
    return partial(invoke, commands.app)


@pytest.fixture(autouse=True)
def models(house: HouseUnderTest) -> Path:
    """The models folder, empty."""
    shutil.rmtree(house.home / "models", ignore_errors=True)
    return house.home / "models"


def listed(typed: Typed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(typed("list", "--json").stdout)
    return found


def shown(typed: Typed, version: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(typed("show", str(version), "--json").stdout)
    return found


def serving(typed: Typed) -> int:
    (found,) = (one["version"] for one in listed(typed) if one["serves"])
    return int(found)


def damage(folder: Path, how: str) -> None:
    weights = folder / "head.safetensors"
    if how == "altered":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    elif how == "missing":
        weights.unlink()
    elif how == "unknown":
        (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    elif how == "without a manifest":
        (folder / MANIFEST).unlink()
    elif how == "gone":
        shutil.rmtree(folder)
    else:  # whole, but another one
        manifest = json.loads((folder / MANIFEST).read_bytes())
        weights.unlink()
        del manifest["files"]["head.safetensors"]
        (folder / MANIFEST).write_text(json.dumps(manifest))


DAMAGES = {
    "altered": "head.safetensors is altered",
    "missing": "head.safetensors is missing",
    "unknown": "pytorch_model.bin is unknown",
    "without a manifest": "manifest.json is missing",
    "gone": "manifest.json is missing",
    "another": "its manifest is not the one that was registered",
}


# --- list and show


def test_a_house_without_a_model_says_how_to_make_one(typed: Typed) -> None:
    assert "nightread train" in typed("list").stdout
    assert listed(typed) == []


def test_the_list_says_which_one_serves_and_who_made_it(serve: Serve, typed: Typed) -> None:
    first, second = serve(), serve(artifact="tiny2")
    rows = {one["version"]: one for one in listed(typed)}
    assert [(rows[one]["stage"], rows[one]["serving_rank"], rows[one]["serves"]) for one in (first, second)] == [
        ("production", 1, False),
        ("production", 2, True),
    ]
    assert rows[second]["promoted_by"] == "test@here"
    assert typed("list").stdout.count("serves") == 1


def test_one_is_shown_with_thresholds_files_and_history(serve: Serve, typed: Typed) -> None:
    version = serve(threshold=0.25)
    found = shown(typed, version)
    assert found["thresholds"] == dict.fromkeys(LABELS, 0.25)
    assert found["verified"]["ok"]
    assert [one["what"] for one in found["changes"]] == ["ModelPromoted"]
    said = typed("show", str(version)).stdout
    for expected in ("Lung nodule", "0.250", "files", "test@here"):
        assert expected in said


def test_one_that_is_not_there_is_named(serve: Serve, typed: Typed) -> None:
    serve()
    assert isinstance(typed("show", "9").exception, UnknownModel)


# --- promote and rollback


def test_there_and_back_again(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    first, second = serve(), serve(artifact="tiny2")
    stored(house, ["One."])
    said = typed("promote", str(first), "--note", "second misses effusions")
    assert said.exit_code == 0
    assert f"Model version {first} serves now in place of {second}." in said.stdout
    assert "1 reports without a label" in said.stdout
    assert serving(typed) == first
    assert "serves already" in typed("promote", str(first)).stdout
    assert f"Model version {second} serves again" in typed("rollback", "--note", "sorry").stdout
    assert serving(typed) == second
    changes = [(one["what"], one["by"], one["note"]) for one in shown(typed, first)["changes"]]
    assert changes[-2:] == [
        ("ModelPromoted", who(), "second misses effusions"),
        ("ModelWithdrawn", who(), "sorry"),
    ]
    assert isinstance(typed("rollback").exception, NotRolledBack), "the only one left in production"


@pytest.mark.parametrize("how", DAMAGES)
def test_a_model_whose_files_are_not_whole_does_not_begin_to_serve(
    how: str, serve: Serve, models: Path, typed: Typed
) -> None:
    first, second = serve(), serve(artifact="tiny2")
    typed("rollback")
    damage(models / "tiny2", how)
    refused = typed("promote", str(second)).exception
    assert isinstance(refused, PromotionRefused)
    assert DAMAGES[how] in str(refused)
    assert "restore" in str(refused)
    assert serving(typed) == first


def test_a_rollback_to_files_that_are_not_whole_has_to_be_insisted_on(serve: Serve, models: Path, typed: Typed) -> None:
    first, second = serve(), serve(artifact="tiny2")
    damage(models / "tiny", "altered")
    refused = typed("rollback").exception
    assert isinstance(refused, NotRolledBack)
    assert "nothing is rolled back" in str(refused)
    assert serving(typed) == second
    assert typed("rollback", "--force").exit_code == 0
    assert serving(typed) == first


def test_a_promotion_between_the_look_and_the_rollback_is_not_rolled_back_unseen(
    house: HouseUnderTest, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, third = serve(), serve(artifact="tiny2"), serve(artifact="tiny3")
    with house.sessions.begin() as session:
        model_versions.rollback(session, by="x", rules=RULES)
    verify = registry.verify

    def meanwhile(*arguments: Any) -> Any:
        with house.sessions.begin() as session:
            model_versions.promote(session, third, by="someone@else", rules=RULES)
        return verify(*arguments)

    monkeypatch.setattr(registry, "verify", meanwhile)
    with pytest.raises(NotRolledBack, match="changed meanwhile"):
        registry.rollback(house.house, to=first, by="x", note=None, force=False)
    serves = "SELECT model_version FROM model_history WHERE serves"
    assert house.value(serves) == third


# --- verify


def test_whole_files_are_verified(serve: Serve, typed: Typed) -> None:
    serve()
    said = typed("verify")
    assert said.exit_code == 0
    assert "ok       head.safetensors" in said.stdout


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_is_found_and_told_by_file(how: str, serve: Serve, models: Path, typed: Typed) -> None:
    whole, damaged = serve(), serve(artifact="tiny2")
    damage(models / "tiny2", how)
    said = typed("verify")
    assert said.exit_code == 1
    assert DAMAGES[how] in said.stdout
    assert typed("verify", str(whole)).exit_code == 0
    assert typed("verify", str(damaged)).exit_code == 1
    states = {one["version"]: one["ok"] for one in json.loads(typed("verify", "--json").stdout)}
    assert states == {whole: True, damaged: False}


# --- thresholds


def test_a_threshold_set_by_hand_makes_a_child(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    parent = serve(threshold=0.25)
    said = typed("thresholds", str(parent), "--set", "Lung nodule=0.4", "--set", "pleural_effusion=0.6")
    assert said.exit_code == 0
    assert "Lung nodule: 0.250 → 0.400" in said.stdout
    found, of = shown(typed, parent + 1), shown(typed, parent)
    assert (found["stage"], found["parent"], found["created_by"]) == ("candidate", parent, who())
    assert of["children"] == [parent + 1]
    for same in ("artifact", "artifact_sha256", "label_set", "foundation"):
        assert found[same] == of[same]
    assert found["thresholds"] == {**of["thresholds"], "Lung nodule": 0.4, "Pleural effusion": 0.6}
    assert found["settings"]["thresholds"]["Lung nodule"] == {"from": 0.25, "to": 0.4}
    assert found["metrics"] == {}
    assert serving(typed) == parent, "it is a candidate"


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("Lung nodule=0.25", "has already"),
        ("Nodule=0.4", "no label 'Nodule'"),
        ("Lung nodule=0", "above 0 and at most 1"),
        ("Lung nodule=1.5", "above 0 and at most 1"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(chosen: str, said: str, serve: Serve, typed: Typed) -> None:
    refused = typed("thresholds", str(serve(threshold=0.25)), "--set", chosen).exception
    assert isinstance(refused, UnusableThresholds)
    assert said in str(refused)


@pytest.mark.parametrize("arguments", [[], ["--set", "Lung nodule"], ["--set", "=0.4"], ["--set", "Lung nodule=nan"]])
def test_what_is_no_assignment_is_wrong_usage(arguments: list[str], serve: Serve, typed: Typed) -> None:
    assert typed("thresholds", str(serve()), *arguments).exit_code == 2


def annotated(file: Path, splits: list[Split], labels: list[str] = LABELS) -> Path:
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["id", "text", "split", *labels])
        for number, split in enumerate(splits):
            values = [(number + column) % 2 for column in range(len(labels))]
            rows.writerow([number, f"{TINY_TEXTS[number % 4]} ({number})", split, *values])
    return file


def test_thresholds_are_calibrated_on_the_split_for_it_and_judged_on_the_gate(
    house: HouseUnderTest, serve: Serve, typed: Typed, tmp_path: Path
) -> None:
    parent = serve(threshold=0.99)
    with house.sessions.begin() as session:
        session.execute(text("UPDATE model_version SET settings = '{\"epochs\": 1}'"))
    file = annotated(tmp_path / "a.csv", [Split.TRAIN] * 2 + [Split.CALIBRATION] * 6 + [Split.GATE] * 4)
    said = typed("thresholds", str(parent), "--annotations", str(file), "--set", "Lung nodule=0.4")
    assert said.exit_code == 0, said.exception
    assert "Set on 6 reports." in said.stdout
    found = shown(typed, parent + 1)
    assert found["thresholds"]["Lung nodule"] == 0.4
    assert all(0.2 <= value <= 0.8 for value in found["thresholds"].values())
    assert found["metrics"]["gate"]["reports"] == 4
    assert found["fitted_on"] == 6, "what thresholds were set on cannot judge them later"
    splits = house.rows(
        "SELECT DISTINCT split FROM annotation JOIN fitted_on ON annotation_id = id WHERE model_version_id = :it",
        it=parent + 1,
    )
    assert splits == [(Split.CALIBRATION,)]


def test_thresholds_are_calibrated_on_what_was_imported(serve: Serve, typed: Typed, tmp_path: Path) -> None:
    parent = serve(threshold=0.99)
    file = annotated(tmp_path / "a.csv", [Split.CALIBRATION] * 6 + [Split.GATE] * 4)
    typed("thresholds", str(parent), "--annotations", str(file))
    typed("thresholds", str(parent), "--calibrate")
    of_file, of_all = shown(typed, parent + 1), shown(typed, parent + 2)
    assert of_all["thresholds"] == of_file["thresholds"]
    assert (of_all["parent"], of_all["fitted_on"]) == (parent, 6)
    assert isinstance(typed("thresholds", str(parent + 2), "--calibrate").exception, UnusableThresholds), "no change"


def test_a_child_of_a_child_keeps_what_its_line_was_fitted_on(
    house: HouseUnderTest, serve: Serve, typed: Typed, tmp_path: Path
) -> None:
    parent = serve(threshold=0.99)
    typed("thresholds", str(parent), "--annotations", str(annotated(tmp_path / "a.csv", [Split.CALIBRATION] * 3)))
    typed("thresholds", str(parent + 1), "--set", "Lung nodule=0.9")
    assert shown(typed, parent + 2)["fitted_on"] == 3


@pytest.mark.parametrize(
    ("splits", "labels", "said"),
    [
        ([Split.GATE] * 3, LABELS, "in the split calibration"),
        ([Split.CALIBRATION] * 3, LABELS[1:], "only one of the two has: Medical material"),
    ],
)
def test_annotations_that_cannot_calibrate_are_refused(
    splits: list[Split], labels: list[str], said: str, serve: Serve, typed: Typed, tmp_path: Path
) -> None:
    file = annotated(tmp_path / "a.csv", splits, labels)
    refused = typed("thresholds", str(serve()), "--annotations", str(file)).exception
    assert isinstance(refused, (UnusableAnnotations, UnusableSites))
    assert said in str(refused)
