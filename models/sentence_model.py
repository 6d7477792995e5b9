"""The network: an encoder reads a sentence, a linear head gives its logits, a smooth maximum joins them."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

# How closely the smooth maximum follows the largest sentence logit; 4 is the design's measured choice.
TAU = 4.0


class SentenceClassifier(nn.Module):
    """Logits per sentence and label. Any Hugging Face encoder that takes `inputs_embeds`."""

    def __init__(self, encoder: PreTrainedModel, labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(int(encoder.config.hidden_size), labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def embed(self, ids: Tensor) -> Tensor:
        """Word embeddings (sentences, tokens, width) of token ids (sentences, tokens)."""
        embeddings: Tensor = self.encoder.get_input_embeddings()(ids)
        return embeddings

    def forward(self, attention: Tensor, *, ids: Tensor | None = None, embeddings: Tensor | None = None) -> Tensor:
        """Logits (sentences, labels) in float32, from token ids or from word embeddings; `attention` is 1
        or 0.
        """
        hidden = self.encoder(input_ids=ids, inputs_embeds=embeddings, attention_mask=attention).last_hidden_state
        # Pooled and judged in float32, whatever the encoder's precision: thresholds are compared with the
        # result.
        with torch.autocast(hidden.device.type, enabled=False):
            mask = attention.unsqueeze(-1).float()
            pooled = (hidden.float() * mask).sum(1) / mask.sum(1)
            logits: Tensor = self.head(pooled)
        return logits


def smooth_maximum(logits: Tensor, report: Tensor, reports: int, tau: float) -> Tensor:
    """Report logits (reports, labels), z = log Σ exp(τ z_s) / τ, from sentence logits (sentences, labels).

    `report` (sentences,) says which report a sentence belongs to; every report has at least one.
    """
    scaled = tau * logits
    index = report.unsqueeze(1).expand_as(scaled)
    top = logits.new_full((reports, logits.shape[1]), -torch.inf)
    top = top.scatter_reduce(0, index, scaled.detach(), "amax")
    total = torch.zeros_like(top).index_add(0, report, torch.exp(scaled - top[report]))
    return (top + total.log()) / tau
