"""The heatmap's gradients, held against Captum's."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor

from models import classifier_files
from models.attribution import integrated_gradients
from models.batching import pad

SENTENCES = ("Bilateral pleural effusion is observed.", "우측에 흉수가 관찰됨.", "A 7 mm nodule is seen.")
LABELS = torch.tensor([0, 0, 1])


@pytest.fixture(scope="module")
def files(artifact: Path) -> classifier_files.ClassifierFiles:
    return classifier_files.load(artifact)


def batch(files: classifier_files.ClassifierFiles) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, attention and baseline of SENTENCES, padded to the longest."""
    tokenizer = files.tokenizer
    ids, attention = pad(
        [tokenizer(text)["input_ids"] for text in SENTENCES], tokenizer.pad_token_id, torch.device("cpu")
    )
    special = torch.isin(ids, torch.tensor([tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]))
    return ids, attention, torch.where(special, ids, tokenizer.mask_token_id)


def test_with_many_steps_it_agrees_with_captum_on_the_same_baseline(files: classifier_files.ClassifierFiles) -> None:
    ids, attention, baseline = batch(files)
    ours = integrated_gradients(files.model, ids, attention, baseline, LABELS, steps=200)
    captum = LayerIntegratedGradients(
        lambda ids, attention: files.model(attention, ids=ids), files.model.encoder.get_input_embeddings()
    )
    files.model.requires_grad_(True)  # Captum's hooks need it; ours does not
    try:
        theirs = captum.attribute(
            ids,
            baselines=baseline,
            additional_forward_args=(attention,),
            target=LABELS.tolist(),
            n_steps=200,
            method="riemann_middle",
        )
    finally:
        files.model.requires_grad_(False)
    torch.testing.assert_close(ours, theirs.sum(-1).detach(), rtol=1e-3, atol=1e-5)
    assert ours.abs().max() > 0.05


def test_each_step_counts_for_the_stretch_of_the_path_that_it_stands_in(
    files: classifier_files.ClassifierFiles,
) -> None:
    ids, attention, baseline = batch(files)
    start, words = files.model.embed(baseline), files.model.embed(ids) - files.model.embed(baseline)
    ends = [0.6 * share + 0.4 * share**6 for share in (0, 1 / 3, 2 / 3, 1)]
    middles = [0.6 * share + 0.4 * share**6 for share in (1 / 6, 1 / 2, 5 / 6)]
    expected = torch.zeros(ids.shape)
    for (first, last), place in zip(pairwise(ends), middles, strict=True):
        path = (start + place * words).requires_grad_()
        explained = files.model(attention, embeddings=path).gather(1, LABELS.unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(explained, path)
        expected += (last - first) * (words * gradient).sum(-1)
    ours = integrated_gradients(files.model, ids, attention, baseline, LABELS, steps=3)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


def test_more_steps_complete_the_sum(files: classifier_files.ClassifierFiles) -> None:
    ids, attention, baseline = batch(files)
    way = files.model(attention, ids=ids) - files.model(attention, ids=baseline)
    way = way.gather(1, LABELS.unsqueeze(1)).squeeze(1)
    missing = [
        (way - integrated_gradients(files.model, ids, attention, baseline, LABELS, steps=steps).sum(1)).abs().max()
        for steps in (3, 100)
    ]
    assert missing[1] < 0.05 * way.abs().max()
    assert missing[1] <= missing[0] + 1e-4


def test_special_tokens_and_padding_get_exactly_nothing(files: classifier_files.ClassifierFiles) -> None:
    ids, attention, baseline = batch(files)
    assert (integrated_gradients(files.model, ids, attention, baseline, LABELS)[ids == baseline] == 0).all()


def test_no_parameter_gets_a_gradient(files: classifier_files.ClassifierFiles) -> None:
    ids, attention, baseline = batch(files)
    files.model.requires_grad_(True)
    try:
        integrated_gradients(files.model, ids, attention, baseline, LABELS)
        assert all(parameter.grad is None for parameter in files.model.parameters())
    finally:
        files.model.requires_grad_(False)
