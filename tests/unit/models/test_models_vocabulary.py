"""The vocabulary keeps Hangul whole, and a tokenizer comes back from disk as it was."""

import json
import unicodedata
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from models.encoder import new_encoder
from models.errors import FoundationError, ModelError
from models.foundations import load_tokenizer, save_tokenizer
from models.vocabulary import train_wordpiece

TEXTS = ["폐렴 소견이 있습니다. Pleural effusion, 12 mm nodule.", "폐렴 의심됨. PLEURAL thickening 3.5cm"] * 20


@pytest.fixture(scope="module")
def trained() -> PreTrainedTokenizerFast:
    return train_wordpiece(TEXTS, size=400)


def test_hangul_stays_in_syllables_and_case_does_not_matter(trained: PreTrainedTokenizerFast) -> None:
    assert trained.tokenize("폐렴") == ["폐렴"]
    assert trained.tokenize("Pleural PLEURAL pleural") == ["pleural"] * 3


def test_decomposed_hangul_is_composed_and_its_offsets_point_into_the_text(trained: PreTrainedTokenizerFast) -> None:
    text = unicodedata.normalize("NFD", "폐렴 소견")
    encoding = trained.backend_tokenizer.encode(text, add_special_tokens=False)
    assert encoding.tokens[0] == "폐렴"
    assert encoding.offsets[0][0] == 0
    assert encoding.offsets[-1][0] > text.index(" ")


def test_every_digit_and_unit_is_a_piece_of_its_own(trained: PreTrainedTokenizerFast) -> None:
    assert trained.tokenize("12mm 12㎜") == ["1", "2", "mm", "1", "2", "mm"]


def test_the_same_texts_give_the_same_vocabulary() -> None:
    assert train_wordpiece(TEXTS, size=400).get_vocab() == train_wordpiece(iter(TEXTS), size=400).get_vocab()


def test_the_vocabulary_has_at_most_the_size_asked_for(trained: PreTrainedTokenizerFast) -> None:
    assert len(trained) <= 400


def test_a_large_vocabulary_spells_out_korean_words_it_never_saw() -> None:
    large = train_wordpiece(TEXTS, size=8_000)
    assert large.tokenize("훼손") == ["훼", "##손"]
    assert 4_700 < len(large) <= 8_000


def encoded(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[list[str], list[tuple[int, int]]]:
    encoding = tokenizer.backend_tokenizer.encode(text)
    return encoding.tokens, encoding.offsets


@pytest.mark.parametrize(
    "text", ["폐렴 소견, Pleural 12㎜", unicodedata.normalize("NFD", "폐렴이 의심됨"), "é ẹ 𝒜 😀 한자 肺炎"]
)
def test_pieces_and_offsets_survive_a_foundation_folder(
    trained: PreTrainedTokenizerFast, tmp_path: Path, text: str
) -> None:
    new_encoder(tmp_path / "foundation", trained, layers=1, width=64)
    assert encoded(load_tokenizer(tmp_path / "foundation"), text) == encoded(trained, text)
    # Anybody else's transformers reads it the same way.
    theirs = AutoTokenizer.from_pretrained(tmp_path / "foundation")
    assert isinstance(theirs, PreTrainedTokenizerFast)
    assert encoded(theirs, text) == encoded(trained, text)


def test_a_bert_tokenizer_json_is_taken_as_it_stands(tmp_path: Path) -> None:
    """The trap: asked for a BertTokenizer, transformers 5 puts small letters and takes Hangul apart."""
    trained = train_wordpiece(TEXTS, size=400)
    save_tokenizer(trained, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "BertTokenizer"}))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert load_tokenizer(tmp_path).tokenize("폐렴 소견") == trained.tokenize("폐렴 소견")


def test_a_vocabulary_file_read_with_the_wrong_case_is_refused(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "폐렴", "소견", "Pleural"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(FoundationError, match="do_lower_case"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert load_tokenizer(tmp_path).tokenize("폐렴 Pleural") == ["폐렴", "Pleural"]


def test_a_width_that_heads_do_not_divide_is_refused(trained: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="heads"):
        new_encoder(tmp_path / "foundation", trained, width=100, heads=3)
    assert not (tmp_path / "foundation").exists()
