"""Words are the text's own characters, and pieces add up to them."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.sentences import Span
from models.words import find_words, merge_pieces


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in find_words(text, Span(0, len(text)))]


def test_measures_and_joined_words_stay_whole_and_signs_stand_alone() -> None:
    assert words("A 13x9.3 mm, ground-glass nodule.") == ["A", "13x9.3", "mm", ",", "ground-glass", "nodule", "."]
    assert words("폐·흉막에 3.5cm 결절이 있음.") == ["폐", "·", "흉막에", "3.5cm", "결절이", "있음", "."]


def test_only_words_inside_the_span_are_found() -> None:
    assert find_words("one two three", Span(4, 8)) == [Span(4, 7)]


@given(st.text(max_size=60))
def test_words_cover_everything_but_white_space_in_order(text: str) -> None:
    found = find_words(text, Span(0, len(text)))
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))
    assert "".join(words(text)) == "".join(text.split())


def test_pieces_are_summed_and_a_piece_over_two_words_is_shared() -> None:
    found = [Span(10, 13), Span(14, 17)]
    pieces = np.array([[0, 0], [10, 11], [11, 13], [14, 17], [11, 16]])
    weights = np.array([0.0, 1.0, 2.0, 4.0, 8.0], dtype=np.float32)
    assert merge_pieces(found, pieces, weights).tolist() == [3.0 + 4.0, 4.0 + 4.0]


def test_without_words_there_is_nothing_to_merge() -> None:
    assert merge_pieces([], np.zeros((1, 2), dtype=np.int64), np.zeros(1, dtype=np.float32)).tolist() == []
