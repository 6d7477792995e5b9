"""Every token of a report is in some window, and no window is longer than allowed."""

import itertools

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from models.windows import OVERLAP, Reader


def test_a_short_sentence_is_one_window(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "The heart is normal. 림프절 종대 없음."
    document = Reader(tokenizer, 128).read(text)
    assert [window.sentence for window in document.windows] == [0, 1]
    first = document.windows[0]
    assert first.ids == tokenizer("The heart is normal.")["input_ids"]
    assert [text[start:end] for start, end in first.spans] == ["", "The", "heart", "is", "normal", ".", ""]


def test_a_long_sentence_is_read_whole_in_overlapping_windows(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "No lymph node is enlarged. " + "Heart " * 1000
    windows = [window for window in Reader(tokenizer, 128).read(text).windows if window.sentence == 1]
    assert all(len(window.ids) <= 128 for window in windows)
    starts = [set(window.spans[1:-1, 0].tolist()) for window in windows]
    assert set.union(*starts) == {len("No lymph node is enlarged. ") + 6 * word for word in range(1000)}
    assert all(len(one & other) >= OVERLAP for one, other in itertools.pairwise(starts))


def test_an_empty_text_is_one_empty_window(tokenizer: PreTrainedTokenizerFast) -> None:
    [window] = Reader(tokenizer, 128).read("").windows
    assert window.ids == [tokenizer.cls_token_id, tokenizer.sep_token_id]


def test_special_tokens_typed_into_a_report_are_text(tokenizer: PreTrainedTokenizerFast) -> None:
    [window] = Reader(tokenizer, 128).read("[SEP] [MASK]").windows
    assert tokenizer.mask_token_id not in window.ids
    assert window.ids.count(tokenizer.sep_token_id) == 1


def test_the_callers_tokenizer_is_left_as_it_was(tokenizer: PreTrainedTokenizerFast) -> None:
    before = tokenizer.backend_tokenizer.to_str()
    Reader(tokenizer, 16).read("The heart is normal. " * 10)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_a_sentence_that_comes_again_reads_the_same_where_it_stands_then(tokenizer: PreTrainedTokenizerFast) -> None:
    again, fresh = Reader(tokenizer, 16), Reader(tokenizer, 16)
    again.read("The heart is normal. " + "Heart " * 40)
    text = "림프절 종대 없음. The heart is normal. The heart is normal. " + "Heart " * 40
    for ours, theirs in zip(again.read(text).windows, fresh.read(text).windows, strict=True):
        assert (ours.key, ours.sentence, ours.spans.tolist()) == (theirs.key, theirs.sentence, theirs.spans.tolist())


def test_a_sentence_is_tokenized_once(tokenizer: PreTrainedTokenizerFast) -> None:
    reader = Reader(tokenizer, 16)
    tokenized: list[str] = []
    encode_batch = reader._tokenizer.encode_batch

    class Counting:
        def encode_batch(self, texts: list[str]) -> list[Encoding]:
            tokenized.extend(texts)
            return encode_batch(texts)

    reader._tokenizer = Counting()  # type: ignore[assignment]
    for _ in range(2):
        reader.read("The heart is normal. The heart is normal. 림프절 종대 없음.")
    assert sorted(tokenized) == ["The heart is normal. ", "림프절 종대 없음."]
