"""Does the model find alike what people find alike? Pearson's and Spearman's correlation with their scores.

Zero-shot: the cosine of two sentences' mean token vectors. Fine-tuned, as Cho et al. (2025) judge by MedSTS: both
sentences in one sequence, and a regression on its mean token vector.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models import artifacts, devices
from models.batching import batches, pad
from models.errors import FoundationError, ModelError
from models.foundations import bare, load_encoder, load_tokenizer, longest_window
from models.metrics import Interval, interval_of
from models.optimizing import decayed, warmed_up_and_decayed
from models.sentence_pairs import HIGHEST, Pair

# What any BERT can take; RoBERTa's 514 positions are 512 tokens.
_LONGEST = 512
_TOKENS = 8_192  # padded, in one pass
_WEIGHT_DECAY, _WARM_UP, _GRADIENT_NORM = 0.01, 0.1, 1.0

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correlation:
    """How far scores agree with people's, each with its 95 % interval."""

    pairs: int
    pearson: float
    pearson_interval: Interval
    spearman: float
    spearman_interval: Interval


class RegressionStep(NamedTuple):
    """One step of fine-tuning done, and its loss (squared error of scores from 0 to 1)."""

    step: int
    steps: int
    loss: float


def correlation(given: ArrayLike, truth: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Correlation:
    """Pearson's r and Spearman's rho of `given` with `truth`, both (pairs,); ties share their rank.

    Intervals are bootstrap percentiles over pairs (Efron, 1979), ranks taken anew in every resample. Raises ModelError
    if there are fewer than three pairs, if a score is no number, or if either is the same everywhere, so that nothing
    can agree.
    """
    ours, theirs = np.asarray(given, dtype=float), np.asarray(truth, dtype=float)
    if ours.shape != theirs.shape or ours.ndim != 1:
        raise ModelError(f"{ours.shape} scores and {theirs.shape} judgements: there must be as many")
    if len(ours) < 3:
        raise ModelError(f"{len(ours)} sentence pairs are too few to correlate anything; give three or more")
    if not np.isfinite(ours).all():
        raise ModelError("the model's scores are no numbers; take a lower learning rate, or another model")
    if np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        raise ModelError("all scores are the same, so there is nothing to correlate; give pairs that differ")
    drawn = np.random.default_rng(seed).integers(len(ours), size=(resamples, len(ours)))
    x, y = ours[drawn], theirs[drawn]
    return Correlation(
        pairs=len(ours),
        pearson=float(_pearson(ours, theirs)),
        pearson_interval=interval_of(_pearson(x, y)),
        spearman=float(_pearson(rankdata(ours), rankdata(theirs))),
        spearman_interval=interval_of(_pearson(rankdata(x, axis=1), rankdata(y, axis=1))),
    )


def zero_shot(source: str | Path, pairs: Sequence[Pair], *, device: str | None = None) -> Scores:
    """The cosine of each pair's mean token vectors, special tokens left out: (pairs,).

    `source` is the folder or hub id of any encoder. A sentence beyond its limit is read in several windows. Raises
    FoundationError if it cannot be loaded, ArtifactError if it is a folder of ours that is not as it was written,
    DeviceError if memory or the device gives out.
    """
    encoder, tokenizer = _loaded(source)
    sentences = list(dict.fromkeys(sentence for pair in pairs for sentence in (pair.first, pair.second)))
    backend = _backend(encoder, tokenizer)
    windows: list[Encoding] = []
    owner: list[int] = []
    for index, encoding in enumerate(backend.encode_batch(sentences)):
        windows += [encoding, *encoding.overflowing]
        owner += [index] * (1 + len(encoding.overflowing))
    where = devices.pick(device)
    encoder.to(where).eval()  # type: ignore[arg-type]
    totals = torch.zeros(len(sentences), int(encoder.config.hidden_size), dtype=torch.float64)
    with torch.inference_mode(), devices.guarded("comparing sentences"):
        for batch in batches([len(window.ids) for window in windows], _TOKENS):
            ids, attention = pad([windows[index].ids for index in batch], int(tokenizer.pad_token_id), where)
            special, _ = pad([windows[index].special_tokens_mask for index in batch], 1, where)
            hidden = encoder(input_ids=ids, attention_mask=attention).last_hidden_state
            summed = (hidden * (1 - special).unsqueeze(-1)).sum(1).double().cpu()
            totals.index_add_(0, torch.tensor([owner[index] for index in batch]), summed)
    # A sum points where the mean points, and the cosine knows no length.
    units = nn.functional.normalize(totals, dim=1).numpy()
    row = {sentence: index for index, sentence in enumerate(sentences)}
    first, second = [row[pair.first] for pair in pairs], [row[pair.second] for pair in pairs]
    cosines: Scores = (units[first] * units[second]).sum(1)
    return cosines


def fine_tuned(
    source: str | Path,
    train: Sequence[Pair],
    pairs: Sequence[Pair],
    *,
    epochs: int = 4,
    learning_rate: float = 5e-5,
    batch_pairs: int = 32,
    seed: int = 0,
    device: str | None = None,
    on_step: Callable[[RegressionStep], None] | None = None,
) -> Scores:
    """Fits a regression on `train` and returns its scores for `pairs`, from 0 to 5 or so: (pairs,).

    The encoder in `source` is fitted along; nothing is written. A pair beyond its limit of tokens loses the end of its
    longer sentence. The same seed gives the same scores on the same CPU. Raises as `zero_shot` does.
    """
    encoder, tokenizer = _loaded(source)
    where = devices.pick(device)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)

    # Data.
    backend = _backend(encoder, tokenizer)
    read = backend.encode_batch([(pair.first, pair.second) for pair in train])
    targets = torch.tensor([pair.score / HIGHEST for pair in train], dtype=torch.float32)

    # Model and optimizer. The head starts by giving every pair the mean score.
    model = _Regression(encoder, pad_id=int(tokenizer.pad_token_id))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.fill_(float(targets.mean()))
    model.to(where).train()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(decayed(parameters, _WEIGHT_DECAY), lr=learning_rate)

    # Loop.
    orders = (random.permutation(len(train)) for _ in range(epochs))
    chunks = [order[start : start + batch_pairs] for order in orders for start in range(0, len(order), batch_pairs)]
    for step, chosen in enumerate(chunks):
        for group in optimizer.param_groups:
            group["lr"] = warmed_up_and_decayed(step, steps=len(chunks), peak=learning_rate, warm_up=_WARM_UP)
        with devices.guarded("fine-tuning"):
            loss = mse_loss(model([read[index] for index in chosen]), targets[chosen].to(where))
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if on_step:
            on_step(RegressionStep(step + 1, len(chunks), loss.item()))

    return _scores(model.eval(), backend.encode_batch([(pair.first, pair.second) for pair in pairs]))


class _Regression(nn.Module):
    """A score from 0 to 1 for pairs that stand in one sequence: a linear head on the mean of their token vectors."""

    def __init__(self, encoder: PreTrainedModel, *, pad_id: int) -> None:
        super().__init__()
        self.encoder, self.pad_id = encoder, pad_id
        self.head = nn.Linear(int(encoder.config.hidden_size), 1)
        # DistilBERT and RoBERTa do not tell a first sentence from a second.
        self.tells_sides = getattr(encoder.config, "type_vocab_size", 0) > 1

    def forward(self, pairs: Sequence[Encoding]) -> Tensor:
        where = self.head.weight.device
        ids, attention = pad([pair.ids for pair in pairs], self.pad_id, where)
        sides = {"token_type_ids": pad([pair.type_ids for pair in pairs], 0, where)[0]} if self.tells_sides else {}
        hidden = self.encoder(input_ids=ids, attention_mask=attention, **sides).last_hidden_state
        mask = attention.unsqueeze(-1).to(hidden.dtype)
        scores: Tensor = self.head((hidden * mask).sum(1) / mask.sum(1)).squeeze(-1)
        return scores


def _scores(model: _Regression, pairs: Sequence[Encoding]) -> Scores:
    scores = np.empty(len(pairs))
    with torch.inference_mode(), devices.guarded("comparing sentences"):
        for batch in batches([len(pair.ids) for pair in pairs], _TOKENS):
            scores[batch] = HIGHEST * model([pairs[index] for index in batch]).double().cpu().numpy()
    return scores


def _loaded(source: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    if (Path(source) / artifacts.MANIFEST).exists():
        artifacts.verify(Path(source))
    encoder, tokenizer = load_encoder(source), load_tokenizer(source)
    rows = int(encoder.get_input_embeddings().weight.shape[0])  # type: ignore[index]
    if max(tokenizer.get_vocab().values()) >= rows:
        raise FoundationError(
            f"model {str(source)!r} has {rows} embeddings for {len(tokenizer)} pieces; take weights and tokenizer from "
            "the same model"
        )
    return encoder, tokenizer


def _backend(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A copy of the tokenizer that cuts at what the encoder can take; what is cut comes as overflowing windows."""
    backend = bare(tokenizer)
    backend.enable_truncation(longest_window(encoder, tokenizer, at_most=_LONGEST))
    return backend


def _pearson(x: Scores, y: Scores) -> Scores:
    """Pearson's r along the last axis; NaN where either is the same everywhere."""
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        r: Scores = (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return r
