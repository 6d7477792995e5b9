"""The learning rate of a training step."""


def warmed_up_and_decayed(step: int, *, steps: int, peak: float, warm_up: float) -> float:
    """The rate of `step` (from 0) of `steps`: up to `peak` over the first `warm_up` of them, then down to nothing.

    A function of the step alone, so that a resumed run needs no state for it. Every pre-training warms up again: a
    rate that stays low after the last one learns little of what is new (Gupta et al., 2023).
    """
    up = max(1, round(warm_up * steps))
    return peak * min((step + 1) / up, (steps - step) / max(1, steps - up))
