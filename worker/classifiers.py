"""The classifier of a model version, as it was registered."""

from pathlib import Path

from models.classifier import Classifier
from models.errors import ArtifactError
from pipeline.labelling import ServingModel


def load(models_folder: Path, model: ServingModel, *, device: str | None = None) -> Classifier:
    """As `Classifier.load`, which says what can go wrong; raises ArtifactError, too, if another one lies there."""
    classifier = Classifier.load(models_folder / model.artifact, device=device)
    if classifier.sha256 != model.artifact_sha256 or classifier.labels != model.labels:
        raise ArtifactError(
            f"the artifact {model.artifact} is not the one that model {model.id} registered; restore its folder"
        )
    return classifier
