"""Where a training stands, on disk: weights, optimizer and place in the data, written whole or not at all.

A checkpoint is a folder like any artifact's: safetensors and JSON, and a manifest with their sha256 written last.
The learning rate and every random number follow from the step and the seed, so they need no saving.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from models import artifacts
from models.errors import ArtifactError, first_line

_WEIGHTS, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_NAME = re.compile(r"step-(\d{9})")
# The one before the last stays too, for the case that a disk lost what it said it had written.
_KEPT = 2


class CheckpointError(ArtifactError):
    """A checkpoint cannot be written, or is not one that this training can go on from."""


class UnusableCheckpoint(CheckpointError):
    """It is whole, but of another training or another version of this program: only a new beginning helps."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a training has come: `step` steps with `tokens` real tokens; next is `batch` of `epoch` (from 0)."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    tokens: int = 0


def write(folder: Path, model: nn.Module, optimizer: Optimizer, place: Place, made_from: Mapping[str, object]) -> Path:
    """Writes a checkpoint into `folder` and removes all but the last two; returns its own folder.

    `made_from` says in JSON what the training is of; `load` compares it. Raises CheckpointError if the disk is full or
    fails: those that were there before are as they were.
    """
    out = folder / f"step-{place.step:09d}"
    try:
        with artifacts.writing(out) as part:
            save_file({name: _plain(tensor) for name, tensor in model.named_parameters()}, part / _WEIGHTS)
            save_file(_flat(optimizer), part / _OPTIMIZER)
            state = {"place": asdict(place), "made_from": made_from}
            (part / _STATE).write_text(json.dumps(state, indent=2, ensure_ascii=False), encoding="utf-8")
    except (OSError, SafetensorError, artifacts.NoRoomError) as error:
        last, reason = newest(folder), first_line(error.__cause__ or error)
        raise CheckpointError(
            f"the checkpoint of step {place.step} could not be written to {str(folder)!r} ({reason}); "
            + (f"{last.name} is whole: " if last else "there is none yet: ")
            + "make room and "
            + ("resume" if last else "begin again")
        ) from None
    for old in _all(folder)[:-_KEPT]:
        shutil.rmtree(old)
    return out


def newest(folder: Path) -> Path | None:
    """The checkpoint in `folder` that was written last, if there is any."""
    return next(reversed(_all(folder)), None)


def remove_torn(folder: Path) -> None:
    """Removes what a killed process left half-written; nobody else may be writing there."""
    for part in folder.glob(".*.part"):
        shutil.rmtree(part, ignore_errors=True)


def load(checkpoint: Path, model: nn.Module, optimizer: Optimizer, made_from: Mapping[str, object]) -> Place:
    """Puts model and optimizer where `checkpoint` left them and returns the place to go on from.

    Raises CheckpointError if it is not exactly what was written, or was made from something else than `made_from`.
    """
    try:
        artifacts.verify(checkpoint)
    except ArtifactError as error:
        raise CheckpointError(
            f"checkpoint {checkpoint.name} cannot be used: {error}; or remove {str(checkpoint)!r} to go on from the "
            "one before it"
        ) from None
    try:
        state = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
        _refuse_other(checkpoint, state["made_from"], json.loads(json.dumps(made_from)))
        weights = load_file(checkpoint / _WEIGHTS)
        parameters = dict(model.named_parameters())
        if {name: tensor.shape for name, tensor in weights.items()} != {
            name: parameter.shape for name, parameter in parameters.items()
        }:
            raise UnusableCheckpoint(
                f"checkpoint {str(checkpoint)!r} is of another model; resume with the foundation and the vocabulary "
                "that it was begun with"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
        _restore(optimizer, load_file(checkpoint / _OPTIMIZER))
        return Place(**state["place"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UnusableCheckpoint(
            f"checkpoint {str(checkpoint)!r} is whole, but is none of this version ({type(error).__name__}); "
            "begin again in another folder"
        ) from None


def _refuse_other(checkpoint: Path, then: Mapping[str, object], now: Mapping[str, object]) -> None:
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            raise UnusableCheckpoint(
                f"{str(checkpoint.parents[1])!r} was begun with {name.replace('_', ' ')} {then.get(name)!r}, not "
                f"{now.get(name)!r}; resume with what it was begun with, or name another folder"
            )


def _all(folder: Path) -> list[Path]:
    """Oldest first; only folders under their final name count, which a half-written one never has."""
    return sorted(path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))


def _flat(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors, named by the number of their parameter and what they are: "12.exp_avg"."""
    state: Mapping[int, Mapping[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{number}.{name}": _plain(tensor) for number, of in state.items() for name, tensor in of.items()}


def _restore(optimizer: Optimizer, flat: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()
