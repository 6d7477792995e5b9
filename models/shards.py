"""Token sequences on disk, for more texts than memory holds: written from a stream, read as if they were in memory.

There is no way to take up shards that were written before: whoever wants some writes them anew, at each start and each
resume, without what was withdrawn meanwhile. So half-written ones, as a killed process leaves them, are never taken for
whole; the next `write` to their folder, or `remove`, deletes them.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from models import packing
from models.errors import ArtifactError
from models.packing import Documents

_Number = TypeVar("_Number", np.int32, np.int64)

_IDS, _ENDS = "ids.int32", "ends.int64"
# Characters that are tokenized in one go: some thousand reports, a few tens of MB for as long as that takes.
_BATCH = 4_000_000


class ShardsError(ArtifactError):
    """The texts to train on cannot be written to disk: the environment's fault, not a report's."""


def write(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, folder: Path, *, length: int) -> Documents:
    """The documents of `texts`, as `packing.tokenize` makes them, on disk in `folder`, which is emptied first and which
    only its owner may read. How much memory this takes does not depend on how many there are.

    Raises ShardsError if the disk is full or fails. Then, and if `texts` raises, nothing is left of them.
    """
    remove(folder)
    ids, ends = folder / _IDS, folder / _ENDS
    tokens = 0
    try:
        with _explained(folder):
            folder.mkdir(mode=0o700, parents=True)
            ids.touch(mode=0o600)
            ends.touch(mode=0o600)
        for some in _batches(texts):
            made = packing.tokenize(some, tokenizer, length=length)
            with _explained(folder):
                _append(ids, made.ids)
                _append(ends, made.ends + tokens)
            tokens += len(made.ids)
        with _explained(folder):
            return Documents(_mapped(ids, np.int32), _mapped(ends, np.int64))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def remove(folder: Path) -> None:
    """Delete the shards in `folder`, if there are any. Raises ShardsError if they cannot be deleted."""
    with _explained(folder):
        if folder.exists():
            shutil.rmtree(folder)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    characters = 0
    for text in texts:
        some.append(text)
        characters += len(text)
        if characters >= _BATCH:
            yield some
            some, characters = [], 0
    if some:
        yield some


def _append(file: Path, array: NDArray[_Number]) -> None:
    # Not `tofile`, whose error on a full disk does not say so; closed at once, so that nothing is left to be flushed.
    with file.open("ab") as stream:
        stream.write(array.tobytes())


def _mapped(file: Path, kind: type[_Number]) -> NDArray[_Number]:
    if not file.stat().st_size:  # nothing cannot be mapped
        return np.empty(0, kind)
    return np.memmap(file, kind, mode="r").view(np.ndarray)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ShardsError(
            f"the texts to train on could not be written to {str(folder)!r} ({error.strerror}); make room, or let this "
            "account write there, and do it again"
        ) from None
