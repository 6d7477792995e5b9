"""A classifier as studies of foundations make it: fine-tuned for so many steps, its thresholds from other reports."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import calibration
from models.classifier import Classifier
from models.finetuning import fine_tune
from nightread.made_up import FINDINGS


class FittedClassifier(NamedTuple):
    """What judges reports, and from which probability of each finding on it says so."""

    classifier: Classifier
    thresholds: Sequence[float]

    def found(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which findings it says of each text: (texts, findings)."""
        return self.classifier.probabilities(texts) >= np.array(self.thresholds)


def fit_classifier(
    foundation: Path | str,
    *,
    texts: Sequence[str],
    truth: NDArray[np.int64],
    fitted: NDArray[np.int64],
    held: NDArray[np.int64],
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> FittedClassifier:
    """Fits `foundation` to the reports at `fitted`, for about `steps` batches of `batch` reports, and sets thresholds
    on those at `held`. `truth` is 0 or 1: (texts, findings).
    """
    with TemporaryDirectory() as scratch:
        fine_tune(
            foundation,
            Path(scratch) / "classifier",
            texts=[texts[index] for index in fitted],
            labels=truth[fitted],
            label_names=FINDINGS,
            epochs=max(1, round(steps * batch / len(fitted))),
            learning_rate=learning_rate,
            batch_reports=batch,
            seed=seed,
        )
        classifier = Classifier.load(Path(scratch) / "classifier")
    said = classifier.probabilities([texts[index] for index in held])
    return FittedClassifier(classifier, calibration.thresholds(said, truth[held]))
