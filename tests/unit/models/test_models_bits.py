"""Bits per byte: the same words are asked of every vocabulary, and what cannot be written is charged."""

import math
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from models import masked_lm
from models.bits import Bits, bits_per_byte, measure
from models.encoder import new_encoder
from models.masked_lm import MaskedLM
from models.vocabulary import train_wordpiece

TEXTS = ["폐렴 소견이 있습니다 pleural effusion 12 mm nodule 폐렴 의심됨 thickening 3.5cm"] * 3 + ["흉수 없음"] * 40


@pytest.fixture(scope="module")
def fine() -> PreTrainedTokenizerFast:
    return train_wordpiece(TEXTS, size=250)


@pytest.fixture(scope="module")
def coarse() -> PreTrainedTokenizerFast:
    return train_wordpiece(TEXTS * 3, size=400)


def fresh(folder: Path, tokenizer: PreTrainedTokenizerFast) -> MaskedLM:
    new_encoder(folder, tokenizer, layers=1, width=16, heads=2)
    return masked_lm.load(folder)[0]


def test_a_loss_of_one_bit_for_every_byte_is_one() -> None:
    assert bits_per_byte(math.log(2) * 10, 10) == pytest.approx(1)


def test_every_vocabulary_is_asked_for_the_same_words(
    tmp_path: Path, fine: PreTrainedTokenizerFast, coarse: PreTrainedTokenizerFast
) -> None:
    found = [
        measure(fresh(tmp_path / str(one), tokenizer), tokenizer, TEXTS) for one, tokenizer in enumerate((fine, coarse))
    ]
    asked: list[tuple[int, int]] = [(bits.words, bits.text_bytes) for bits in found]
    assert asked[0] == asked[1]
    assert 0 < asked[0][0] < sum(len(text.split()) for text in TEXTS) / 2


def test_the_loss_is_that_of_all_pieces_of_the_hidden_words(tmp_path: Path, fine: PreTrainedTokenizerFast) -> None:
    model = fresh(tmp_path / "flat", fine)
    torch.nn.init.zeros_(model.embeddings)  # every piece is as likely as any other
    found = measure(model, fine, [" ".join(["없음 흉수"] * 30)])
    pieces = len(fine.tokenize("흉수"))
    assert pieces == len(fine.tokenize("없음"))
    assert found.bits_per_byte == pytest.approx(pieces * math.log2(len(fine)) / 6, rel=1e-5)


def test_a_word_that_cannot_be_written_costs_all_of_its_bits(tmp_path: Path, fine: PreTrainedTokenizerFast) -> None:
    found = measure(fresh(tmp_path / "f", fine), fine, [" ".join(["肺炎"] * 60)])
    assert found == Bits(
        bits_per_byte=pytest.approx(8), words=found.words, unknown=found.words, text_bytes=6 * found.words
    )


def test_measuring_changes_nothing_and_gives_the_same_again(tmp_path: Path, fine: PreTrainedTokenizerFast) -> None:
    model = fresh(tmp_path / "f", fine).train()
    assert measure(model, fine, TEXTS) == measure(model, fine, TEXTS)
    assert model.training
    assert measure(model, fine, TEXTS, seed=1) != measure(model, fine, TEXTS)


def test_long_texts_are_read_to_their_end(tmp_path: Path, fine: PreTrainedTokenizerFast) -> None:
    found = measure(fresh(tmp_path / "f", fine), fine, [" ".join(["흉수"] * 1_000)])
    assert 100 < found.words < 220
    assert found.unknown == 0


def test_too_few_words_cannot_be_measured(tmp_path: Path, fine: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="too few words"):
        measure(fresh(tmp_path / "f", fine), fine, [""])
