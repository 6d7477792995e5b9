"""Are the words that a heatmap weighs most the ones that the model goes by? What becomes of a finding when they are
taken away, and when they alone are left.

Comprehensiveness and sufficiency of DeYoung et al. (2020), "ERASER: A Benchmark to Evaluate Rationalized NLP Models",
on the report's probability; normalised as in Carton, Rathore and Tan (2020), "Evaluating and Characterizing Human
Rationales", so that two models can be compared: a model that stays sure without any of the words would otherwise
look unfaithful whatever the heatmap, and one that doubts every gap in a text faithful.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.classifier_files import ClassifierFiles
from models.errors import ModelError
from models.foundations import bare, longest_window
from models.scoring import Scorer
from models.sentence_model import smooth_maximum
from models.sentences import Span
from models.windows import OVERLAP, Document, Reader, to_key

# How many of the words, those of the greatest weight, are taken away or left alone; results are means over the five.
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
# A finding that loses less than this with all of its words stands in another sentence too. A share of next to nothing
# is noise, so such a finding has no normalised figures; who reports them says how many there are.
LEAST_NULL_DIFFERENCE = 0.05


class Removal(StrEnum):
    """How words are taken from a report."""

    MASKED = "masked"  # each of their pieces becomes [MASK], and everything else stays in its place
    DELETED = "deleted"  # their characters are cut out, and what is left of the sentence is read anew


class Weighed(NamedTuple):
    """A finding, and how much each word of its explaining sentences counts for it, as in `classifier.Finding`."""

    text: str
    label: int  # its index among the classifier's labels
    words: Sequence[Span]
    weights: Sequence[float]  # signed; what speaks for the finding is positive


class Normalised(NamedTuple):
    """As shares of the null difference, from 0 to 1: in both, more is better."""

    comprehensiveness: float  # how much of it goes with the heaviest words
    sufficiency: float  # how much of it the heaviest words keep


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """One finding's, in differences of the report's probability p (sigmoid of the smooth maximum over all sentences).

    `comprehensiveness` is the mean of p(report) - p(without its heaviest words): more is better. `sufficiency` is the
    mean of p(report) - p(only its heaviest words left of the explaining sentences): less is better, and below 0 if the
    other words spoke against the finding. `null_difference` is p(report) - p(without any word of the explaining
    sentences). Other sentences stay as they are throughout.
    """

    comprehensiveness: float
    sufficiency: float
    null_difference: float
    normalised: Normalised | None  # None where the null difference is below LEAST_NULL_DIFFERENCE


class Rereader:
    """Reads reports again with words taken away, by one model on one device."""

    def __init__(self, files: ClassifierFiles, device: torch.device) -> None:
        model, tokenizer, _, self._tau, sha256 = files
        longest = longest_window(model.encoder, tokenizer)
        self._mask = int(tokenizer.mask_token_id)
        self._reader = Reader(tokenizer, longest)
        # What is left of a sentence stays one sentence, whatever `Reader` would now take it for: so its tokenizer,
        # with windows as there, and no splitting.
        self._tokenizer = bare(tokenizer)
        self._tokenizer.enable_truncation(longest, stride=min(OVERLAP, longest // 4))
        self._scorer = Scorer(model, sha256=sha256, pad_id=int(tokenizer.pad_token_id), device=device)

    def read(self, text: str) -> Document:
        """The report as the classifier reads it."""
        return self._reader.read(text)

    def keys(self, document: Document, removed: Sequence[Span], removal: Removal) -> list[bytes]:
        """The windows that are read (see `Window.key`) when the words `removed` are taken from `document`.

        Sentences without any of them are read as before. A piece that belongs to several words is masked with the
        first of them.
        """
        gone = np.zeros(len(document.text), dtype=bool)
        for start, end in removed:
            gone[start:end] = True
        if removal is Removal.MASKED:
            before = np.concatenate(([0], np.cumsum(gone)))  # characters gone before each place
            masked = []
            for window in document.windows:
                touched = before[window.spans[:, 1]] > before[window.spans[:, 0]]
                masked.append(to_key(np.where(touched, self._mask, window.ids).tolist()))
            return masked
        keys: list[bytes] = []
        for index, (start, end) in enumerate(document.sentences):
            if gone[start:end].any():
                left = "".join(document.text[at] for at in range(start, end) if not gone[at])
                encoding = self._tokenizer.encode(left)
                keys += [to_key(part.ids) for part in (encoding, *encoding.overflowing)]
            else:
                keys += [window.key for window in document.windows if window.sentence == index]
        return keys

    def probabilities(self, reports: Sequence[Sequence[bytes]]) -> NDArray[np.float64]:
        """Probabilities (reports, labels) of reports given as their windows' keys; equal windows are read once.

        Raises DeviceError if memory or the device gives out.
        """
        logits = self._scorer.logits(key for keys in reports for key in keys)
        rows = torch.from_numpy(np.stack([logits[key] for keys in reports for key in keys])).double()
        owner = torch.tensor([index for index, keys in enumerate(reports) for _ in keys])
        joined: NDArray[np.float64] = torch.sigmoid(smooth_maximum(rows, owner, len(reports), self._tau)).numpy()
        return joined

    def measure(self, findings: Sequence[Weighed], removal: Removal) -> list[Faithfulness]:
        """How faithful the weights of each finding are. Words of equal weight count in the order of the text.

        Raises ModelError if a finding has no words or not as many weights, DeviceError if memory or the device gives
        out.
        """
        documents = {finding.text: self.read(finding.text) for finding in findings}
        reports: list[list[bytes]] = []
        for finding in findings:
            for removed in _removed(finding):
                reports.append(self.keys(documents[finding.text], removed, removal))
        if not reports:
            return []
        labels = np.repeat([finding.label for finding in findings], len(reports) // len(findings))
        read = self.probabilities(reports)[np.arange(len(reports)), labels]
        return [_judge(row) for row in read.reshape(len(findings), -1)]


def _removed(finding: Weighed) -> list[list[Span]]:
    """What to take from the report, one after the other: nothing, all, the heaviest words by SHARES, all but those."""
    words, count = finding.words, len(finding.words)
    if not count or len(finding.weights) != count:
        raise ModelError(f"a finding with {count} words and {len(finding.weights)} weights cannot be judged")
    heaviest = np.argsort(-np.asarray(finding.weights, dtype=float), kind="stable")
    tops = [max(1, round(share * count)) for share in SHARES]
    without = [[words[at] for at in heaviest[:top]] for top in tops]
    alone = [[words[at] for at in heaviest[top:]] for top in tops]
    return [[], list(words), *without, *alone]


def _judge(probabilities: NDArray[np.float64]) -> Faithfulness:
    """From the probabilities that `_removed` leaves, in its order: (2 + 2 × SHARES,).

    Carton, Rathore and Tan (2020) have, with lost(·) = max(0, p(report) - p(·)), Comp = lost(without the words), Suff
    = 1 - lost(the words alone) and Suff₀ = 1 - lost(nothing), the null difference being 1 - Suff₀. Then NormComp =
    Comp / (1 - Suff₀) and NormSuff = (Suff - Suff₀) / (1 - Suff₀) = 1 - lost(the words alone) / null difference, both
    clipped to 0 and 1. Here that is done for each share, and averaged.
    """
    lost = probabilities[0] - probabilities[1:]
    null_difference = float(lost[0])
    without, alone = np.split(lost[1:], 2)
    normalised = None
    if null_difference >= LEAST_NULL_DIFFERENCE:
        gone, missing = (np.clip(part / null_difference, 0, 1) for part in (without, alone))
        normalised = Normalised(float(gone.mean()), float(1 - missing.mean()))
    return Faithfulness(float(without.mean()), float(alone.mean()), null_difference, normalised)
