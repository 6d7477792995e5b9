"""A new, untrained encoder as a foundation folder: for a demonstration, or as the start of pre-training."""

from pathlib import Path

import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from models import artifacts
from models.errors import ModelError
from models.foundations import quietly, save_tokenizer


def new_encoder(
    out: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    layers: int = 2,
    width: int = 128,
    heads: int | None = None,
    dropout: float = 0.1,
    seed: int = 0,
) -> str:
    """Writes a BERT with random weights and `tokenizer` to the folder `out`; returns the artifact's sha256.

    Raises ModelError if `width` cannot be shared among `heads` (one for every 64 by default), ArtifactError
    if `out` holds something already.
    """
    heads = heads or max(1, width // 64)
    if width % heads:
        raise ModelError(f"an encoder {width} wide cannot have {heads} heads; choose a width that they divide")
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=tokenizer.model_max_length,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = BertModel(config)
    with artifacts.writing(out) as folder, quietly():
        encoder.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
    return artifacts.verify(out)
