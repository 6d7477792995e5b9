"""Linear layers laid out for a CPU give what they gave before."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from models import classifier_files, packed_linear
from models.attribution import integrated_gradients
from models.classifier import Classifier

IDS = torch.tensor([[2, 7, 9, 11, 3, 0], [2, 8, 10, 12, 13, 3]])
ATTENTION = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]])


def packed(model: nn.Module) -> int:
    return sum(isinstance(module, packed_linear._PackedLinear) for module in model.modules())


@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_the_layer(bias: bool) -> None:
    plain = nn.Sequential(nn.Linear(24, 40, bias=bias)).requires_grad_(False)
    laid_out = copy.deepcopy(plain)
    packed_linear.pack(laid_out)
    assert packed(laid_out) == 1
    rows = torch.randn(3, 5, 24, requires_grad=True)
    towards = torch.randn(3, 5, 40)
    expected, found = plain(rows), laid_out(rows)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, rows, towards), torch.autograd.grad(expected, rows, towards), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_sentence_classifier_reads_and_explains_the_same(artifact: Path) -> None:
    plain, laid_out = (classifier_files.load(artifact).model for _ in range(2))
    packed_linear.pack(laid_out.encoder)
    assert packed(laid_out.encoder) > 0
    torch.testing.assert_close(laid_out(ATTENTION, ids=IDS), plain(ATTENTION, ids=IDS), rtol=1e-4, atol=1e-4)
    masked = torch.where(IDS > 3, 4, IDS)
    ours, theirs = (
        integrated_gradients(model, IDS, ATTENTION, masked, torch.tensor([0, 1])) for model in (laid_out, plain)
    )
    assert theirs.abs().max() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_classifier_on_a_cpu_is_laid_out(artifact: Path) -> None:
    assert packed(Classifier.load(artifact, "cpu")._scorer._model) > 0
