"""Columns of report_labels: a unique ASCII name for every label, whatever the hospital calls it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.label_sets import CT_RATE_FINDINGS, RESERVED_COLUMNS, column_name

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
