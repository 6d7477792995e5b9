"""The heatmap: which tokens moved a label's logit, by integrated gradients.

Sundararajan, Taly and Yan (2017), "Axiomatic Attribution for Deep Networks", section 3, along the straight path from
mask tokens to the sentence, in word-embedding space. Near the sentence the logit has long settled (Miglani et al.,
2020, "Investigating Saturation Effects in Integrated Gradients"), so the steps are short where the words begin to show
and long where they all but stand (non-uniform, as Bhat and Raychowdhury, 2023, but the same for every sentence). Four
such steps are as faithful as fifty even ones, for models that know little as for those that know much; plain gradient
× input is cheaper and not faithful (`benchmarks/faithfulness.py`).
"""

import torch
from torch import Tensor

from models.sentence_model import SentenceClassifier

# Nearer to the whole integral than four even ones; of a model that reads a language as near as six, of one that cannot
# somewhat less (`benchmarks/heatmap_steps.py`).
STEPS = 4


def integrated_gradients(
    model: SentenceClassifier,
    ids: Tensor,
    attention: Tensor,
    baseline: Tensor,
    label: Tensor,
    *,
    steps: int = STEPS,
) -> Tensor:
    """How much each token moves its row's logit away from the baseline's: (rows, tokens) in logits, signed.

    `ids`, `attention` and `baseline` are (rows, tokens), `label` (rows,) is the logit explained in each
    row. Tokens equal in `ids` and `baseline` (special tokens, padding) get exactly zero. A row's sum is
    close to logit(ids) - logit(baseline); the difference is the completeness residual.
    """
    lengths = _reached(torch.arange(steps + 1, device=ids.device) / steps).diff()
    places = _reached((torch.arange(steps, device=ids.device) + 0.5) / steps)
    found = slopes(model, ids, attention, baseline, label, places)
    return (lengths.view(-1, 1, 1) * found).sum(0)


def slopes(
    model: SentenceClassifier, ids: Tensor, attention: Tensor, baseline: Tensor, label: Tensor, places: Tensor
) -> Tensor:
    """How fast each token moves its row's logit at `places` (places,) along the path, from 0, the baseline, to 1, the
    sentence: (places, rows, tokens); their integral is the attribution.

    All rows and places share one pass, and only the path is differentiated: give a model whose parameters need no
    gradient.
    """
    with torch.no_grad():
        start, way = model.embed(baseline), model.embed(ids) - model.embed(baseline)
    path = start + places.to(way.dtype).view(-1, 1, 1, 1) * way  # (places, rows, tokens, width)
    path = path.flatten(0, 1).requires_grad_()
    with torch.enable_grad():
        logits = model(attention.repeat(len(places), 1), embeddings=path)
        explained = logits.gather(1, label.repeat(len(places)).unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(explained, path)
    return (way.float() * gradient.float().view(len(places), *way.shape)).sum(-1)


def _reached(steps: Tensor) -> Tensor:
    """How far along the path a share of the steps takes one, both from 0 to 1.

    Part of it evenly, so that a model which settles late is read too; the rest nearly all with the last steps.
    """
    return 0.6 * steps + 0.4 * steps**6
