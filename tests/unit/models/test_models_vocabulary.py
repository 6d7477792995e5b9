"""The vocabulary keeps Hangul whole, and a tokenizer comes back from disk as it was."""

import json
import unicodedata
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from models.encoder import new_encoder
from models.errors import FoundationError, ModelError
from models.foundations import load_tokenizer, save_tokenizer
from models.vocabulary import VocabularyError, build, train_wordpiece

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


def test_a_vocabulary_file_with_capitals_is_cased_unless_it_is_said_not_to_be(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "폐렴", "소견", "Pleural"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert load_tokenizer(tmp_path).tokenize("폐렴 Pleural") == ["폐렴", "Pleural"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    with pytest.raises(FoundationError, match="do_lower_case"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert load_tokenizer(tmp_path).tokenize("폐렴 Pleural") == ["폐렴", "Pleural"]


def test_a_width_that_heads_do_not_divide_is_refused(trained: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="heads"):
        new_encoder(tmp_path / "foundation", trained, width=100, heads=3)
    assert not (tmp_path / "foundation").exists()


def test_measures_are_cut_into_numbers_and_units() -> None:
    plain = train_wordpiece(["흉수 없음. no effusion"] * 20, size=400)
    assert plain.tokenize("3.5cm") == ["3", ".", "5", "cm"]
    assert plain.tokenize("1.2 x 0.8 ㎝") == ["1", ".", "2", "x", "0", ".", "8", "cm"]


def words_of(alphabet: str, count: int) -> list[str]:
    return [first + second + third for first in alphabet for second in alphabet for third in alphabet][:count]


ENGLISH, KOREAN = words_of("abcdefgh", 400), words_of("가나다라마바사아", 400)


def test_a_vocabulary_is_balanced_however_little_korean_there_is() -> None:
    texts = [f"{word} " * 10 * (2 + rank) for rank, word in enumerate(ENGLISH)]
    texts += [f"{word} " * (2 + rank) for rank, word in enumerate(KOREAN)]
    built, unbalanced = build(texts, 700), train_wordpiece(texts, 700)
    assert built.korean == pytest.approx(1 / 11)
    assert built.words == 11 * sum(range(2, 402))

    def whole(tokenizer: PreTrainedTokenizerFast, words: list[str]) -> int:
        return sum(len(tokenizer.tokenize(word)) == 1 for word in words)

    assert len(built.tokenizer) == 700
    assert whole(unbalanced, KOREAN) < whole(unbalanced, ENGLISH) / 5
    assert whole(built.tokenizer, KOREAN) == pytest.approx(whole(built.tokenizer, ENGLISH), rel=0.2)


def test_a_corpus_in_one_language_is_told() -> None:
    both = [f"{word} " * 5 for word in ENGLISH + KOREAN]
    assert not build(both, 400).one_sided
    alone = build(both[:400], 400)
    assert alone.one_sided
    assert (alone.korean, alone.english) == (0, 1)


def test_a_vocabulary_larger_than_the_corpus_supports_is_refused_with_the_size_that_would_do() -> None:
    with pytest.raises(VocabularyError, match=r"only ([\d,]+) pieces .* not 5,000; .* --size \d+") as refused:
        build(TEXTS, 5_000)
    size = int(str(refused.value).rpartition(" ")[2])
    assert len(build(TEXTS, size).tokenizer) == size


def test_words_that_stand_once_make_no_pieces() -> None:
    with pytest.raises(VocabularyError, match="supports only"):
        build([" ".join(ENGLISH)], 900)


def test_a_size_without_room_for_the_letters_is_refused() -> None:
    with pytest.raises(VocabularyError, match="no room for the letters"):
        build(TEXTS, 50)


def test_a_corpus_without_words_is_refused() -> None:
    with pytest.raises(VocabularyError, match="no word"):
        build(["12 345", "肺炎"], 400)


def test_a_built_vocabulary_is_read_the_same_by_transformers(tmp_path: Path) -> None:
    built = build(TEXTS, 200).tokenizer
    save_tokenizer(built, tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(theirs, PreTrainedTokenizerFast)
    for text in [*TEXTS[:2], unicodedata.normalize("NFD", "폐렴이 의심됨"), "1.2 x 0.8 ㎝", "CT상 GGO", "肺炎 é"]:
        assert encoded(theirs, text) == encoded(built, text)
        assert theirs(text)["input_ids"] == built(text)["input_ids"]
    assert theirs.all_special_ids == built.all_special_ids
