"""Captum's heatmaps in the place of ours: integrated gradients of fifty steps, and gradient × input."""

from collections.abc import Callable, Iterable

import torch
from captum.attr import LayerGradientXActivation, LayerIntegratedGradients
from torch import Tensor

from models.classifier_files import ClassifierFiles
from models.explaining import Explanation
from models.windows import to_ids

FIFTY = 50


class Captum:
    """Token weights as Captum's users get them: attributed to the word embeddings, a sentence and label at a time."""

    def __init__(self, files: ClassifierFiles, attribute: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> None:
        self._attribute = attribute
        tokenizer = files.tokenizer
        self._mask = int(tokenizer.mask_token_id)
        stays = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id, self._mask}
        self._device = files.model.head.weight.device
        self._stays = torch.tensor(sorted(stays), device=self._device)

    def explain(self, pairs: Iterable[tuple[bytes, int]]) -> dict[tuple[bytes, int], Explanation]:
        explanations = {}
        for key, label in pairs:
            ids = torch.tensor([to_ids(key)], device=self._device)
            masked = torch.where(torch.isin(ids, self._stays), ids, self._mask)
            weights = self._attribute(ids, masked, torch.ones_like(ids), label).sum(-1)[0]
            explanations[key, label] = Explanation(weights.detach().cpu().numpy(), 0.0)
        return explanations


def fifty_steps(files: ClassifierFiles) -> Captum:
    captum = LayerIntegratedGradients(logits_of(files), files.model.encoder.get_input_embeddings())
    return Captum(
        files,
        lambda ids, masked, attention, label: captum.attribute(
            ids, baselines=masked, additional_forward_args=(attention,), target=label, n_steps=FIFTY
        ),
    )


def gradient_times_input(files: ClassifierFiles) -> Captum:
    captum = LayerGradientXActivation(logits_of(files), files.model.encoder.get_input_embeddings())
    return Captum(
        files,
        lambda ids, masked, attention, label: captum.attribute(ids, additional_forward_args=(attention,), target=label),
    )


def logits_of(files: ClassifierFiles) -> Callable[[Tensor, Tensor], Tensor]:
    # Captum's hooks need something there that wants a gradient; nothing else does, which is the cheapest for it.
    files.model.encoder.get_input_embeddings().requires_grad_(True)
    return lambda ids, attention: files.model(attention, ids=ids)
