"""How a classifier lies on disk: an encoder folder as Hugging Face knows it, the head, and a manifest.

`config.json` is the encoder's, with the label set as `id2label` and ours under `nightread`; so the folder
serves as a foundation again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from models import artifacts
from models.errors import ArtifactError, FoundationError
from models.foundations import load_encoder, load_tokenizer, quietly, save_tokenizer
from models.sentence_model import SentenceClassifier

_HEAD = "head.safetensors"


class ClassifierFiles(NamedTuple):
    """What a folder holds, in float32 and ready to predict, and the sha256 that names it."""

    model: SentenceClassifier
    tokenizer: PreTrainedTokenizerFast
    labels: tuple[str, ...]
    tau: float
    sha256: str


def save(
    out: Path,
    model: SentenceClassifier,
    tokenizer: PreTrainedTokenizerFast,
    *,
    labels: Sequence[str],
    tau: float,
) -> str:
    """Writes the classifier to the folder `out`, whole or not at all, and returns the artifact's sha256."""
    config = model.encoder.config
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.nightread = {"tau": tau}
    with artifacts.writing(out) as folder, quietly():
        model.encoder.save_pretrained(folder)
        save_file({name: tensor.contiguous() for name, tensor in model.head.state_dict().items()}, folder / _HEAD)
        save_tokenizer(tokenizer, folder)
    return artifacts.verify(out)


def load(folder: Path) -> ClassifierFiles:
    """The classifier in `folder`; raises ArtifactError if it is not exactly what was written."""
    sha256 = artifacts.verify(folder)
    try:
        encoder, tokenizer = load_encoder(folder), load_tokenizer(folder)
        names = encoder.config.id2label or {}
        labels = tuple(name for _, name in sorted(names.items()))
        tau = float(encoder.config.nightread["tau"])
        model = SentenceClassifier(encoder, len(labels))
        model.head.load_state_dict(load_file(folder / _HEAD))
    except (FoundationError, SafetensorError, OSError, RuntimeError, AttributeError, KeyError) as error:
        raise ArtifactError(
            f"{str(folder)!r} is whole, but holds no classifier ({error}); train one with fine_tune"
        ) from None
    return ClassifierFiles(model.eval().requires_grad_(False), tokenizer, labels, tau, sha256)
