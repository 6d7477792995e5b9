"""A tiny bilingual foundation and classifier, trained once in seconds, for all tests of models/."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bilingual_reports import LABELS, made_up_reports
from transformers import PreTrainedTokenizerFast

from models.classifier import Classifier
from models.encoder import new_encoder
from models.finetuning import fine_tune
from models.vocabulary import train_wordpiece

REPORTS = Path(__file__).parents[4] / "shared" / "data" / "chest-ct-reports" / "reports.csv"


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_wordpiece(made_up_reports(200, seed=1)[0], size=600)


@pytest.fixture(scope="session")
def foundation(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("foundation") / "tiny"
    new_encoder(folder, tokenizer, layers=2, width=64)
    return folder


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory, foundation: Path) -> Path:
    folder = tmp_path_factory.mktemp("classifier") / "tiny"
    texts, truth = made_up_reports(240, seed=2)
    fine_tune(foundation, folder, texts=texts, labels=truth, label_names=LABELS, epochs=6, learning_rate=3e-3)
    return folder


@pytest.fixture
def classifier(artifact: Path) -> Classifier:
    return Classifier.load(artifact, device="cpu")


@pytest.fixture(scope="session")
def real_reports() -> list[str]:
    if not REPORTS.exists():
        pytest.skip(f"the real reports are not at {REPORTS}")
    with REPORTS.open(newline="", encoding="utf-8") as file:
        return [row["report_text"] for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """Tiny tensors lose more to thread switching than they win."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, 2))
    yield
    torch.set_num_threads(before)
