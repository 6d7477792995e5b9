"""Packing: every token once, in its document, and hardly a place left empty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from models import packing
from models.errors import ModelError
from models.packing import PADDING, Documents, Rows

LENGTH = 24


def documents_of(sizes: list[int]) -> Documents:
    """Document n holds n * 1000, n * 1000 + 1, …"""
    ids = [np.arange(size, dtype=np.int32) + 1000 * number for number, size in enumerate(sizes, 1)]
    return Documents(np.concatenate(ids), np.cumsum(sizes))


def unpacked(rows: Rows) -> list[list[int]]:
    return [
        ids[segments == segment].tolist()
        for ids, segments in zip(rows.ids, rows.segments, strict=True)
        for segment in range(int(segments.max()) + 1)
    ]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, LENGTH), min_size=1, max_size=60), st.integers(0, 5), st.integers(1, 4))
def test_an_epoch_holds_every_document_once_and_whole(sizes: list[int], seed: int, rows: int) -> None:
    documents = documents_of(sizes)
    made = list(packing.batches(documents, length=LENGTH, rows=rows, pad_id=7, rng=np.random.default_rng(seed)))
    assert all(len(batch.ids) == rows for batch in made[:-1])
    found = [document for batch in made for document in unpacked(batch)]
    assert sorted(found) == [(np.arange(size) + 1000 * number).tolist() for number, size in enumerate(sizes, 1)]
    for batch in made:
        empty = batch.segments == PADDING
        assert (batch.ids[empty] == 7).all()
        assert (batch.positions[~empty] == batch.ids[~empty] % 1000).all()
        assert batch.tokens == (~empty).sum()


def test_rows_are_nearly_full() -> None:
    sizes = np.random.default_rng(0).integers(3, 100, 3000).tolist()
    assert sum(sizes) / (len(packing.pack(sizes, 128)) * 128) > 0.99
    assert packing.pack([20, 4, 12, 12], LENGTH) == [[0, 1], [2, 3]]


def test_the_order_is_the_generators() -> None:
    documents = documents_of([5] * 50)

    def first(seed: int) -> list[int]:
        rng = np.random.default_rng(seed)
        batch: list[int] = (
            next(packing.batches(documents, length=LENGTH, rows=2, pad_id=0, rng=rng)).ids.ravel().tolist()
        )
        return batch

    assert first(1) == first(1) != first(2)


def test_a_document_longer_than_a_row_is_refused_not_cut() -> None:
    with pytest.raises(ModelError, match="of 25 tokens does not fit a row of 24"):
        packing.pack([3, 25], LENGTH)


def test_long_texts_become_several_documents_cut_between_words(tokenizer: PreTrainedTokenizerFast) -> None:
    text = " ".join(["Bilateral pleural effusion zzxzyxyz"] * 20)
    documents = packing.tokenize(["", text, "흉수"], tokenizer, length=LENGTH)
    parts = np.split(documents.ids, documents.ends[:-1])
    assert max(map(len, parts)) <= LENGTH
    assert all(part[0] == tokenizer.cls_token_id and part[-1] == tokenizer.sep_token_id for part in parts)
    joined = np.concatenate([part[1:-1] for part in parts[:-1]]).tolist()
    assert joined == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert not any(packing.continuing(tokenizer)[part[1]] for part in parts)
    assert parts[-1].tolist() == tokenizer("흉수")["input_ids"]


def test_one_word_longer_than_a_row_is_cut_within(tokenizer: PreTrainedTokenizerFast) -> None:
    documents = packing.tokenize(["xzxzxzxzxzxzxzxz"], tokenizer, length=6)
    assert documents.sizes.max() == 6
    assert len(documents.ends) > 1


def test_special_tokens_typed_into_a_text_are_text(tokenizer: PreTrainedTokenizerFast) -> None:
    documents = packing.tokenize(["a [SEP] b"], tokenizer, length=LENGTH)
    assert (documents.ids == tokenizer.sep_token_id).sum() == 1
