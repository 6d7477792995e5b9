"""Batches of sentences on a CPU, one core each: a few sentences give too little work for cores to share well."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Read = TypeVar("Read")


def side_by_side(
    read: Callable[[list[int]], Read], batches: Iterable[list[int]], device: torch.device
) -> Iterator[tuple[list[int], Read]]:
    """Every batch with what `read` makes of it, in order; on a GPU one after the other.

    As many at once as PyTorch may use threads. What `read` raises is raised here, and no further batch is begun.
    """
    waiting, cores = list(batches), torch.get_num_threads()
    if device.type != "cpu" or min(cores, len(waiting)) < 2:
        for batch in waiting:
            yield batch, read(batch)
        return
    try:
        with ThreadPoolExecutor(
            min(cores, len(waiting)), "side-by-side", initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            yield from zip(waiting, pool.map(read, waiting), strict=True)
    finally:
        # What a thread asks for becomes what every thread after it begins with.
        torch.set_num_threads(cores)
