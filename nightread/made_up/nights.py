"""A later night of a hospital: new reports, and what has become of those delivered before."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nightread.made_up.amending import Change
from nightread.made_up.reports import MadeUpReport

# Of the reports delivered before. Real departments amend one in a few dozen and withdraw one in a few hundred.
AMENDED, WITHDRAWN = 0.04, 0.01


@dataclass(frozen=True, slots=True)
class Night:
    """What one night brings. `retracted` reports were entered in error, `deleted` ones are gone from the archive."""

    fresh: tuple[MadeUpReport, ...]
    amended: tuple[MadeUpReport, ...] = ()
    retracted: tuple[MadeUpReport, ...] = ()
    deleted: tuple[MadeUpReport, ...] = ()

    def standing(self, before: Iterable[MadeUpReport]) -> list[MadeUpReport]:
        """The reports that stand after it, as they stand: those from before in their order, then the fresh ones."""
        amended = {one.source_id: one for one in self.amended}
        withdrawn = {one.source_id for one in (*self.retracted, *self.deleted)}
        kept = [amended.get(one.source_id, one) for one in before if one.source_id not in withdrawn]
        return [*kept, *self.fresh]


def next_night(
    before: Sequence[MadeUpReport],
    fresh: Iterable[MadeUpReport],
    *,
    seed: int,
    amended: float = AMENDED,
    withdrawn: float = WITHDRAWN,
) -> Night:
    """A night after `before`: shares of those are amended (an addendum, a finding that had been missed, one that is
    taken back, in turns) and withdrawn (retracted and deleted in turns), at least one each where there are that many.
    """
    rng = random.Random(f"night/{seed}")
    touched = rng.sample(list(before), min(len(before), _some(amended, before) + _some(withdrawn, before)))
    changing, going = touched[: _some(amended, before)], touched[_some(amended, before) :]
    changes = tuple(Change)
    return Night(
        fresh=tuple(fresh),
        amended=tuple(one.amended(changes[number % len(changes)]) for number, one in enumerate(changing)),
        retracted=tuple(going[::2]),
        deleted=tuple(going[1::2]),
    )


def _some(share: float, of: Sequence[MadeUpReport]) -> int:
    return max(1, round(share * len(of))) if share else 0
