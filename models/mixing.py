"""The rows of a refresh: every new document once and, between them, replayed ones against forgetting.

How much is replayed is a share of all tokens. What is replayed comes from all strata alike, however large they are, so
that a small site or an early period counts as much as what there is most of. Both go evenly through the epoch.
"""

from collections.abc import Iterator, Mapping
from itertools import count

import numpy as np
from numpy.random import Generator

from models import packing
from models.errors import ModelError
from models.packing import Documents, Rows

# A stratum of a few documents is not replayed more often than this in an epoch: it would be learnt by heart.
_MOST_OFTEN = 4


def mix(
    new: Documents,
    replayed: Mapping[str, Documents],
    *,
    fraction: float,
    length: int,
    rows: int,
    pad_id: int,
    rng: Generator,
) -> Iterator[Rows]:
    """One epoch: every document of `new` once, with documents of `replayed` (by stratum) among them so that they are
    `fraction` of all tokens; `rows` rows at a time, new ones first, the last time perhaps fewer.

    The same documents and generator give the same batches. The arrays may be memory-mapped: what is read is what a
    batch needs. Raises ModelError if `fraction` is not from 0 to below 1.
    """
    wanted = shares(new, replayed, fraction=fraction)
    names = [name for name in sorted(replayed) if wanted[name]]
    fresh = _Stream(new, int(new.sizes.sum()), length, rng)
    # Each begins a little later than the one before, or strata that give as much would always come together.
    replays = [
        _Stream(replayed[name], wanted[name], length, rng, behind=(place + 0.5) / len(names))
        for place, name in enumerate(names)
    ]
    streams = [fresh, *replays]
    while fresh.left:
        for _ in range(rows):
            if not fresh.left:
                break
            # Whoever is furthest behind comes next, so that every batch is mixed as the whole.
            min(streams, key=lambda stream: stream.progress).take()
        parts = [stream.laid_out(pad_id) for stream in streams]
        ids, positions, segments = (np.concatenate([part[array] for part in parts]) for array in range(3))
        yield Rows(ids, positions, segments, replayed=len(ids) - len(parts[0].ids))


def shares(new: Documents, replayed: Mapping[str, Documents], *, fraction: float) -> dict[str, int]:
    """How many tokens each stratum gives to an epoch of `new`, together `fraction` of all: as many each, except that
    none gives its documents more than four times; then the others give more, or if none can, less is replayed.

    Raises ModelError if `fraction` is not from 0 to below 1.
    """
    if not 0 <= fraction < 1:
        raise ModelError(f"{fraction} of all tokens cannot be replayed; take a share from 0 to below 1")
    remaining = round(int(new.sizes.sum()) * fraction / (1 - fraction))
    most = {name: _MOST_OFTEN * int(documents.sizes.sum()) for name, documents in replayed.items()}
    given: dict[str, int] = {}
    for left, name in zip(range(len(most), 0, -1), sorted(most, key=lambda name: (most[name], name)), strict=True):
        given[name] = min(most[name], remaining // left)
        remaining -= given[name]
    return given


class _Stream:
    """Documents in packed rows, again and again, and how far through the epoch what is wanted of them has come."""

    def __init__(
        self, documents: Documents, wanted: int, length: int, rng: Generator, *, behind: float = 0.0
    ) -> None:  # `behind`: as if this much of a row had been taken
        self._documents, self._wanted, self._length = documents, wanted, length
        self._sizes = documents.sizes
        (own,) = rng.spawn(1)  # so that no stream depends on how the others are drawn
        self._rows = (row for _ in count() for row in packing.packed(documents, length=length, rng=own))
        self._taken, self._behind = 0, behind * length
        self._waiting: list[list[int]] = []

    @property
    def left(self) -> bool:
        return self._taken < self._wanted

    @property
    def progress(self) -> float:
        return (self._taken + self._behind) / self._wanted

    def take(self) -> None:
        row = next(self._rows)
        self._taken += int(self._sizes[row].sum())
        self._waiting.append(row)

    def laid_out(self, pad_id: int) -> Rows:
        """What was taken since the last time, perhaps no row."""
        taken, self._waiting = self._waiting, []
        return packing.lay_out(self._documents, taken, length=self._length, pad_id=pad_id)
