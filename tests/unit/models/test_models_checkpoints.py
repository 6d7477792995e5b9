"""Checkpoints: whole or not at all, and refused when they are not what was written."""

import shutil
from collections.abc import Iterator
from errno import ENOSPC
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models import checkpoints
from models.checkpoints import CheckpointError, Place

MADE_FROM = {"seed": 1, "corpora": ["a", "b"], "rate": 1e-4}


def trained(steps: int, width: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, 4), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(steps):
        model(torch.randn(8, width)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def step_on(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    model(torch.ones(2, 3)).square().mean().backward()
    optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    model, optimizer = trained(5)
    place = Place(step=5, epoch=1, batch=2, tokens=900)
    written = checkpoints.write(tmp_path, model, optimizer, place, MADE_FROM)
    other, its_optimizer = trained(0)
    assert checkpoints.load(written, other, its_optimizer, MADE_FROM) == place
    for one, two in zip(step_on(model, optimizer), step_on(other, its_optimizer), strict=True):
        assert torch.equal(one, two)


def test_the_last_two_stay(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    for step in (1, 2, 10, 11):
        checkpoints.write(tmp_path, model, optimizer, Place(step=step), MADE_FROM)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010", "step-000000011"]
    newest = checkpoints.newest(tmp_path)
    assert newest is not None
    assert newest.name == "step-000000011"


def test_what_a_kill_left_half_written_is_never_taken(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    whole = checkpoints.write(tmp_path, model, optimizer, Place(step=1), MADE_FROM)
    torn = tmp_path / ".step-000000002.0a1b.part"
    shutil.copytree(whole, torn)
    assert checkpoints.newest(tmp_path) == whole
    checkpoints.remove_torn(tmp_path)
    assert list(tmp_path.iterdir()) == [whole]
    assert checkpoints.newest(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_an_altered_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    model, optimizer = trained(1)
    written = checkpoints.write(tmp_path, model, optimizer, Place(step=1), MADE_FROM)
    content = bytearray((written / name).read_bytes())
    content[len(content) // 2] ^= 1
    (written / name).write_bytes(content)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(CheckpointError, match=f"{name}.*or remove .* to go on from the one before"):
        checkpoints.load(written, model, optimizer, MADE_FROM)
    for one, two in zip(before, model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_another_recipe_is_refused_by_name(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    written = checkpoints.write(tmp_path / "checkpoints", model, optimizer, Place(step=1), MADE_FROM)
    with pytest.raises(CheckpointError, match=r"begun with corpora \['a', 'b'\], not \['a'\]"):
        checkpoints.load(written, model, optimizer, MADE_FROM | {"corpora": ["a"]})


def test_another_model_is_refused(tmp_path: Path) -> None:
    written = checkpoints.write(tmp_path, *trained(1), Place(step=1), MADE_FROM)
    with pytest.raises(CheckpointError, match="of another model"):
        checkpoints.load(written, *trained(0, width=5), MADE_FROM)


def test_a_disk_that_fails_is_one_line_and_leaves_the_last_one(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    whole = checkpoints.write(tmp_path, model, optimizer, Place(step=1), MADE_FROM)
    with pytest.raises(CheckpointError, match="step-000000001 is whole: make room and resume"):
        checkpoints.write(tmp_path, _Unwritable(model), optimizer, Place(step=2), MADE_FROM)
    assert list(tmp_path.iterdir()) == [whole]
    assert checkpoints.load(whole, model, optimizer, MADE_FROM).step == 1


class _Unwritable(nn.Module):
    """Its weights meet a full disk."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def named_parameters(self, *args: object, **kwargs: object) -> Iterator[tuple[str, nn.Parameter]]:
        raise OSError(ENOSPC, "No space left on device")
