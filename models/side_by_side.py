"""Batches of sentences on a CPU, a core each: a few sentences give too little work for cores to share it well."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from models import devices

Read = TypeVar("Read")


def side_by_side(
    read: Callable[[list[int]], Read], batches: Iterable[list[int]], device: torch.device
) -> Iterator[tuple[list[int], Read]]:
    """Every batch with what `read` makes of it, in order; on a GPU one after the other.

    The cores that PyTorch may use are divided among as many batches. What `read` raises is raised here, and no further
    batch is begun; raises DeviceError if there can be no more threads.
    """
    waiting, cores = list(batches), torch.get_num_threads()
    at_once = min(cores, len(waiting))
    if device.type != "cpu" or at_once < 2:
        for batch in waiting:
            yield batch, read(batch)
        return
    pool = ThreadPoolExecutor(at_once, "side-by-side", initializer=torch.set_num_threads, initargs=(cores // at_once,))
    try:
        with devices.guarded("starting threads"), pool:
            yield from zip(waiting, pool.map(read, waiting), strict=True)
    finally:
        # What a thread asks for becomes what every thread after it begins with.
        torch.set_num_threads(cores)
