"""Label jobs run inside a test, with the tiny classifier or a fake, and what they came to."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from given import MONDAY
from under_test import HouseUnderTest

from models.classifier import Classifier, Prediction
from pipeline import label_sets
from pipeline.labelling import ServingModel
from worker import label_reports

Serve = Callable[..., int]
TUESDAY = MONDAY + timedelta(days=1)
COLUMNS = [column for _, column, _ in label_sets.CT_RATE_FINDINGS]
TEXTS = [
    "No pleural effusion. There is a nodule of 3.5 cm in the right upper lobe.",
    "양측 폐에 결절이 보입니다. 흉수는 없음.\n1. 폐기종 동반.",
    "Both lung에 GGO 있음 (3.5cm). Heart size는 normal.",
    "🫁 결절 👩‍⚕️ 3.5 cm: Dr. Kim — 흉수 e\u0301 없음 😀. No change.",
    "ㅤ",
]
_loaded: dict[str, Classifier] = {}


def real(house: HouseUnderTest) -> Callable[[ServingModel], Classifier]:
    """The classifier that a version names, loaded once for all tests."""

    def load(model: ServingModel) -> Classifier:
        if model.artifact_sha256 not in _loaded:
            _loaded[model.artifact_sha256] = Classifier.load(house.home / "models" / model.artifact, device="cpu")
        return _loaded[model.artifact_sha256]

    return load


class Instead:
    """A fake classifier that lets something happen while it reads, and then reads as the real one does."""

    def __init__(self, classifier: Classifier, happens: Callable[[], object]) -> None:
        self.classifier, self.happens = classifier, happens

    def predict(self, texts: Sequence[str], *, thresholds: Sequence[float]) -> list[Prediction]:
        self.happens()
        return self.classifier.predict(texts, thresholds=thresholds)


def label(house: HouseUnderTest, *, happens: Callable[[], object] | None = None, **changes: Any) -> bool:
    """Run the next label job; `happens` while the model reads."""

    def classifier_for(model: ServingModel) -> Any:
        classifier = real(house)(model)
        return Instead(classifier, happens) if happens else classifier

    settings = house.house.settings.model_copy(update=changes)
    return label_reports.run_next(house.sessions, settings, worker="here:1", classifier_for=classifier_for)


def label_all(house: HouseUnderTest) -> None:
    while label(house):
        pass


def status(house: HouseUnderTest) -> dict[str, int]:
    (row,) = house.rows("SELECT received, labelled, pending, dead, withdrawn, stale FROM completeness")
    assert row.received == row.labelled + row.pending + row.dead + row.withdrawn
    return {name: count for name, count in row._mapping.items() if count}
