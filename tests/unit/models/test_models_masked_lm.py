"""The masked language model: packed rows, its folder, and foundations that cannot serve."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers import models as tokenizer_models
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerFast,
)

from models import masked_lm
from models.classifier import Classifier
from models.errors import ArtifactError, FoundationError
from models.finetuning import fine_tune
from models.foundations import load_encoder, save_tokenizer

FIRST, SECOND = "양측 pleural effusion 있음.", "The heart is normal."


def published(folder: Path, tokenizer: PreTrainedTokenizerFast, *, kind: type = BertForPreTraining) -> Path:
    """A foundation with a masked-LM head, as others publish it."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    model = kind(config)
    torch.nn.init.normal_(model.cls.predictions.bias)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


@pytest.mark.parametrize("kind", [BertForPreTraining, BertForMaskedLM])
def test_packed_sequences_do_not_see_each_other(tmp_path: Path, tokenizer: PreTrainedTokenizerFast, kind: type) -> None:
    model, _ = masked_lm.load(published(tmp_path / "bert", tokenizer, kind=kind))
    theirs = BertForMaskedLM.from_pretrained(tmp_path / "bert").eval()
    assert model.had_head
    first, second = ids_of(tokenizer, FIRST), ids_of(tokenizer, SECOND)
    ids = torch.tensor([first + second + [0, 0]])
    positions = torch.tensor([[*range(len(first)), *range(len(second)), 0, 1]])
    segments = torch.tensor([[0] * len(first) + [1] * len(second) + [-1] * 2])
    with torch.inference_mode():
        found = model.eval()(ids, positions, segments, torch.tensor([2, len(first) + 1]))
        expected = [theirs(torch.tensor([one])).logits[0, at] for one, at in ((first, 2), (second, 1))]
    torch.testing.assert_close(found, torch.stack(expected))


def test_chosen_counts_through_the_rows(foundation: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model, _ = masked_lm.load(foundation)
    ids = torch.tensor([ids_of(tokenizer, SECOND), ids_of(tokenizer, SECOND)[::-1]])
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    segments = torch.zeros_like(ids)
    with torch.inference_mode():
        model.eval()
        everything = model(ids, positions, segments, torch.arange(ids.numel()))
        some = model(ids, positions, segments, torch.tensor([ids.shape[1] + 1, 2]))
    torch.testing.assert_close(some, everything[[ids.shape[1] + 1, 2]])
    assert model(ids, positions, segments, torch.tensor([], dtype=torch.int64)).shape == (0, len(tokenizer))


def test_a_foundation_without_head_gets_one_that_says_so(foundation: Path) -> None:
    model, _ = masked_lm.load(foundation)
    again, _ = masked_lm.load(foundation)
    assert not model.had_head
    assert not model.bias.any()
    torch.testing.assert_close(model.head.dense.weight, again.head.dense.weight)
    assert model.head.dense.weight.std() > 0


def test_the_decoder_learns_with_the_embeddings(foundation: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model, _ = masked_lm.load(foundation)
    ids = torch.tensor([ids_of(tokenizer, SECOND)])
    model(ids, torch.arange(ids.shape[1])[None], torch.zeros_like(ids), torch.tensor([1])).logsumexp(1).sum().backward()
    assert model.embeddings.grad is not None
    # Only the decoder touches pieces that are not in the sentence.
    assert (model.embeddings.grad.abs().sum(1) > 0).all()


def test_a_saved_model_comes_back_and_serves_everybody(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model, _ = masked_lm.load(published(tmp_path / "bert", tokenizer))
    sha256 = masked_lm.save(model, tokenizer, tmp_path / "saved")
    assert len(sha256) == 64
    again, their_tokenizer = masked_lm.load(tmp_path / "saved")
    assert again.had_head
    assert their_tokenizer.get_vocab() == tokenizer.get_vocab()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, msg=name)
    theirs, loading = BertForMaskedLM.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not loading["missing_keys"]
    torch.testing.assert_close(theirs.cls.predictions.decoder.bias, model.bias)
    torch.testing.assert_close(theirs.cls.predictions.decoder.weight, model.embeddings)
    assert load_encoder(tmp_path / "saved").config.hidden_size == 32
    fine_tune(tmp_path / "saved", tmp_path / "c", texts=[FIRST, SECOND], labels=[[1], [0]], label_names=["a"], epochs=1)
    assert Classifier.load(tmp_path / "c", device="cpu").labels == ("a",)


def test_an_altered_folder_is_refused(tmp_path: Path, foundation: Path) -> None:
    model, tokenizer = masked_lm.load(foundation)
    masked_lm.save(model, tokenizer, tmp_path / "saved")
    weights = tmp_path / "saved" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ArtifactError, match="sha256"):
        masked_lm.load(tmp_path / "saved")


def test_a_folder_in_use_is_not_written_to(foundation: Path) -> None:
    model, tokenizer = masked_lm.load(foundation)
    with pytest.raises(ArtifactError, match="exists already"):
        masked_lm.save(model, tokenizer, foundation)


def test_what_is_no_bert_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=32, n_layers=1, n_heads=2, hidden_dim=64)
    DistilBertModel(config).save_pretrained(tmp_path)
    save_tokenizer(tokenizer, tmp_path)
    with pytest.raises(FoundationError, match="'distilbert' model and no BERT"):
        masked_lm.load(tmp_path)


def test_another_kind_of_tokenizer_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    published(tmp_path, tokenizer)
    words = Tokenizer(tokenizer_models.WordLevel(tokenizer.get_vocab(), unk_token="[UNK]"))
    words.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(FoundationError, match="WordLevel"):
        masked_lm.load(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    published(tmp_path, tokenizer)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FoundationError, match=r"model\.safetensors"):
        masked_lm.load(tmp_path)


def test_half_a_file_of_weights_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    published(tmp_path, tokenizer)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5_000])
    with pytest.raises(FoundationError, match="cannot be loaded"):
        masked_lm.load(tmp_path)


def test_weights_of_another_model_are_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    published(tmp_path, tokenizer)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(FoundationError, match="do not fit"):
        masked_lm.load(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    published(tmp_path, tokenizer)
    more = tokenizer.get_vocab() | {"##more": len(tokenizer)}
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.model = tokenizer_models.WordPiece(more, unk_token="[UNK]")
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(FoundationError, match="embeddings for"):
        masked_lm.load(tmp_path)


def test_a_cased_vocabulary_read_in_small_letters_is_refused(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    published(tmp_path, tokenizer)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Pleural", "Effusion", "pleural"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    # As BioBERT is published: nothing says that its vocabulary is cased but the vocabulary itself.
    assert masked_lm.load(tmp_path)[1].tokenize("Pleural pleural") == ["Pleural", "pleural"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert masked_lm.load(tmp_path)[1].tokenize("Pleural pleural") == ["Pleural", "pleural"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    with pytest.raises(FoundationError, match="do_lower_case"):
        masked_lm.load(tmp_path)


def test_a_hub_that_cannot_be_reached_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(FoundationError, match=r"'nobody/nothing' is no folder, and the hub cannot be reached"):
        masked_lm.load("nobody/nothing")


def test_a_folder_without_config_is_told_by_its_config(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    published(tmp_path, tokenizer)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(FoundationError, match=r"no config\.json that can be read"):
        masked_lm.load(tmp_path)
