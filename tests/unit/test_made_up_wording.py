"""Particles, articles and endings of the made-up reports, and their tables."""

import pytest

from nightread.made_up import FINDINGS, Style
from nightread.made_up.reports import TONGUES
from nightread.made_up.wording import Noun, polite


def test_particles() -> None:
    words = ("흉수", "폐기종", "GGO", "nodule", "LN", "pleural effusion", "소결절(Lung-RADS 4A)")
    assert [f"{Noun(word):은}" for word in words] == [
        "흉수는", "폐기종은", "GGO는", "nodule은", "LN은", "pleural effusion은", "소결절(Lung-RADS 4A)는",
    ]  # fmt: skip
    assert f"{Noun('폐결절'):이}/{Noun('무기폐'):을}/{Noun('흉수')}" == "폐결절이/무기폐를/흉수"
    assert f"{Noun('폐기종'):으로}/{Noun('무기폐'):으로}/{Noun('폐결절'):으로}" == "폐기종으로/무기폐로/폐결절로"


def test_articles() -> None:
    nodule = Noun("a 6 mm solid nodule")
    assert f"{nodule}/{nodule:a}/{nodule:the}" == "6 mm solid nodule/a 6 mm solid nodule/the 6 mm solid nodule"
    assert f"{Noun('emphysema'):a}/{Noun('emphysema'):the}" == "emphysema/the emphysema"


@pytest.mark.parametrize(
    ("phrase", "plural"),
    [
        ("a few nodules up to 6 mm", True),
        ("thickened interlobular septa", True),
        ("pleuroparenchymal sequelae", True),
        ("sternotomy wires", True),
        ("moderate atelectasis", False),
        ("diffuse thickening of the bronchial walls", False),
        ("a left-sided pacemaker with leads in the right heart", False),
        ("a 41 mm nodule with spiculated margin", False),
    ],
)
def test_the_number_of_an_english_phrase(phrase: str, plural: bool) -> None:
    assert Noun(phrase).is_plural() is plural


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("흉수 있음.", "흉수 있습니다."),
        ("폐결절은 관찰되지 않음.", "폐결절은 관찰되지 않습니다."),
        ("무기폐가 관찰됨.", "무기폐가 관찰됩니다."),
        ("흉수는 소실됨.", "흉수는 소실되었습니다."),
        ("췌장은 정상 크기임.", "췌장은 정상 크기입니다."),
        ("우하엽 폐렴.", "우하엽 폐렴."),
        ("Pleural effusion (-).", "Pleural effusion (-)."),
    ],
)
def test_polite_endings(short: str, long: str) -> None:
    assert polite(short) == long


def test_all_tongues_know_all_findings() -> None:
    assert set(TONGUES) == set(Style)
    for tongue in TONGUES.values():
        assert tuple(tongue.findings) == FINDINGS
