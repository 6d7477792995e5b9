"""Sentences tile the text, and end where a radiologist would say they do."""

# ruff: noqa: E501 - one case, one line

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sentences import Span, split


def sentences(text: str) -> list[str]:
    return [text[start:end].strip() for start, end in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("One is seen. Two is not.", ["One is seen.", "Two is not."], id="english"),
        pytest.param(
            "흉수가 관찰됩니다. 결절은 없음. 심장 크기는 정상임.",
            ["흉수가 관찰됩니다.", "결절은 없음.", "심장 크기는 정상임."],
            id="korean",
        ),
        pytest.param("결절이 있습니다 흉수는 없음 심장은 정상", ["결절이 있습니다", "흉수는 없음", "심장은 정상"], id="no-stops"),
        pytest.param("결절 없음 및 흉수 없음. 종대 없음 상태.", ["결절 없음 및 흉수 없음.", "종대 없음 상태."], id="goes-on"),
        pytest.param("RUL에 nodule 있음. No effusion. LLL은 정상임.", ["RUL에 nodule 있음.", "No effusion.", "LLL은 정상임."], id="mixed"),
        pytest.param("A 3.5 cm mass. T.B. 13x9.3 mm node.", ["A 3.5 cm mass.", "T.B.", "13x9.3 mm node."], id="decimals"),
        pytest.param("Seen by Dr. Kim in No. 2 room, approx. 3 mm. Done.", ["Seen by Dr. Kim in No. 2 room, approx. 3 mm.", "Done."], id="abbreviations"),
        pytest.param("Larger vs. prior, e.g. the cyst. Stable.", ["Larger vs. prior, e.g. the cyst.", "Stable."], id="vs-eg"),
        pytest.param("Effusion: no. Nodule: yes.", ["Effusion: no.", "Nodule: yes."], id="no-is-a-word-too"),
        pytest.param("1. Effusion.\n2. No nodule.\n3) 폐렴 의심.", ["1. Effusion.", "2. No nodule.", "3) 폐렴 의심."], id="numbered-lines"),
        pytest.param("1. Effusion. 2. No nodule.", ["1. Effusion.", "2. No nodule."], id="numbered-in-a-line"),
        pytest.param("1) 흉수 2) 결절 (segments 1 and 2) 3) 폐렴", ["1) 흉수", "2) 결절 (segments 1 and 2)", "3) 폐렴"], id="brackets"),
        pytest.param("Seen in segment 6. No mass.", ["Seen in segment 6.", "No mass."], id="a-number-ends-it"),
        pytest.param("정상임. • Nodule • 흉수 · Cyst", ["정상임.", "• Nodule", "• 흉수", "· Cyst"], id="bullets"),
        pytest.param("소견\n- nodule\n- 폐·흉막 정상", ["소견", "- nodule", "- 폐·흉막 정상"], id="dashes"),
        pytest.param('Normal. " Hernia " Cyst of the liver', ["Normal.", '" Hernia', '" Cyst of the liver'], id="quotes-as-bullets"),
        pytest.param('A "crazy paving" pattern. He said "no." Then left.', ['A "crazy paving" pattern.', 'He said "no."', "Then left."], id="quotes"),
        pytest.param("A nodule (metastasis?) in the lobe. A cyst?", ["A nodule (metastasis?) in the lobe.", "A cyst?"], id="asking"),
        pytest.param("Nodule detected.Pleura normal. 없음.흉수 없음.", ["Nodule detected.", "Pleura normal.", "없음.", "흉수 없음."], id="no-space"),
        pytest.param(
            "There is a nodule in the right upper lobe with\nspiculated borders.\nNo effusion",
            ["There is a nodule in the right upper lobe with spiculated borders.".replace(" spic", "\nspic"), "No effusion"],
            id="wrapped-line",
        ),
        pytest.param("FINDINGS:\r\nlungs clear\r\n\r\nIMPRESSION: normal", ["FINDINGS:", "lungs clear", "IMPRESSION: normal"], id="crlf"),
    ],
)  # fmt: skip
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_an_empty_text_has_no_sentence_and_white_space_is_one() -> None:
    assert split("") == []
    assert split(" \n\t ") == [Span(0, 4)]


def test_white_space_belongs_to_the_sentence_before_it_and_leading_space_to_the_first() -> None:
    assert split("\n A is.  \n B is.") == [Span(0, 11), Span(11, 16)]


def assert_tiles(text: str) -> None:
    spans = split(text)
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)
    assert all(before.end == after.start for before, after in itertools.pairwise(spans))


@given(st.text(alphabet=st.sampled_from("aBc가음다니습 .!?\n\r\"'()[]12•·-;:,…\u2028\x00é"), max_size=200))
def test_any_text_is_tiled(text: str) -> None:
    assert_tiles(text)


@given(st.text(max_size=100))
def test_any_unicode_is_tiled(text: str) -> None:
    assert_tiles(text)


@pytest.mark.parametrize(
    "unit", ["a", ".", ". ", " ", "\n", "(", "1) ", '" ', "니다 ", "없음 ", "Dr. ", "a.b", "?)", "\n a", "가."]
)
def test_a_long_text_of_anything_is_split_in_linear_time(unit: str) -> None:
    text = unit * (250_000 // len(unit))
    started = time.perf_counter()
    split(text)
    assert time.perf_counter() - started < 15  # seconds, on a busy machine too; quadratic time would be an hour


def test_a_megabyte_is_tiled() -> None:
    assert_tiles("There is a 3.5 cm mass (metastasis?) in No. 2. 결절이 있습니다 흉수 없음.\n1) Stable\n" * 14_000)


def test_the_real_reports_are_tiled_into_short_sentences(real_reports: list[str]) -> None:
    lengths = []
    for text in real_reports:
        assert_tiles(text)
        lengths += [len(sentence.split()) for sentence in sentences(text)]
    assert 8 < sum(lengths) / len(lengths) < 16  # words
    # What stands alone is never a bare sign, a number or an abbreviation.
    assert sum(length == 0 for length in lengths) == 0
    assert max(lengths) < 200
