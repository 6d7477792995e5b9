"""`nightread labels …`: a hospital's own findings, their codes, and the wide view that follows them."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from command_results import done, refusal
from given import stored
from typer.testing import Result
from under_test import HouseUnderTest

from nightread.commands import labels as command
from pipeline import label_sets
from pipeline.label_sets import CT_RATE_CODES
from pipeline.names import Role
from pipeline.tables import ModelVersion, Stage

Typed = Callable[..., Result]


@pytest.fixture
def typed(invoke: Callable[..., Result]) -> Typed:
    return partial(invoke, command.app)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str) -> Path:
        (tmp_path / "findings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / "findings.csv"

    return write


def serves(house: HouseUnderTest, label_set: int, labels: int, *, rank: int = 1) -> None:
    with house.sessions.begin() as session:
        session.add(
            ModelVersion(
                kind="classifier",
                foundation="km-bert",
                stage=Stage.PRODUCTION,
                serving_rank=rank,
                artifact="none",
                artifact_sha256="0" * 64,
                label_set_id=label_set,
                thresholds=[0.5] * labels,
            )
        )


def view(house: HouseUnderTest) -> list[str]:
    """The columns of report_labels from the first finding on."""
    rows = house.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'report_labels'::regclass AND attnum > 0 ORDER BY attnum"
    )
    names = [row.attname for row in rows]
    return names[names.index("stale") + 1 :]


def comment(house: HouseUnderTest, column: str) -> str:
    return str(
        house.value(
            "SELECT col_description('report_labels'::regclass, attnum) FROM pg_attribute "
            "WHERE attrelid = 'report_labels'::regclass AND attname = :column",
            column=column,
        )
    )


OWN = (
    "name,korean_name,column_name,snomed_ct,radlex",
    "Nodule,결절,,,RID50149",
    "Pleural effusion,흉수,effusion,60046008,",
)


def test_own_findings_are_registered_and_the_view_shows_them(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    said = done(typed("import", file(*OWN), "--name", "ours"))
    assert "Label set ours: 2 findings registered. report_labels shows this set." in said
    assert view(house) == ["nodule", "effusion"]
    assert comment(house, "effusion") == "Whether the report states: Pleural effusion / 흉수"
    rows = house.rows("SELECT * FROM label_catalogue WHERE label_set = 'ours' ORDER BY position", Role.ANALYST)
    assert [(row.label, row.korean_name, row.column_name, row.snomed_ct, row.radlex) for row in rows] == [
        ("Nodule", "결절", "nodule", None, "RID50149"),
        ("Pleural effusion", "흉수", "effusion", "60046008", None),
    ]
    with house.sessions.begin() as session:
        assert label_sets.for_names(session, ["Pleural effusion", "Nodule"]) == label_sets.named(session, "ours").id


def test_importing_again_changes_nothing_and_other_codes_change_codes(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    done(typed("import", file(*OWN), "--name", "ours"))
    assert "0 of 2 findings changed" in done(typed("import", file(*OWN), "--name", "ours"))
    said = done(typed("import", file("snomed_ct,name", "786838002,Nodule", ",Pleural effusion"), "--name", "ours"))
    assert "2 of 2 findings changed" in said
    rows = house.rows("SELECT name, korean_name, snomed_ct, radlex FROM label WHERE label_set_id = 2 ORDER BY position")
    assert [tuple(row) for row in rows] == [
        ("Nodule", "결절", "786838002", "RID50149"),
        ("Pleural effusion", "흉수", None, None),
    ], "a column that is not there says nothing, an empty cell says none"


def test_the_order_of_a_set_stays_whatever_the_file_s(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    done(typed("import", file(*OWN), "--name", "ours"))
    done(typed("import", file(OWN[0], OWN[2], OWN[1]), "--name", "ours"))
    with house.sessions.begin() as session:
        assert label_sets.names(session, 2) == ["Nodule", "Pleural effusion"]


def test_a_new_column_name_reaches_the_view(house: HouseUnderTest, typed: Typed, file: Callable[..., Path]) -> None:
    done(typed("import", file(*OWN), "--name", "ours"))
    done(
        typed(
            "import", file("name,column_name,korean_name", "Nodule,ggn,폐결절", "Pleural effusion,,"), "--name", "ours"
        )
    )
    assert view(house) == ["ggn", "effusion"]
    assert comment(house, "ggn") == "Whether the report states: Nodule / 폐결절"
    assert comment(house, "effusion") == "Whether the report states: Pleural effusion"


def test_a_column_never_goes_over_to_another_finding(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    done(typed("import", file(*OWN), "--name", "ours"))
    exchanged = file("name,column_name", "Nodule,effusion", "Pleural effusion,nodule")
    assert "cannot go over to" in refusal(typed("import", exchanged, "--name", "ours"))
    assert view(house) == ["nodule", "effusion"]


def test_while_a_model_of_another_set_serves_the_view_waits_for_the_promotion(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    before = view(house)
    serves(house, 1, 18)
    stored(house, ["No nodule."])
    said = done(typed("import", file(*OWN), "--name", "ours"))
    assert "it will follow when a model of this set is promoted" in said
    assert view(house) == before
    serves(house, 2, 2, rank=2)
    assert "report_labels shows this set" in done(typed("import", file(*OWN), "--name", "ours"))
    assert view(house) == ["nodule", "effusion"]


def test_other_findings_under_a_name_that_is_taken_are_refused(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    done(typed("import", file(*OWN), "--name", "ours"))
    said = refusal(typed("import", file("name", "Nodule", "Mass"), "--name", "ours"))
    assert "only one of the two has: Mass, Pleural effusion" in said
    assert "under another name" in said
    said = refusal(typed("import", file(*OWN), "--name", "theirs"))
    assert "--name ours" in said
    assert house.value("SELECT count(*) FROM label_set") == 2


def test_a_set_that_training_registered_gets_its_name(
    house: HouseUnderTest, typed: Typed, file: Callable[..., Path]
) -> None:
    with house.sessions.begin() as session:
        made_up = label_sets.for_names(session, ["Pleural effusion", "Nodule"])
    said = done(typed("import", file(*OWN), "--name", "ours"))
    assert "is now called ours" in said
    with house.sessions.begin() as session:
        assert label_sets.named(session, "ours").id == made_up
        assert label_sets.names(session, made_up) == ["Pleural effusion", "Nodule"], "as the model has them"
    assert view(house) == ["effusion", "nodule"]


def test_an_unusable_file_is_refused_before_anything_is_opened(typed: Typed, file: Callable[..., Path]) -> None:
    assert "check digit" in refusal(typed("import", file("name,snomed_ct", "Nodule,60046009"), "--name", "ours"))


def test_the_default_set_is_a_template(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    result = typed("export", "ct-rate-18")
    (tmp_path / "template.csv").write_text(result.output, encoding="utf-8")
    assert "Pleural effusion,흉수,pleural_effusion,60046008,RID34539" in result.output
    assert "0 of 18 findings changed" in done(typed("import", tmp_path / "template.csv", "--name", "ct-rate-18"))
    assert "there is no label set 'x'; known are: ct-rate-18" in refusal(typed("export", "x"))


def test_the_default_codes_come_with_the_next_migration_unless_there_are_any(house: HouseUnderTest) -> None:
    with house.sessions.begin() as session:
        label_set = label_sets.register_default(session)
        for label in label_sets._labels(session, label_set):
            label.snomed_ct = label.radlex = None
        session.flush()
        label_sets.register_default(session)
        found = {one.name: (one.snomed_ct, one.radlex) for one in label_sets.labels_of(session, label_set)}
        assert {name: codes for name, codes in found.items() if codes != (None, None)} == CT_RATE_CODES
        for label in label_sets._labels(session, label_set):
            label.snomed_ct, label.radlex = ("24028007" if label.name == "Emphysema" else None), None
        session.flush()
        label_sets.register_default(session)
        left = [one.snomed_ct for one in label_sets.labels_of(session, label_set) if one.snomed_ct]
    assert left == ["24028007"], "what a hospital decided stands"


def test_sets_are_listed_and_shown(house: HouseUnderTest, typed: Typed, file: Callable[..., Path]) -> None:
    serves(house, 1, 18)
    done(typed("import", file(*OWN), "--name", "ours"))
    default, ours = json.loads(typed("list", "--json").output)
    assert default == {"name": "ct-rate-18", "findings": 18, "annotations": 0, "models": 1, "serves": True}
    assert ours == {"name": "ours", "findings": 2, "annotations": 0, "models": 0, "serves": False}
    assert "ct-rate-18" in done(typed("list"))
    shown = json.loads(typed("show", "ours", "--json").output)
    assert shown["labels"][1] == {
        "name": "Pleural effusion",
        "korean_name": "흉수",
        "column_name": "effusion",
        "snomed_ct": "60046008",
        "radlex": None,
    }
    assert json.loads(typed("show", "--json").output)["label_set"] == "ct-rate-18"
    assert "결절" in done(typed("show", "ours"))
