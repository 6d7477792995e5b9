"""What every training here has in common: what of a model is decayed, and the learning rate of a step."""

from collections.abc import Iterable
from typing import Any

from torch.nn import Parameter


def decayed(parameters: Iterable[Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """`parameters` as an optimizer's groups: weights are decayed, biases and norms are not."""
    held = list(parameters)
    return [
        {"params": [one for one in held if one.ndim > 1], "weight_decay": weight_decay},
        {"params": [one for one in held if one.ndim <= 1], "weight_decay": 0.0},
    ]


def warmed_up_and_decayed(step: int, *, steps: int, peak: float, warm_up: float) -> float:
    """The rate of `step` (from 0) of `steps`: up to `peak` over the first `warm_up` of them, then down to nothing.

    A function of the step alone, so that a resumed run needs no state for it. Every pre-training warms up again: a
    rate that stays low after the last one learns little of what is new (Gupta et al., 2023).
    """
    up = max(1, round(warm_up * steps))
    return peak * min((step + 1) / up, (steps - step) / max(1, steps - up))
