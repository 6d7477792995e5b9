"""A trained classifier at work: texts in, probabilities and explained findings out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from models import classifier_files, devices, packed_linear
from models.classifier_files import ClassifierFiles
from models.errors import ArtifactError, ModelError, ReadingError
from models.explaining import Explainer, Explains, Explanation
from models.foundations import longest_window
from models.scoring import Scorer
from models.sentence_model import smooth_maximum
from models.sentences import Span
from models.windows import Document, Reader
from models.words import find_words, merge_pieces

# A finding is explained by the sentences that carry this much of it (1.13 of them on average) …
_EXPLAINED_SHARE = 0.95
# … but by no more than this many: a huge report must not turn one faint finding into hours of gradients.
_EXPLAINED_WINDOWS = 16
# Texts read at a time where somebody watches: few enough for a bar that moves.
_SHOWN = 16


class Finding(NamedTuple):
    """A label that a report states, and the words that say so.

    `sentence` is the sentence that carries most of it, without the white space around it. `starts`, `ends`
    and `weights` are parallel, one entry per word of the explaining sentences in the order of the text:
    Python character offsets into the given text, and how far the word moved the report's logit (signed).
    `residual` is what the words leave unexplained of the way there from masked sentences, in logits.
    Without an explanation they are empty and 0.
    """

    label: str
    probability: float
    sentence: Span
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    weights: tuple[float, ...]
    residual: float


class Prediction(NamedTuple):
    """A probability per label, in the order of `Classifier.labels`, and the findings among them."""

    probabilities: tuple[float, ...]
    findings: tuple[Finding, ...]


class Classifier:
    """Reads reports with one artifact on one device. Not for several threads at once.

    `explains` takes the place of our heatmap, so that another can be held against it.
    """

    def __init__(self, files: ClassifierFiles, device: torch.device, *, explains: Explains | None = None) -> None:
        model, tokenizer, self._labels, self._tau, self._sha256 = files
        self._reader = Reader(tokenizer, longest_window(model.encoder, tokenizer))
        self._scorer = Scorer(model, sha256=self._sha256, pad_id=int(tokenizer.pad_token_id), device=device)
        self._explainer = explains or Explainer(model, self._scorer, tokenizer, sha256=self._sha256, device=device)

    @classmethod
    def load(cls, folder: str | Path, device: str | None = None) -> Self:
        """The classifier in `folder`, on `device`, or else the first visible CUDA GPU, or else the CPU.

        On a GPU that has it the encoder computes in bfloat16. Raises ArtifactError if the folder is not
        exactly what was written, DeviceError if the device is missing or gives out.
        """
        files = classifier_files.load(Path(folder))
        chosen = devices.pick(device)
        with devices.guarded("loading the classifier"):
            files.model.to(chosen)
            if chosen.type == "cuda" and devices.is_bf16_fast(chosen):
                files.model.encoder.bfloat16()
            if chosen.type == "cpu":
                packed_linear.pack(files.model.encoder)
        classifier = cls(files, chosen)
        try:
            # Broken weights are the artifact's fault and show here, not with some report later.
            classifier._predict([""], [1.0] * len(files.labels), explain=False)
        except ReadingError:
            raise ArtifactError(
                f"the classifier in {str(folder)!r} cannot read even an empty text; train again"
            ) from None
        return classifier

    @property
    def labels(self) -> tuple[str, ...]:
        """The label set, in the order of `config.id2label` and of all probabilities."""
        return self._labels

    @property
    def sha256(self) -> str:
        """The sha256 that names the artifact."""
        return self._sha256

    def predict(self, texts: Sequence[str], *, thresholds: Sequence[float], explain: bool = True) -> list[Prediction]:
        """One prediction per text; a finding wherever a probability reaches its label's threshold.

        A report's logit is the smooth maximum over its sentences, all of them read. Raises ReadingError for
        a text that the model cannot read (naming its place, never its words), DeviceError if memory or the
        device gives out, ModelError if the thresholds do not match the labels.
        """
        if len(thresholds) != len(self.labels):
            raise ModelError(f"this model has {len(self.labels)} labels, but {len(thresholds)} thresholds were given")
        try:
            return self._predict(texts, thresholds, explain)
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - the job system must learn that the texts, not the machine, failed
            raise ReadingError(f"the model failed on one of {len(texts)} texts ({type(error).__name__})") from None

    def probabilities(
        self, texts: Sequence[str], on_read: Callable[[int], None] = lambda _: None
    ) -> NDArray[np.float64]:
        """Probabilities (texts, labels), without findings; `on_read` hears how many texts were read since it last did.

        Raises what `predict` raises.
        """
        never = [2.0] * len(self.labels)
        rows: list[tuple[float, ...]] = []
        for start in range(0, len(texts), _SHOWN):
            part = self.predict(texts[start : start + _SHOWN], thresholds=never, explain=False)
            rows += [prediction.probabilities for prediction in part]
            on_read(len(part))
        return np.array(rows, dtype=np.float64).reshape(len(texts), len(self.labels))

    def _predict(self, texts: Sequence[str], thresholds: Sequence[float], explain: bool) -> list[Prediction]:
        documents = [self._read(text, place, len(texts)) for place, text in enumerate(texts, 1)]
        logits = self._scorer.logits(window.key for document in documents for window in document.windows)
        reports = []
        for place, document in enumerate(documents, 1):
            report = _Report(document, np.stack([logits[window.key] for window in document.windows]), self._tau)
            if not np.isfinite(report.probabilities).all():
                raise ReadingError(f"text {place} of {len(texts)}: the model's answer is not a number")
            reports.append(report)
        explanations: Mapping[tuple[bytes, int], Explanation] = {}
        if explain:
            explanations = self._explainer.explain(
                (report.document.windows[index].key, label)
                for report in reports
                for label in report.positives(thresholds)
                for index in report.carriers(label)
            )
        return [
            Prediction(
                tuple(report.probabilities.tolist()),
                tuple(
                    report.finding(label, self.labels[label], explanations) for label in report.positives(thresholds)
                ),
            )
            for report in reports
        ]

    def _read(self, text: str, place: int, count: int) -> Document:
        try:
            return self._reader.read(text)
        except ReadingError as error:
            raise ReadingError(f"text {place} of {count}: {error}") from None


class _Report:
    """A document with its window logits (windows, labels), and what follows from them."""

    def __init__(self, document: Document, logits: NDArray[np.float32], tau: float) -> None:
        self.document = document
        rows = torch.from_numpy(logits).double()
        joined = smooth_maximum(rows, torch.zeros(len(rows), dtype=torch.long), 1, tau)
        # In single precision, as they are stored: who compares what is stored with a threshold decides as we do.
        self.probabilities: NDArray[np.float32] = torch.sigmoid(joined)[0].float().numpy()
        # How much of each label's logit a window carries: the gradient of the smooth maximum, (windows,
        # labels).
        self.shares: NDArray[np.float64] = torch.softmax(tau * rows, 0).numpy()

    def positives(self, thresholds: Sequence[float]) -> list[int]:
        return [label for label, limit in enumerate(thresholds) if self.probabilities[label] >= np.float32(limit)]

    def carriers(self, label: int) -> list[int]:
        """The fewest windows that together carry the explained share of a label, the strongest first."""
        shares = self.shares[:, label]
        order = np.argsort(-shares, kind="stable")[:_EXPLAINED_WINDOWS]
        needed = int(np.searchsorted(np.cumsum(shares[order]), _EXPLAINED_SHARE)) + 1
        strongest: list[int] = order[:needed].tolist()
        return strongest

    def finding(self, label: int, name: str, explanations: Mapping[tuple[bytes, int], Explanation]) -> Finding:
        windows, sentences = self.document.windows, self.document.sentences
        carriers = self.carriers(label)
        by_sentence = np.zeros(len(sentences))
        np.add.at(by_sentence, [window.sentence for window in windows], self.shares[:, label])
        words: list[Span] = []
        weights: list[float] = []
        residual = 0.0
        explained = [index for index in carriers if (windows[index].key, label) in explanations]
        for sentence in sorted({windows[index].sentence for index in explained}):
            found = find_words(self.document.text, sentences[sentence])
            moved = np.zeros(len(found))
            for index in explained:
                if windows[index].sentence == sentence:
                    share = float(self.shares[index, label])
                    explanation = explanations[windows[index].key, label]
                    moved += share * merge_pieces(found, windows[index].spans, explanation.weights)
                    residual += share * explanation.residual
            words += found
            weights += moved.tolist()
        return Finding(
            label=name,
            probability=float(self.probabilities[label]),
            sentence=_stripped(self.document.text, sentences[int(by_sentence.argmax())]),
            starts=tuple(word.start for word in words),
            ends=tuple(word.end for word in words),
            weights=tuple(weights),
            residual=residual,
        )


def _stripped(text: str, span: Span) -> Span:
    sentence = text[span.start : span.end]
    start = span.start + len(sentence) - len(sentence.lstrip())
    return Span(start, start + len(sentence.strip()))
