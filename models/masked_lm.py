"""A BERT as masked language model: loaded from a foundation with or without its head, run on packed sequences, saved
so that it is a foundation again.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from tokenizers import models as tokenizer_models
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedTokenizerFast,
)
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from models import artifacts
from models.errors import FoundationError, first_line
from models.foundations import is_capitalised, load_tokenizer, misfit, quietly, save_tokenizer

_WEIGHTS = "model.safetensors"
_HEAD = "cls.predictions."


class MaskedLM(nn.Module):
    """An encoder and its masked-LM head. The decoder is the word embeddings themselves, so they cannot come untied."""

    def __init__(
        self, encoder: BertModel, head: BertPredictionHeadTransform, bias: nn.Parameter, *, had_head: bool = True
    ) -> None:
        super().__init__()
        self.encoder = encoder  # without pooler
        self.head = head  # dense, activation, LayerNorm
        self.bias = bias  # (vocabulary,)
        self.had_head = had_head  # False: the foundation brought none, and `head` and `bias` are fresh

    @property
    def config(self) -> BertConfig:
        config = self.encoder.config
        assert isinstance(config, BertConfig)
        return config

    @property
    def embeddings(self) -> nn.Parameter:
        """The word embeddings, which are the decoder too: (vocabulary, width)."""
        weight = self.encoder.embeddings.word_embeddings.weight
        assert isinstance(weight, nn.Parameter)
        return weight

    def forward(self, input_ids: Tensor, positions: Tensor, segments: Tensor, chosen: Tensor) -> Tensor:
        """Logits (n, vocabulary) for the tokens at `chosen`, which counts through the flattened rows: (n,) int64.

        `input_ids`, `positions` and `segments` are (rows, length) int64. A row holds several sequences, one after the
        other: `segments` numbers them (padding is -1), and nothing is attended to across them; `positions` starts
        anew in each.
        """
        # Padding sees padding, so that no row of the softmax is empty; nobody reads what comes of it.
        together = (segments[:, None, :, None] == segments[:, None, None, :]).contiguous()
        hidden = self.encoder(input_ids, attention_mask=together, position_ids=positions).last_hidden_state
        # The decoder is as wide as the vocabulary: run on the masked tenth only, it no longer costs most of a step.
        return functional.linear(self.head(hidden.flatten(0, 1)[chosen]), self.embeddings, self.bias)


def load(source: str | Path, *, seed: int = 0) -> tuple[MaskedLM, PreTrainedTokenizerFast]:
    """The model in float32 and its tokenizer, from a folder or hub id; from safetensors only, without remote code.

    A checkpoint without masked-LM head gets a fresh one (`had_head` is then False): a transform drawn with `seed`, the
    decoder tied to the embeddings, no bias. Raises FoundationError, with the way out, if it is no WordPiece BERT or
    cannot be loaded; ArtifactError if it is a folder of ours that is not as it was written.
    """
    if (Path(source) / artifacts.MANIFEST).exists():
        artifacts.verify(Path(source))
    is_folder = Path(source).is_dir()
    if is_folder:
        _refuse_other_models(source)  # before the tokenizer, which would be blamed for a missing config.json
    tokenizer = load_tokenizer(source)
    if not is_folder:
        _refuse_other_models(source)
    try:
        with quietly(), torch.random.fork_rng():
            torch.manual_seed(seed)
            whole, loading = AutoModelForMaskedLM.from_pretrained(
                source,
                use_safetensors=True,  # never a pickle
                trust_remote_code=False,
                dtype="float32",
                attn_implementation="sdpa",
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise FoundationError(
            f"foundation {str(source)!r} cannot be loaded ({first_line(error)}); give a folder with config.json and "
            "model.safetensors (a pytorch_model.bin must be converted first), or a hub id this machine can reach"
        ) from None
    except RuntimeError:  # what transformers raises when a tensor has another shape
        raise misfit(source) from None
    missing = set(loading["missing_keys"])
    lacks_head = any(key.startswith(f"{_HEAD}transform") for key in missing)
    if any(not key.startswith(_HEAD) for key in missing):
        raise misfit(source)
    _check_tokenizer(source, tokenizer, rows=whole.config.vocab_size)
    head = whole.cls.predictions
    bias = nn.Parameter(torch.zeros(whole.config.vocab_size)) if lacks_head else head.bias
    return MaskedLM(whole.bert, head.transform, bias, had_head=not lacks_head), tokenizer


def save(model: MaskedLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> str:
    """Writes model and tokenizer to `folder`, whole or not at all, in float32; returns the artifact's sha256.

    The folder is one of `BertForMaskedLM`, so it is a foundation for pre-training and for a classifier. Raises
    ArtifactError if it holds something already.
    """
    config = type(model.config).from_dict(model.config.to_dict())
    config.architectures = [BertForMaskedLM.__name__]
    with artifacts.writing(folder) as part, quietly():
        config.save_pretrained(part)
        save_file(_named_as_theirs(model), part / _WEIGHTS, metadata={"format": "pt"})
        save_tokenizer(tokenizer, part)
    return artifacts.verify(folder)


def _named_as_theirs(model: MaskedLM) -> dict[str, Tensor]:
    """The tensors under the names that BertForMaskedLM gives them; the decoder is tied and needs none."""
    named = {f"bert.{name}": tensor for name, tensor in model.encoder.state_dict().items()}
    named |= {f"{_HEAD}transform.{name}": tensor for name, tensor in model.head.state_dict().items()}
    named[f"{_HEAD}bias"] = model.bias
    return {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in named.items()}


def _refuse_other_models(source: str | Path) -> None:
    try:
        with quietly():
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise FoundationError(
            f"foundation {str(source)!r} has no config.json that can be read ({first_line(error)}); "
            "take the folder as the model was published"
        ) from None
    if config.model_type != "bert":
        raise FoundationError(
            f"foundation {str(source)!r} is a {config.model_type!r} model and no BERT; take a WordPiece BERT such as "
            "KM-BERT, BioBERT or M-BERT"
        )


def _check_tokenizer(source: str | Path, tokenizer: PreTrainedTokenizerFast, *, rows: int) -> None:
    if not isinstance(tokenizer.backend_tokenizer.model, tokenizer_models.WordPiece):
        raise FoundationError(
            f"foundation {str(source)!r} has a tokenizer of kind {type(tokenizer.backend_tokenizer.model).__name__}; "
            "take a BERT with a WordPiece vocabulary"
        )
    vocabulary = tokenizer.get_vocab()
    if max(vocabulary.values()) >= rows:
        raise FoundationError(
            f"foundation {str(source)!r} has {rows} embeddings for {len(vocabulary)} pieces; take weights and "
            "tokenizer from the same model"
        )
    # vocab.txt does not say whether it is cased, and without a tokenizer_config.json transformers takes it for not.
    capitals = sorted(filter(is_capitalised, vocabulary))[:200]
    if capitals and all(tokenizer.tokenize(piece) != [piece] for piece in capitals):
        raise FoundationError(
            f"the tokenizer of foundation {str(source)!r} puts small letters, and its vocabulary has capitals; "
            "set do_lower_case to false in its tokenizer_config.json"
        )
