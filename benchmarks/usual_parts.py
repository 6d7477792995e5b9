"""A labeller put together from the usual parts, for `labelling.py` to be held against: Hugging Face and Captum.

A stock sequence classifier reads the first 512 tokens of a report at once, a text-classification pipeline gives its
probabilities, Captum explains what it finds, and the ORM writes row by row. The head is as it is made, since what it
says changes no time; but in every report the pipeline finds as many labels as Nightread does, its likeliest ones.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerIntegratedGradients
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BatchEncoding, CharSpan, pipeline

from models import devices
from models.foundations import quietly
from pipeline.database import Sessions
from pipeline.tables import Classification, Finding

LONGEST, BATCH, STEPS = 512, 16, 20
RESAMPLES = 2_000

Floats = NDArray[np.float64]


def interval(seconds: Floats, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of `seconds` (strata, reports of each), resampled within each stratum."""
    strata, each = seconds.shape
    drawn = np.random.default_rng(seed).integers(each, size=(RESAMPLES, strata, each))
    low, high = np.percentile(seconds[np.arange(strata)[:, None], drawn].mean((1, 2)), (2.5, 97.5))
    return float(low), float(high)


def draw(lengths: Sequence[int], size: int, seed: int) -> NDArray[np.int64]:
    """Indices of a sample from strata of like length, (strata, reports of each): four of each, or two if it is tiny."""
    each = 4 if size >= 16 else 2
    strata = np.array_split(np.argsort(lengths, kind="stable"), max(1, size // each))
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(stratum, each, replace=False) for stratum in strata])


class UsualParts:
    """The encoder of a classifier with a head over whole reports."""

    def __init__(self, encoder: Path, labels: Sequence[str], device: torch.device) -> None:
        self._labels, self._device = list(labels), device
        bf16 = device.type == "cuda" and devices.is_bf16_fast(device)  # as Nightread reads there
        with quietly():
            self._tokenizer = AutoTokenizer.from_pretrained(encoder)
            self._model = AutoModelForSequenceClassification.from_pretrained(
                encoder, id2label=dict(enumerate(labels)), dtype=torch.bfloat16 if bf16 else torch.float32
            )
        self._model.to(device).eval()
        self._pipeline = pipeline(
            "text-classification",
            model=self._model,
            tokenizer=self._tokenizer,
            device=device,
            top_k=None,
            function_to_apply="sigmoid",
        )

    def _batch(self, texts: Sequence[str]) -> BatchEncoding:
        """Token ids and attention (texts, longest)."""
        encoded = self._tokenizer(texts, truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
        return encoded.to(self._device)

    def bare_forward(self, texts: Sequence[str]) -> float:
        """Seconds of the forward pass alone, over batches of like length."""
        encoded = self._tokenizer(list(texts), truncation=True, max_length=LONGEST)
        ordered = sorted(range(len(texts)), key=lambda at: len(encoded["input_ids"][at]))
        batches = [
            self._tokenizer.pad(
                {name: [values[at] for at in ordered[start : start + BATCH]] for name, values in encoded.items()},
                return_tensors="pt",
            ).to(self._device)
            for start in range(0, len(ordered), BATCH)
        ]
        began = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                self._model(**batch).logits.cpu()
        return time.perf_counter() - began

    def label(
        self,
        sessions: Sessions,
        version: int,
        label_ids: Mapping[str, int],
        reports: Mapping[int, str],
        findings: Mapping[int, int],
    ) -> list[float]:
        """Labels, explains and writes reports, by id, with as many findings each as said; seconds of each."""
        began = time.perf_counter()
        answers = self._pipeline(list(reports.values()), batch_size=BATCH, truncation=True, max_length=LONGEST)
        shared = (time.perf_counter() - began) / len(reports)  # the pipeline reads them together
        seconds = []
        for (report, text), answer in zip(reports.items(), answers, strict=True):  # an answer's likeliest label first
            began = time.perf_counter()
            scores = {one["label"]: one["score"] for one in answer}
            with sessions.begin() as session:
                said = Classification(
                    report_id=report, model_version_id=version, probabilities=[scores[name] for name in self._labels]
                )
                session.add(said)
                session.flush()
                for one in answer[: findings[report]]:
                    words, weights = self._explained(text, self._labels.index(one["label"]))
                    found = Finding(
                        classification_id=said.id,
                        label_id=label_ids[one["label"]],
                        probability=one["score"],
                        sentence_start=0,
                        sentence_end=len(text),
                        starts=[word.start for word in words],
                        ends=[word.end for word in words],
                        weights=weights,
                        residual=0.0,
                    )
                    session.add(found)
                    session.flush()
            seconds.append(shared + time.perf_counter() - began)
        return seconds

    def _explained(self, text: str, label: int) -> tuple[list[CharSpan], list[float]]:
        """The words of a report as the tokenizer splits it, and how far each moved the label's logit."""
        batch = self._batch([text])
        ids, attention = batch["input_ids"], batch["attention_mask"]
        special = torch.tensor(self._tokenizer.all_special_ids, device=self._device)
        masked = torch.where(torch.isin(ids, special), ids, self._tokenizer.mask_token_id)
        captum = LayerIntegratedGradients(
            lambda ids, attention: self._model(input_ids=ids, attention_mask=attention).logits,
            self._model.get_input_embeddings(),
        )
        tokens = captum.attribute(
            ids,
            baselines=masked,
            additional_forward_args=(attention,),
            target=label,
            n_steps=STEPS,
        )
        words = batch.word_ids(0)
        weights = np.zeros(max(word for word in words if word is not None) + 1)
        for word, weight in zip(words, tokens.sum(-1)[0].tolist(), strict=True):
            if word is not None:
                weights[word] += weight
        return [batch.word_to_chars(0, word) for word in range(len(weights))], weights.tolist()
