"""Label sets: a unique ASCII column for every label, whatever the hospital calls it, and files of its own findings."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import label_set_files
from pipeline.label_set_files import RESERVED_COLUMNS, LabelSetFile, NamedLabel, UnusableLabels
from pipeline.label_sets import CT_RATE_CODES, CT_RATE_FINDINGS, column_name

COLUMN = re.compile(r"[a-z][a-z0-9_]{0,62}")  # as the CHECK constraint has it


def columns(*names: str) -> list[str]:
    taken: set[str] = set()
    found = []
    for position, name in enumerate(names, 1):
        found.append(column_name(name, position=position, taken=taken))
        taken.add(found[-1])
    return found


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Pleural effusion", "pleural_effusion"),
        ("  Pleural -- effusion! ", "pleural_effusion"),
        ("Café-au-lait", "cafe_au_lait"),
        ("GGO (≥ 50%)", "ggo_50"),
        ("흉수", "label_7"),
        ("흉수 effusion", "effusion"),
        ("3rd rib fracture", "label_7"),
        ("", "label_7"),
        ("site", "site_7"),
        ("Stale", "stale_7"),
        ("select", "select"),  # quoted where it stands
    ],
)
def test_columns_are_named_after_their_labels(name: str, column: str) -> None:
    assert column_name(name, position=7, taken=()) == column


def test_labels_that_differ_in_signs_only_get_different_columns() -> None:
    assert columns("GGO +", "GGO -") == ["ggo", "ggo_2"]


def test_a_numbered_column_that_is_taken_too_is_not_given_twice() -> None:
    assert len(set(columns("A 3", "A", "a"))) == 3
    assert len(set(columns("label 2", "흉수", "label 2 2"))) == 3


def test_long_names_fit() -> None:
    one, other = columns("x" * 300, "x" * 301)
    assert one != other
    assert max(len(one), len(other)) <= 63


@given(st.lists(st.text(max_size=12) | st.sampled_from(["a", "a 3", "A!", "label 1", "site", "흉수"]), unique=True))
def test_every_label_gets_a_column_of_its_own(names: list[str]) -> None:
    found = columns(*names)
    assert len(set(found)) == len(names)
    assert all(COLUMN.fullmatch(column) for column in found)
    assert not RESERVED_COLUMNS & set(found)


def test_the_default_labels_have_their_usual_columns() -> None:
    assert columns(*(name for name, _, _ in CT_RATE_FINDINGS)) == [column for _, column, _ in CT_RATE_FINDINGS]


# --- files of a hospital's own findings


def refused(tmp_path: Path, *lines: str) -> str:
    with pytest.raises(UnusableLabels) as error:
        read(tmp_path, *lines)
    return str(error.value)


def read(tmp_path: Path, *lines: str) -> LabelSetFile:
    (tmp_path / "findings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return label_set_files.read(tmp_path / "findings.csv")


def test_a_file_names_findings_in_order(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "name,korean_name,column_name,snomed_ct,radlex",
        "Pleural effusion,흉수,effusion,60046008,RID34539",
        " Halo sign ,,,,",
    )
    assert found.labels == (
        NamedLabel("Pleural effusion", "흉수", "effusion", "60046008", "RID34539"),
        NamedLabel("Halo sign"),
    )


def test_only_names_are_needed(tmp_path: Path) -> None:
    found = read(tmp_path, "name", "Nodule")
    assert found == LabelSetFile((NamedLabel("Nodule"),), frozenset({"name"}))


def test_korean_that_a_mac_took_apart_is_put_together(tmp_path: Path) -> None:
    (label,) = read(tmp_path, "name,korean_name", f"Effusion,{unicodedata.normalize('NFD', '흉수')}").labels
    assert label.korean_name == "흉수"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (",흉수,,,", "no name"),
        ("Site,,,,", "another column"),
        ("report_text,,,,", "another column"),
        ("Nodule,,2nd,,", "no column"),
        ("Nodule,,Nodule,,", "no column"),
        ("Nodule,,stale,,", "already"),
        ("Nodule,,,60046009,", "check digit"),
        ("Nodule,,,60046080,", "check digit"),
        ("Nodule,,,6.0046E+07,", "6 to 18 digits"),
        ("Nodule,,,12345,", "6 to 18 digits"),
        ("Nodule,,,12340015,", "description"),
        ("Nodule,,,,34539", "RadLex"),
        ("Nodule,,,,RID", "RadLex"),
    ],
)
def test_what_cannot_be_used_is_named_by_line(line: str, said: str, tmp_path: Path) -> None:
    message = refused(tmp_path, "name,korean_name,column_name,snomed_ct,radlex", "Emphysema,,,,", line)
    assert "line 3" in message
    assert said in message


def test_names_and_columns_stand_once(tmp_path: Path) -> None:
    assert "lines 2 and 4 have the same name" in refused(tmp_path, "name", "Nodule", "Mass", "NODULE")
    assert "lines 2 and 3 have the same column_name" in refused(tmp_path, "name,column_name", "A,lung", "B,lung")


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    assert "it needs name, and may have korean_name" in refused(tmp_path, "name,icd", "Nodule,R91")
    assert "it needs name" in refused(tmp_path, "korean_name", "결절")


def test_the_default_codes_are_of_default_findings_and_well_formed(tmp_path: Path) -> None:
    assert {name for name, _, _ in CT_RATE_FINDINGS} >= CT_RATE_CODES.keys()
    lines = [f"{name},{snomed_ct or ''},{radlex or ''}" for name, (snomed_ct, radlex) in CT_RATE_CODES.items()]
    assert len(read(tmp_path, "name,snomed_ct,radlex", *lines).labels) == len(CT_RATE_CODES)
    for codes in zip(*CT_RATE_CODES.values(), strict=True):
        given = [code for code in codes if code]
        assert len(set(given)) == len(given)
