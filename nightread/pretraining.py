"""Pre-training a foundation on corpora: text in, a folder with model, log and curve out."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from models import artifacts, checkpoints, masked_lm, packing, run_folder
from models.errors import FoundationError
from models.foundations import load_tokenizer
from models.masked_lm import MaskedLM
from models.packing import Documents, Rows
from models.pretraining import Data, PretrainingStep, Run, Settings, is_main, pretrain
from models.transplant import Transplanted, transplant
from nightread import console, corpora, curves
from nightread.console import Tracker
from pipeline.errors import NightreadError
from pipeline.language import language
from pipeline.settings import Settings as HouseSettings

CURVE = "curve.png"
# Below this share of its bytes a language counts as missing; code-mixed text counts for both.
_ONE_SIDED = 0.02
# Documents between updates of what is shown.
_SOME = 1_000


class NotPretrained(NightreadError):
    """What was asked for cannot be pre-trained."""


@dataclass(frozen=True)
class Recipe:
    """What can be chosen about a pre-training; `steps` comes before `epochs`."""

    steps: int | None
    epochs: float
    length: int
    batch_tokens: int
    learning_rate: float
    whole_words: bool
    seed: int
    checkpoint_every: int
    tokens_per_pass: int | None
    device: str | None
    compiled: bool


@dataclass(frozen=True)
class Pretrained:
    """A new foundation in `folder`, and how it was made."""

    folder: Path
    sha256: str
    log: list[dict[str, object]]
    transplanted: Transplanted | None


def run(
    settings: HouseSettings,
    names: Sequence[str],
    foundation: str,
    vocabulary: Path | None,
    out: Path,
    recipe: Recipe,
    *,
    resume: bool,
) -> Pretrained | None:
    """Pre-train `foundation` on these corpora, moved to `vocabulary` first if there is one.

    Under `accelerate launch` every process calls this, and only the main one gets an answer. Whatever can be refused
    is refused before the corpora are read.
    """
    if is_main():
        run_folder.refuse_unfit(out, resume=resume)
    corpora.require(settings, names)
    model, tokenizer, transplanted = _start(foundation, vocabulary)
    longest = model.config.max_position_embeddings
    if recipe.length > longest:
        raise NotPretrained(f"{foundation!r} reads {longest} tokens at most; take a --length up to that")
    documents = _read(settings, names, tokenizer, recipe.length)
    rows = max(1, recipe.batch_tokens // recipe.length)
    tokens = int(documents.sizes.sum())
    steps = recipe.steps or max(1, math.ceil(recipe.epochs * tokens / (rows * recipe.length)))

    def data(epoch: int) -> Iterator[Rows]:
        rng = np.random.default_rng((recipe.seed, epoch))
        pad_id = int(tokenizer.pad_token_id)
        return packing.batches(documents, length=recipe.length, rows=rows, pad_id=pad_id, rng=rng)

    made_from: dict[str, object] = {
        "foundation": foundation,
        "vocabulary": _named(tokenizer),
        "corpora": list(names),
        "length": recipe.length,
        "batch_tokens": recipe.batch_tokens,
    }
    try:
        sha256 = _pretrain(model, tokenizer, data, out, recipe, steps=steps, made_from=made_from, resume=resume)
    except KeyboardInterrupt:
        if is_main():
            last = checkpoints.newest(out / run_folder.CHECKPOINTS)
            console.err.print(
                f"stopped; --resume goes on from {last.name}"
                if last
                else "stopped before the first checkpoint; --resume begins again",
                markup=False,
            )
        raise
    finally:
        log = run_folder.read_log(out) if is_main() else []
        _draw(log, out / CURVE)
    return Pretrained(out / run_folder.MODEL, sha256, log, transplanted) if sha256 else None


def _pretrain(
    model: MaskedLM,
    tokenizer: PreTrainedTokenizerFast,
    data: Data,
    out: Path,
    recipe: Recipe,
    *,
    steps: int,
    made_from: dict[str, object],
    resume: bool,
) -> str | None:
    """The loop behind a progress bar; the sha256 of what it made, in the main process."""
    with _tracked("pre-training") as shown:

        def show(step: PretrainingStep) -> None:
            note = f"loss {step.loss:.3f}, {step.tokens_per_second:,.0f} tokens/s"
            shown.update(step.step, total=step.steps, note=note)

        return pretrain(
            model,
            tokenizer,
            data,
            out,
            settings=Settings(
                steps=steps, learning_rate=recipe.learning_rate, whole_words=recipe.whole_words, seed=recipe.seed
            ),
            run=Run(
                checkpoint_every=recipe.checkpoint_every,
                tokens_per_pass=recipe.tokens_per_pass,
                device=recipe.device,
                compiled=recipe.compiled,
                made_from=made_from,
            ),
            resume=resume,
            on_step=show,
        )


def _draw(log: list[dict[str, object]], out: Path) -> None:
    try:
        if log:
            curves.draw(log, out)
    except OSError as error:  # no reason to lose a model, or to hide why there is none
        console.err.print(f"warning: the curve could not be drawn ({error.strerror})", style="yellow")


def _start(foundation: str, vocabulary: Path | None) -> tuple[MaskedLM, PreTrainedTokenizerFast, Transplanted | None]:
    model, tokenizer = masked_lm.load(foundation)
    if vocabulary is None:
        return model, tokenizer, None
    new = _vocabulary(vocabulary)
    moved, transplanted = transplant(model, tokenizer, new)
    return moved, new, transplanted


def _vocabulary(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in `folder`. Raises NotPretrained, ArtifactError if it is not as it was written."""
    if (folder / artifacts.MANIFEST).exists():
        artifacts.verify(folder)
    try:
        tokenizer = load_tokenizer(folder)
    except FoundationError:
        raise NotPretrained(
            f"there is no vocabulary in {str(folder)!r} that can be loaded; make one with `nightread vocabulary build`"
        ) from None
    kind = type(tokenizer.backend_tokenizer.model).__name__
    if kind != "WordPiece":
        raise NotPretrained(
            f"the vocabulary in {str(folder)!r} is a {kind} and no WordPiece; make one with `nightread vocabulary "
            "build`"
        )
    return tokenizer


def _named(tokenizer: PreTrainedTokenizerFast) -> str:
    """What tells a vocabulary from another with as many pieces."""
    vocabulary = tokenizer.get_vocab()
    pieces = "\n".join(sorted(vocabulary, key=vocabulary.__getitem__))
    return f"{len(vocabulary)} pieces, sha256 {hashlib.sha256(pieces.encode()).hexdigest()[:12]}"


def _read(settings: HouseSettings, names: Sequence[str], tokenizer: PreTrainedTokenizerFast, length: int) -> Documents:
    """The corpora's documents as tokens; says so if one language is missing."""
    shares: Counter[str] = Counter()
    with _tracked("reading") as shown:

        def texts() -> Iterator[str]:
            number = 0
            for number, text in enumerate(corpora.texts(settings, names), 1):
                shares[language(text)] += len(text.encode())
                if number % _SOME == 0:
                    shown.update(number, note="documents")
                yield text
            shown.update(number, note="documents")

        documents = packing.tokenize(texts(), tokenizer, length=length)
    if not len(documents.ends):
        raise NotPretrained(f"there is no text in {', '.join(names)}; add files to a corpus first")
    korean, english = ((shares[one] + shares["mixed"]) / shares.total() for one in ("ko", "en"))
    if is_main() and min(korean, english) < _ONE_SIDED:
        console.err.print(
            f"warning: this corpus is in one language ({korean:.0%} of its bytes with Korean, {english:.0%} with "
            "English); what the model knows of the other may fade",
            style="yellow",
        )
    return documents


def _tracked(title: str) -> AbstractContextManager[Tracker]:
    """One of several processes speaks for all."""
    return console.tracked(title) if is_main() else nullcontext(Tracker(title, None))
