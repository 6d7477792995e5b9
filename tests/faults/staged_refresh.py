"""The real refresh, made to die at a chosen point. Only the fault tests start it.

`python staged_refresh.py POINT`: kills itself with SIGKILL when it reaches POINT; `none` for never.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from models import checkpoints, pretraining, shards
from pipeline import jobs, model_versions
from worker import refresh_evaluation, refresh_model, refresh_training, runtime

POINT = sys.argv[1]


def reach(point: str) -> None:
    if point == POINT:
        os.kill(os.getpid(), signal.SIGKILL)


def staged(module: Any, name: str, before: str | None = None, after: str | None = None) -> None:
    work: Callable[..., Any] = getattr(module, name)

    def with_points(*arguments: Any, **named: Any) -> Any:
        if before:
            reach(before)
        result = work(*arguments, **named)
        if after:
            reach(after)
        return result

    setattr(module, name, with_points)


staged(refresh_training, "begin", before="claimed", after="snapshot")
staged(shards, "write", after="mix")
staged(pretraining, "pretrain", before="before-pre-training", after="pre-trained")
staged(checkpoints, "write", after="checkpoint")
staged(refresh_training, "fine_tune", before="refit", after="refitted")
staged(model_versions, "register", after="registering")
staged(refresh_evaluation, "compare", before="evaluation", after="evaluated")
staged(refresh_model, "_promote", before="promotion")
staged(model_versions, "promote", after="promoting")
staged(jobs, "finish", after="finishing")
staged(refresh_training, "remove_shards", before="clearing")

_load = checkpoints.load


def _told(*arguments: Any, **named: Any) -> Any:
    place = _load(*arguments, **named)
    print(f"resumed at step {place.step}", flush=True)
    return place


checkpoints.load = _told

if __name__ == "__main__":
    ran = refresh_model.run_next(runtime.sessions(), runtime.settings(), worker=f"staged:{os.getpid()}")
    print("ran" if ran else "nothing", flush=True)
