"""Masking: how many, which, and behind what."""

from itertools import pairwise

import numpy as np
import pytest
from bilingual_reports import made_up_reports
from transformers import PreTrainedTokenizerFast

from models import packing
from models.masking import IGNORED, Masked, Pieces, mask
from models.packing import PADDING, Rows
from models.vocabulary import train_wordpiece

LENGTH = 64


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """So few pieces that many words are several."""
    return train_wordpiece(made_up_reports(200, seed=1)[0], size=220)


@pytest.fixture(scope="module")
def rows(tokenizer: PreTrainedTokenizerFast) -> Rows:
    documents = packing.tokenize(made_up_reports(300, seed=5)[0], tokenizer, length=LENGTH)
    rng = np.random.default_rng(0)
    return next(packing.batches(documents, length=LENGTH, rows=10_000, pad_id=int(tokenizer.pad_token_id), rng=rng))


@pytest.fixture(scope="module")
def pieces(tokenizer: PreTrainedTokenizerFast) -> Pieces:
    return Pieces.of(tokenizer)


def hidden(rows: Rows, masked: Masked) -> np.ndarray:
    """(rows, length): what is to be guessed."""
    found = np.zeros(rows.ids.size, dtype=bool)
    found[masked.chosen[masked.targets != IGNORED]] = True
    return found.reshape(rows.ids.shape)


@pytest.mark.parametrize("whole_words", [False, True])
def test_a_masked_token_is_guessed_and_nothing_else_changes(rows: Rows, pieces: Pieces, whole_words: bool) -> None:
    masked = mask(rows, pieces, rng=np.random.default_rng(1), whole_words=whole_words)
    where = hidden(rows, masked)
    assert (masked.ids[~where] == rows.ids[~where]).all()
    real = masked.targets != IGNORED
    assert (masked.targets[real] == rows.ids.ravel()[masked.chosen[real]]).all()
    assert len(set(masked.chosen[real])) == masked.guesses == where.sum()
    assert not pieces.special[rows.ids[where]].any()
    assert not (rows.segments[where] == PADDING).any()


def test_fifteen_percent_of_every_row(rows: Rows, pieces: Pieces) -> None:
    masked = mask(rows, pieces, rng=np.random.default_rng(1))
    tokens = (rows.segments != PADDING).sum(1)
    assert (hidden(rows, masked).sum(1) == np.rint(0.15 * tokens)).all()


def test_more_of_what_is_replayed(rows: Rows, pieces: Pieces) -> None:
    replayed = rows._replace(replayed=5)
    masked = mask(replayed, pieces, rng=np.random.default_rng(1), replay_rate=0.3)
    tokens = (rows.segments != PADDING).sum(1)
    shares = np.where(np.arange(len(tokens)) < len(tokens) - 5, 0.15, 0.3)
    assert (hidden(rows, masked).sum(1) == np.rint(shares * tokens)).all()
    for row, (start, end) in enumerate(pairwise(masked.starts)):
        assert set(masked.chosen[start:end] // LENGTH) == {row}
    real = masked.targets != IGNORED
    assert (masked.targets[real] == rows.ids.ravel()[masked.chosen[real]]).all()
    assert masked.starts[-1] == len(masked.chosen)
    everything = rows._replace(replayed=len(rows.ids))
    assert (hidden(rows, mask(everything, pieces, rng=np.random.default_rng(1), replay_rate=0.3)).sum(1) > 0).all()


def test_eighty_hidden_ten_replaced_ten_kept(rows: Rows, pieces: Pieces) -> None:
    counts = np.zeros(3)
    for seed in range(5):
        masked = mask(rows, pieces, rng=np.random.default_rng(seed))
        where = hidden(rows, masked)
        shown, truth = masked.ids[where], rows.ids[where]
        replaced = (shown != pieces.mask_id) & (shown != truth)
        counts += [(shown == pieces.mask_id).sum(), replaced.sum(), (shown == truth).sum()]
        assert not pieces.special[shown[replaced]].any()
    assert counts / counts.sum() == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_every_place_is_hidden_equally_often(rows: Rows, pieces: Pieces) -> None:
    times = sum(hidden(rows, mask(rows, pieces, rng=np.random.default_rng(seed))).astype(int) for seed in range(300))
    full = (rows.segments != PADDING).all(1)
    ordinary = ~pieces.special[rows.ids[full]]
    by_place = (times[full] * ordinary).sum(0) / ordinary.sum(0).clip(1)
    busy = ordinary.sum(0) > 30
    assert by_place[busy] == pytest.approx(np.full(busy.sum(), by_place[busy].mean()), rel=0.15)


def test_whole_words_are_hidden_whole(rows: Rows, pieces: Pieces, tokenizer: PreTrainedTokenizerFast) -> None:
    where = hidden(rows, mask(rows, pieces, rng=np.random.default_rng(1), whole_words=True))
    goes_on = pieces.continues[rows.ids[:, 1:]]
    assert goes_on.any()
    assert (where[:, 1:] == where[:, :-1])[goes_on].all()
    tokens = (rows.segments != PADDING).sum(1)
    assert (where.sum(1) <= np.rint(0.15 * tokens)).all()
    assert where.sum() > 0.12 * tokens.sum()
    alone = hidden(rows, mask(rows, pieces, rng=np.random.default_rng(1)))
    assert not (alone[:, 1:] == alone[:, :-1])[goes_on].all()


def test_words_are_the_tokenizers_words(tokenizer: PreTrainedTokenizerFast) -> None:
    for text in made_up_reports(20, seed=6)[0]:
        encoded = tokenizer(text, add_special_tokens=False)
        numbers = np.array(encoded.word_ids())
        assert (packing.continuing(tokenizer)[encoded["input_ids"]][1:] == (np.diff(numbers) == 0)).all()


def test_the_generator_decides(rows: Rows, pieces: Pieces) -> None:
    first, again, other = (mask(rows, pieces, rng=np.random.default_rng(seed)).ids for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_a_row_of_special_tokens_alone_has_nothing_to_guess(pieces: Pieces, tokenizer: PreTrainedTokenizerFast) -> None:
    ids = np.array([[tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]])
    masked = mask(Rows(ids, np.array([[0, 1, 0]]), np.array([[0, 0, PADDING]])), pieces, rng=np.random.default_rng(0))
    assert masked.guesses == 0
    assert (masked.ids == ids).all()
