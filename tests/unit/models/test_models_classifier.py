"""Texts in, probabilities and explained findings out."""

import itertools
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from bilingual_reports import LABELS, made_up_reports
from torch.nn import functional

from models import classifier_files
from models.batching import batches
from models.classifier import Classifier, Finding
from models.errors import ArtifactError, DeviceError, ModelError, ReadingError
from models.sentence_model import SentenceClassifier, smooth_maximum

HALF = (0.5, 0.5, 0.5)
REPORT = (
    "The heart is normal. Bilateral pleural effusion is observed. 림프절 종대 없음. 좌하엽에 3.5 cm 결절이 있습니다."
)


def heaviest_word(text: str, finding: Finding) -> str:
    best = int(np.argmax(finding.weights))
    return text[finding.starts[best] : finding.ends[best]]


def test_it_finds_what_is_stated_in_either_language(classifier: Classifier) -> None:
    texts, truth = made_up_reports(60, seed=9)
    found = classifier.predict(texts, thresholds=HALF)
    said = np.array([prediction.probabilities for prediction in found]) >= 0.5
    assert (said == truth.astype(bool)).mean() > 0.98
    for prediction, row in zip(found, said, strict=True):
        assert [finding.label for finding in prediction.findings] == [LABELS[label] for label in np.flatnonzero(row)]


def test_a_finding_knows_its_sentence_and_its_words(classifier: Classifier) -> None:
    [prediction] = classifier.predict([REPORT], thresholds=HALF)
    effusion, nodule = prediction.findings
    assert REPORT[slice(*effusion.sentence)] == "Bilateral pleural effusion is observed."
    assert REPORT[slice(*nodule.sentence)] == "좌하엽에 3.5 cm 결절이 있습니다."
    assert heaviest_word(REPORT, effusion) in {"Bilateral", "pleural", "effusion", "observed"}
    assert {REPORT[a:b] for a, b in zip(nodule.starts, nodule.ends, strict=True)} >= {"좌하엽에", "3.5", "결절이"}
    for finding in prediction.findings:
        spans = list(zip(finding.starts, finding.ends, strict=True))
        assert len(finding.weights) == len(spans)
        assert all(0 <= start < end <= len(REPORT) for start, end in spans)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
        assert finding.probability == prediction.probabilities[LABELS.index(finding.label)]


def test_weights_and_residual_add_up_to_the_way_from_masked_sentences(classifier: Classifier) -> None:
    """A report of one sentence: share 1, so the sum is logit(sentence) - logit(masked sentence)."""
    sentence = "Bilateral pleural effusion is observed."
    [prediction] = classifier.predict([sentence], thresholds=HALF)
    [finding] = prediction.findings
    logit = np.log(finding.probability / (1 - finding.probability))
    assert sum(finding.weights) + finding.residual < logit + 12  # a masked sentence states nothing
    assert abs(finding.residual) < abs(sum(finding.weights)) + 1
    assert sum(finding.weights) > 1


def test_unexplained_findings_have_a_sentence_and_no_words(classifier: Classifier) -> None:
    [explained], [bare] = (classifier.predict([REPORT], thresholds=HALF, explain=explain) for explain in (True, False))
    assert bare.probabilities == explained.probabilities
    assert [(f.label, f.sentence) for f in bare.findings] == [(f.label, f.sentence) for f in explained.findings]
    assert all(f.starts == f.ends == f.weights == () and f.residual == 0 for f in bare.findings)


@pytest.mark.parametrize("text", ["", " ", "\n\t\r\n"])
def test_a_text_without_words_gives_background_probabilities(classifier: Classifier, text: str) -> None:
    [prediction] = classifier.predict([text], thresholds=(0.0, 0.0, 0.0))
    assert max(prediction.probabilities) < 0.5
    assert all(finding.starts == finding.weights == () for finding in prediction.findings)
    assert all(text[slice(*finding.sentence)] == "" for finding in prediction.findings)


@pytest.mark.parametrize("text", ["\x00", "\ufeff", "....", "😀" * 50, "[SEP] [MASK] [PAD]", "ᄀ" * 30, "a" * 100_000])
def test_odd_texts_are_read_like_any_other(classifier: Classifier, text: str) -> None:
    [prediction] = classifier.predict([text], thresholds=(0.0, 0.0, 0.0))
    assert len(prediction.findings) == 3
    for finding in prediction.findings:
        assert 0 <= finding.probability <= 1
        assert all(text[start:end] for start, end in zip(finding.starts, finding.ends, strict=True))


def test_no_texts_no_predictions(classifier: Classifier) -> None:
    assert classifier.predict([], thresholds=HALF) == []


def test_decomposed_hangul_reads_the_same_and_keeps_its_own_characters(classifier: Classifier) -> None:
    text = unicodedata.normalize("NFD", "우측에 흉수가 관찰됨. 심장 크기는 정상임.")
    [composed, decomposed] = classifier.predict([unicodedata.normalize("NFC", text), text], thresholds=HALF)
    assert composed.probabilities == decomposed.probabilities
    for one, other in zip(composed.findings, decomposed.findings, strict=True):
        words = [text[start:end] for start, end in zip(other.starts, other.ends, strict=True)]
        assert [unicodedata.normalize("NFC", word) for word in words] == ["우측에", "흉수가", "관찰됨", "."]
        assert one.weights == pytest.approx(other.weights)


def test_a_finding_deep_in_an_endless_sentence_is_found(classifier: Classifier) -> None:
    filler = "the heart is normal, " * 400
    text = filler + "bilateral pleural effusion is observed, " * 15 + filler
    [without, with_it] = classifier.predict([filler, text], thresholds=HALF)
    assert with_it.probabilities[0] > 0.5 > without.probabilities[0]
    [finding] = with_it.findings
    assert len(filler) <= finding.starts[int(np.argmax(finding.weights))] < len(text) - len(filler)


def test_batches_and_caches_change_nothing(artifact: Path) -> None:
    texts, _ = made_up_reports(20, seed=5)
    together = Classifier.load(artifact, "cpu").predict(texts, thresholds=HALF)
    one_by_one = Classifier.load(artifact, "cpu")
    for text, expected in zip(texts, together, strict=True):
        [alone] = one_by_one.predict([text], thresholds=HALF)
        assert alone.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
        for ours, theirs in zip(alone.findings, expected.findings, strict=True):
            assert (ours.label, ours.sentence, ours.starts) == (theirs.label, theirs.sentence, theirs.starts)
            assert ours.weights == pytest.approx(theirs.weights, abs=1e-3)


def test_equal_sentences_are_computed_once(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    forward = SentenceClassifier.forward

    def counting(self: SentenceClassifier, attention: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        rows.append(len(attention))
        return forward(self, attention, **inputs)

    monkeypatch.setattr(SentenceClassifier, "forward", counting)
    repeated = "Aorta is calcified. " * 5
    classifier.predict([repeated, repeated], thresholds=(1.0, 1.0, 1.0))
    assert sum(rows) == 1
    classifier.predict([REPORT], thresholds=HALF)
    rows.clear()
    classifier.predict([REPORT], thresholds=HALF)
    assert rows == []


def test_a_text_that_cannot_be_read_is_named_by_its_place_and_never_quoted(classifier: Classifier) -> None:
    with pytest.raises(ReadingError) as caught:
        classifier.predict(["Fine.", "Geheimnis \ud800"], thresholds=HALF)
    assert "text 2 of 2" in str(caught.value)
    assert "Geheimnis" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), DeviceError),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), DeviceError),
        (MemoryError(), DeviceError),
        (RuntimeError("The size of tensor a (9) must match the size of tensor b (7)"), ReadingError),
        (IndexError("index out of range in self"), ReadingError),
    ],
)
def test_a_failing_device_is_told_from_a_failing_text(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, failure: Exception, expected: type[ModelError]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(SentenceClassifier, "forward", fail)
    with pytest.raises(expected):
        classifier.predict(["A sentence never read before."], thresholds=HALF)


def test_thresholds_must_match_the_labels(classifier: Classifier) -> None:
    with pytest.raises(ModelError, match="3 labels, but 2 thresholds"):
        classifier.predict(["x"], thresholds=(0.5, 0.5))


def test_labels_and_sha256_are_the_artifact_s(classifier: Classifier, artifact: Path) -> None:
    assert classifier.labels == LABELS
    assert classifier.sha256 == classifier_files.load(artifact).sha256


def test_a_missing_or_altered_artifact_is_refused(tmp_path: Path, artifact: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere"):
        Classifier.load(tmp_path / "nowhere")
    for file in artifact.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    Classifier.load(tmp_path)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ArtifactError, match=r"model\.safetensors"):
        Classifier.load(tmp_path)


def test_a_foundation_is_no_classifier(foundation: Path) -> None:
    with pytest.raises(ArtifactError, match="fine_tune"):
        Classifier.load(foundation)


def test_weights_that_are_not_numbers_are_the_artifact_s_fault(artifact: Path, tmp_path: Path) -> None:
    files = classifier_files.load(artifact)
    files.model.head.bias.data[0] = float("nan")
    classifier_files.save(tmp_path / "broken", files.model, files.tokenizer, labels=LABELS, tau=files.tau)
    with pytest.raises(ArtifactError, match="train again"):
        Classifier.load(tmp_path / "broken")


def test_an_unknown_device_is_refused(artifact: Path) -> None:
    with pytest.raises(DeviceError, match="toaster"):
        Classifier.load(artifact, device="toaster")


def test_the_smooth_maximum_is_the_log_of_summed_exponentials() -> None:
    logits = torch.tensor([[1.0, -2.0], [3.0, 100.0], [-5.0, 0.0]], requires_grad=True)
    joined = smooth_maximum(logits, torch.tensor([1, 1, 0]), 2, tau=4.0)
    expected = torch.stack([logits[2], torch.logsumexp(4 * logits[:2], 0) / 4])
    torch.testing.assert_close(joined, expected)
    (ours,) = torch.autograd.grad(joined[1].sum(), logits)
    torch.testing.assert_close(ours[:2], functional.softmax(4 * logits[:2], 0))


def test_batches_hold_every_sequence_once_and_stay_within_their_tokens() -> None:
    lengths = [5, 900, 3, 3, 40, 5, 1]
    made = list(batches(lengths, tokens=100))
    assert sorted(itertools.chain.from_iterable(made)) == list(range(len(lengths)))
    assert made[0] == [1]
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 100 for batch in made)
