"""What a worker process keeps between tasks: its settings, its database engine, the model it has loaded.

Everything is made in the first task that needs it, thus in the pool's child: the parent opens no socket that a
fork would share, and loads no torch (which does not survive a fork, and whose loading would look like a hang).
"""

import os
from functools import cache
from typing import TYPE_CHECKING

from billiard import current_process

from pipeline import settings as house
from pipeline.database import Sessions, engine
from pipeline.jobs import worker_name
from pipeline.labelling import ServingModel
from pipeline.names import Role

if TYPE_CHECKING:
    from models.classifier import Classifier


@cache
def settings() -> house.Settings:
    return house.read()


@cache
def sessions() -> Sessions:
    url = settings().database_url
    if url is None:
        raise house.InvalidSettings(
            "a worker needs NIGHTREAD_DATABASE_URL and NIGHTREAD_BROKER_URL; `nightread up` sets them for its own"
        )
    return Sessions(engine(url.get_secret_value(), Role.APP))


def name() -> str:
    """What this process is called in the jobs that it claims."""
    return worker_name(os.getpid())


_loaded: dict[str, "Classifier"] = {}


def classifier_for(model: ServingModel) -> "Classifier":
    """The serving model, loaded once; when another one serves it takes the place of the former."""
    if model.artifact_sha256 not in _loaded:
        import torch  # noqa: PLC0415 - only a label worker needs torch

        from worker import classifiers  # noqa: PLC0415

        # The label processes of a machine share its processors and its GPUs.
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // settings().label_workers))
        gpus = torch.cuda.device_count()
        device = f"cuda:{getattr(current_process(), 'index', 0) % gpus}" if gpus else None
        _loaded.clear()  # first, so that two models never share the memory of one GPU
        _loaded[model.artifact_sha256] = classifiers.load(settings().models_folder, model, device=device)
    return _loaded[model.artifact_sha256]
