"""Fertility counts the same words for every vocabulary."""

import pytest
from transformers import PreTrainedTokenizerFast

from models.fertility import Fertility, measure
from models.vocabulary import train_wordpiece


@pytest.fixture(scope="module")
def trained() -> PreTrainedTokenizerFast:
    return train_wordpiece(["폐렴 소견이 있습니다. nodule 12 mm"] * 10, size=300)


def test_words_pieces_unknown_words_and_bytes_are_counted(trained: PreTrainedTokenizerFast) -> None:
    found = measure(trained, ["폐렴  nodule 12mm", "肺炎 폐렴"])
    # 폐렴, nodule, 1 2 mm, 肺 炎 (unknown), 폐렴
    assert found == Fertility(words=5, pieces=8, unknown=1, text_bytes=6 + 6 + 4 + 6 + 6)
    assert found.pieces_per_word == pytest.approx(1.6)
    assert found.unknown_rate == pytest.approx(0.2)
    assert found.bytes_per_piece == pytest.approx(3.5)


def test_padding_and_special_tokens_in_the_text_do_not_count(trained: PreTrainedTokenizerFast) -> None:
    trained.backend_tokenizer.enable_padding(length=64)
    try:
        assert measure(trained, ["폐렴 [SEP]"]).pieces == 1 + len(["[", "s", "##e", "##p", "]"])
    finally:
        trained.backend_tokenizer.no_padding()


def test_no_text_has_no_fertility(trained: PreTrainedTokenizerFast) -> None:
    found = measure(trained, [])
    assert (found.pieces_per_word, found.unknown_rate, found.bytes_per_piece) == (0, 0, 0)
