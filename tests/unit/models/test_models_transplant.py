"""Where the rows of a new vocabulary come from: same pieces, old pieces, or nowhere."""

from pathlib import Path

import pytest
import torch
from tokenizers import BertWordPieceTokenizer, Tokenizer
from tokenizers import models as tokenizer_models
from transformers import BertConfig, BertForMaskedLM, BertModel, PreTrainedTokenizerFast

from models import masked_lm
from models.bits import measure
from models.errors import FoundationError
from models.foundations import save_tokenizer
from models.masked_lm import MaskedLM
from models.transplant import NewRows, Transplanted, transplant

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CASED = [
    *SPECIAL,
    "[unused1]",
    "CT",
    "Pleural",
    "effusion",
    "nod",
    "##ules",
    "##ule",
    "ect",
    "##ect",
    "##omy",
    "폐",
    "##렴",
]


def tokenizer_of(pieces: list[str], *, cased: bool = True) -> PreTrainedTokenizerFast:
    backend = BertWordPieceTokenizer({piece: row for row, piece in enumerate(pieces)}, lowercase=not cased)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend._tokenizer,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
        model_max_length=64,
    )


def foundation(folder: Path, tokenizer: PreTrainedTokenizerFast, *, head: bool = True) -> MaskedLM:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    model = BertForMaskedLM(config) if head else BertModel(config)
    if isinstance(model, BertForMaskedLM):
        torch.nn.init.normal_(model.cls.predictions.bias)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return masked_lm.load(folder)[0]


@pytest.fixture
def old() -> PreTrainedTokenizerFast:
    return tokenizer_of(CASED)


@pytest.fixture
def model(tmp_path: Path, old: PreTrainedTokenizerFast) -> MaskedLM:
    return foundation(tmp_path / "old", old)


def rows(model: MaskedLM, tokenizer: PreTrainedTokenizerFast, *pieces: str) -> torch.Tensor:
    """Their embeddings and biases, side by side."""
    places = [tokenizer.get_vocab()[piece] for piece in pieces]
    return torch.cat([model.embeddings[places], model.bias[places, None]], dim=1).detach()


def test_the_same_pieces_keep_their_rows_wherever_they_stand(model: MaskedLM, old: PreTrainedTokenizerFast) -> None:
    new = tokenizer_of(list(reversed(CASED)))
    moved, statistics = transplant(model, old, new)
    assert statistics == Transplanted(kept=len(CASED), composed=0, drawn=0)
    torch.testing.assert_close(rows(moved, new, *CASED), rows(model, old, *CASED))


def test_special_tokens_go_by_what_they_are_for(model: MaskedLM, old: PreTrainedTokenizerFast) -> None:
    names = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
    pieces = {sign: row for row, sign in enumerate(names.values())}
    new = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(tokenizer_models.WordPiece(pieces, unk_token="<unk>")),
        **{f"{name}_token": sign for name, sign in names.items()},
    )
    moved, _ = transplant(model, old, new)
    torch.testing.assert_close(rows(moved, new, "<s>", "<mask>"), rows(model, old, "[CLS]", "[MASK]"))


def test_small_letters_find_the_capitals_of_a_cased_foundation(model: MaskedLM, old: PreTrainedTokenizerFast) -> None:
    new = tokenizer_of([*SPECIAL, "ct", "pleural", "effusion"], cased=False)
    moved, statistics = transplant(model, old, new)
    assert statistics.kept == 8
    torch.testing.assert_close(
        rows(moved, new, "ct", "pleural", "effusion"), rows(model, old, "CT", "Pleural", "effusion")
    )


def test_the_exact_piece_comes_before_another_case(tmp_path: Path) -> None:
    old = tokenizer_of([*SPECIAL, "CT", "ct"])
    model = foundation(tmp_path / "both", old)
    new = tokenizer_of([*SPECIAL, "ct"], cased=False)
    moved, _ = transplant(model, old, new)
    torch.testing.assert_close(rows(moved, new, "ct"), rows(model, old, "ct"))


def test_other_pieces_are_the_mean_of_old_ones_with_their_typical_norm(
    model: MaskedLM, old: PreTrainedTokenizerFast
) -> None:
    new = tokenizer_of([*SPECIAL, "nodules", "폐렴", "ectomy"])
    moved, statistics = transplant(model, old, new)
    assert statistics == Transplanted(kept=5, composed=3, drawn=0)
    typical = model.embeddings[6:].norm(dim=1).median()  # without special tokens and [unused1]
    for piece, parts in (("nodules", ("nod", "##ules")), ("폐렴", ("폐", "##렴")), ("ectomy", ("ect", "##omy"))):
        mean = rows(model, old, *parts).mean(0)
        found = rows(moved, new, piece)[0]
        torch.testing.assert_close(found[:-1], mean[:-1] / mean[:-1].norm() * typical)
        torch.testing.assert_close(found[-1], mean[-1])


def test_a_piece_within_a_word_is_made_of_pieces_within_words(model: MaskedLM, old: PreTrainedTokenizerFast) -> None:
    new = tokenizer_of([*SPECIAL, "##ectomy", "##폐"])
    moved, statistics = transplant(model, old, new)
    inside, start = rows(model, old, "##ect", "##omy").mean(0), rows(model, old, "ect", "##omy").mean(0)
    found = rows(moved, new, "##ectomy")[0]
    assert torch.cosine_similarity(found[:-1], inside[:-1], dim=0) == pytest.approx(1)
    assert torch.cosine_similarity(found[:-1], start[:-1], dim=0) < 0.99
    # "폐" only begins words in the old vocabulary, which is better than nothing.
    torch.testing.assert_close(rows(moved, new, "##폐"), rows(model, old, "폐"))
    assert statistics == Transplanted(kept=5, composed=2, drawn=0)


def test_a_long_start_of_words_is_not_taken_within_one(tmp_path: Path) -> None:
    old = tokenizer_of([*SPECIAL, "nod", "##n", "##od"])
    model = foundation(tmp_path / "starts", old)
    new = tokenizer_of([*SPECIAL, "##nod"])
    moved, _ = transplant(model, old, new)
    assert torch.cosine_similarity(
        rows(moved, new, "##nod")[0, :-1], rows(model, old, "##n", "##od")[:, :-1].mean(0), dim=0
    ) == pytest.approx(1)


def test_what_the_old_vocabulary_cannot_write_is_drawn_and_the_seed_decides(
    model: MaskedLM, old: PreTrainedTokenizerFast
) -> None:
    new = tokenizer_of([*SPECIAL, "肺"])
    first, statistics = transplant(model, old, new, seed=4)
    assert statistics == Transplanted(kept=5, composed=0, drawn=1)
    torch.testing.assert_close(transplant(model, old, new, seed=4)[0].embeddings, first.embeddings)
    assert not torch.equal(transplant(model, old, new, seed=5)[0].embeddings, first.embeddings)


def test_the_variants_to_compare_with_keep_less(model: MaskedLM, old: PreTrainedTokenizerFast) -> None:
    new = tokenizer_of([*SPECIAL, "CT", "nodules"])
    assert transplant(model, old, new)[1] == Transplanted(kept=6, composed=1, drawn=0)
    assert transplant(model, old, new, rows=NewRows.KEPT)[1] == Transplanted(kept=6, composed=0, drawn=1)
    assert transplant(model, old, new, rows=NewRows.RANDOM)[1] == Transplanted(kept=5, composed=0, drawn=2)


def test_the_old_model_stays_and_the_new_one_is_tied_and_can_be_saved(
    tmp_path: Path, model: MaskedLM, old: PreTrainedTokenizerFast
) -> None:
    before = model.embeddings.clone()
    new = tokenizer_of([*SPECIAL, "nodules", "CT"])
    moved, _ = transplant(model, old, new)
    assert torch.equal(model.embeddings, before)
    assert moved.encoder.embeddings.word_embeddings.weight is moved.embeddings
    assert moved.embeddings.requires_grad
    assert moved.bias.requires_grad
    masked_lm.save(moved, new, tmp_path / "moved")
    again, tokenizer = masked_lm.load(tmp_path / "moved")
    torch.testing.assert_close(rows(again, tokenizer, "nodules"), rows(moved, new, "nodules"))
    assert again.config.vocab_size == len(new) == 7


def test_a_foundation_without_head_keeps_a_bias_of_nothing(tmp_path: Path, old: PreTrainedTokenizerFast) -> None:
    model = foundation(tmp_path / "bare", old, head=False)
    moved, _ = transplant(model, old, tokenizer_of([*SPECIAL, "nodules", "肺"]))
    assert moved.bias.shape == (7,)
    assert not moved.bias.any()


def test_the_same_vocabulary_in_another_order_predicts_the_same(model: MaskedLM, old: PreTrainedTokenizerFast) -> None:
    new = tokenizer_of([*SPECIAL, *reversed(CASED[5:])])
    texts = [f"CT Pleural effusion nodules 폐렴 nodule {'CT ' * number}" for number in range(9)]
    moved, _ = transplant(model, old, new)
    assert measure(moved, new, texts).bits_per_byte == pytest.approx(measure(model, old, texts).bits_per_byte, rel=1e-5)


def test_another_kind_of_tokenizer_is_refused(model: MaskedLM, old: PreTrainedTokenizerFast) -> None:
    backend = Tokenizer(tokenizer_models.BPE())
    with pytest.raises(FoundationError, match="BPE"):
        transplant(model, old, PreTrainedTokenizerFast(tokenizer_object=backend))
