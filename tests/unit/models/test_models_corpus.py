"""What stays of a text in a corpus, and what does not."""

import unicodedata

from models.corpus_text import Cleaner, Dropped, paragraphs

ARTICLE = (
    "The patient was admitted with fever and cough, and computed tomography of the chest showed a consolidation in "
    "the right lower lobe with a small effusion on the same side, which had not been there a "
    "week before. Treatment with intravenous antibiotics was begun on the day of "
    "admission and continued for two weeks; a second examination after that showed that most of the consolidation had "
    "cleared, while a thin band of atelectasis and some thickening of the pleura remained at the base of the lung."
)


def test_text_is_composed_and_has_no_invisible_signs() -> None:
    decomposed = unicodedata.normalize("NFD", "폐렴 소견")
    assert list(paragraphs([f"\ufeff{decomposed}\x07  있\u200b음\u00ad.\t"])) == ["폐렴 소견 있음."]


def test_a_measure_keeps_its_sign() -> None:
    assert list(paragraphs(["직경 12㎜, 3.5㎝²"])) == ["직경 12㎜, 3.5㎝²"]


def test_a_wrapped_line_is_joined_and_a_heading_is_not() -> None:
    lines = [
        "Findings",
        "There is a small nodule in the right upper",
        "lobe of the lung.",
        "no effusion",
        "",
        "한 줄",
        "두 줄",
    ]
    assert list(paragraphs(lines)) == [
        "Findings",
        "There is a small nodule in the right upper lobe of the lung.",
        "no effusion",
        "한 줄",
        "두 줄",
    ]


def test_a_document_keeps_its_good_lines() -> None:
    cleaner = Cleaner()
    assert cleaner.clean("흉수 없음.\n- 12 -\nbro\ufffdken\nHeart normal.") == "흉수 없음.\nHeart normal."
    assert cleaner.dropped == {Dropped.WORDLESS: 1, Dropped.REPLACED: 1}


def test_what_differs_by_a_word_is_one_text_and_what_differs_by_half_is_two() -> None:
    cleaner = Cleaner()
    assert cleaner.clean(ARTICLE)
    assert cleaner.clean(ARTICLE.upper()) is None
    assert cleaner.clean(ARTICLE.replace("fever", "chills")) is None
    assert cleaner.clean(" ".join(ARTICLE.split()[:18]) + " nothing that anybody would call a finding of any kind.")
    assert cleaner.dropped == {Dropped.DUPLICATE: 1, Dropped.NEAR_DUPLICATE: 1}


def test_short_texts_that_differ_in_a_size_or_a_side_are_different() -> None:
    cleaner = Cleaner()
    for text in ("A 12 mm nodule in the left lung", "A 13 mm nodule in the left lung", "우측 흉수", "좌측 흉수"):
        assert cleaner.clean(text) == text


def test_a_line_of_every_page_loses_its_weight_whatever_its_number() -> None:
    cleaner = Cleaner()
    kept = [
        cleaner.clean(f"Page {number} of the hospital's handbook\n{_word(number)} {_word(number + 7)}")
        for number in range(300)
    ]
    assert all(kept)
    assert sum("handbook" in str(text) for text in kept) == 100
    assert cleaner.dropped == {Dropped.BOILERPLATE: 200}


def _word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04}")


def test_the_same_documents_give_the_same_corpus() -> None:
    texts = [f"{_word(number % 40)} " * 5 + ARTICLE[number % 9 :] for number in range(200)]
    first, second = Cleaner(), Cleaner()
    assert [first.clean(text) for text in texts] == [second.clean(text) for text in texts]
