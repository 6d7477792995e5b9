"""Which language a report is written in."""

import pytest

from pipeline.language import language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pleural effusion.", "en"),
        ("양측 폐에 결절이 보입니다. 흉수는 없음.", "ko"),
        ("Both lung에 GGO 있음. 폐기종 동반.", "mixed"),
        ("", "en"),
        ("3.5 × 2.1 (12.03.) 😀", "en"),
        ("흉부 CT에서 우상엽에 약 삼 센티미터 크기의 결절이 관찰됨.", "ko"),  # a few Latin letters are Korean style
        ("Ground-glass opacity in the right upper lobe, no change since the previous examination 음", "en"),
        ("ㅍㅖ", "ko"),  # letters on their own
        ("\u1112\u1172\u11bc\u1109\u116e", "ko"),  # decomposed, as a Mac writes
    ],
)
def test_letters_decide(text: str, expected: str) -> None:
    assert language(text) == expected


def test_case_and_digits_do_not_matter() -> None:
    assert language("흉수 EFFUSION 12345678901234567890") == language("흉수 effusion") == "mixed"
