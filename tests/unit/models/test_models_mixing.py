"""The mix of a refresh: all that is new, as much replayed as asked for, from all strata alike, the same again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import mixing
from models.errors import ModelError
from models.packing import PADDING, Documents, Rows

LENGTH = 24


def documents_of(sizes: list[int], first: int) -> Documents:
    """Documents that hold their own number, from `first` on."""
    ids = [np.full(size, first + number, np.int32) for number, size in enumerate(sizes)]
    return Documents(np.concatenate([np.empty(0, np.int32), *ids]), np.cumsum(sizes, dtype=np.int64))


def mixed(
    new: Documents,
    replayed: dict[str, Documents],
    fraction: float,
    *,
    rows: int = 4,
    seed: int = 0,
) -> list[Rows]:
    rng = np.random.default_rng(seed)
    made = mixing.mix(new, replayed, fraction=fraction, length=LENGTH, rows=rows, pad_id=0, rng=rng)
    return list(made)


def taken(batches: list[Rows], first: int, last: int) -> int:
    """Tokens of the documents numbered from `first` to below `last`."""
    return sum(int(((rows.ids >= first) & (rows.ids < last) & (rows.segments != PADDING)).sum()) for rows in batches)


sizes = st.lists(st.integers(1, LENGTH), max_size=40)


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, sizes, st.floats(0, 0.8), st.integers(1, 5), st.integers(0, 3))
def test_every_new_document_comes_once_and_no_more_is_replayed_than_asked_for(
    new: list[int], one: list[int], other: list[int], fraction: float, rows: int, seed: int
) -> None:
    replayed = {"one": documents_of(one, 1000), "other": documents_of(other, 2000)}
    batches = mixed(documents_of(new, 1), replayed, fraction, rows=rows, seed=seed)
    assert all(len(batch.ids) == rows for batch in batches[:-1])
    for batch in batches:
        is_new = ((batch.ids > 0) & (batch.ids < 1000)).any(1)
        assert is_new.tolist() == [True] * (len(batch.ids) - batch.replayed) + [False] * batch.replayed
    for number, size in enumerate(new, 1):
        assert taken(batches, number, number + 1) == size
    for first, documents in ((1000, one), (2000, other)):
        most = mixing.shares(documents_of(new, 1), replayed, fraction=fraction)["one" if first == 1000 else "other"]
        assert taken(batches, first, first + 1000) <= most + LENGTH
        assert most <= 4 * sum(documents)


def test_replay_is_the_fraction_and_comes_from_all_strata_alike() -> None:
    new = documents_of([10] * 2000, 1)
    replayed = {"large": documents_of([12] * 5000, 10_000), "small": documents_of([7] * 300, 20_000)}
    batches = mixed(new, replayed, 1 / 3, rows=8)
    large, small = taken(batches, 10_000, 20_000), taken(batches, 20_000, 30_000)
    assert large == pytest.approx(5000, abs=LENGTH)
    assert small == pytest.approx(5000, abs=LENGTH)


def test_every_batch_is_mixed_as_the_whole() -> None:
    replayed = {name: documents_of([8] * 900, first) for name, first in (("a", 10_000), ("b", 20_000))}
    batches = mixed(documents_of([8] * 1800, 1), replayed, 1 / 3, rows=9)
    shares = [taken([batch], 10_000, 30_000) / batch.tokens for batch in batches[:-1]]
    assert max(shares) - min(shares) < 0.12


def test_a_tiny_stratum_is_not_learnt_by_heart_and_the_others_give_more() -> None:
    new = documents_of([10] * 1000, 1)
    replayed = {"tiny": documents_of([10] * 5, 10_000), "large": documents_of([10] * 5000, 20_000)}
    assert mixing.shares(new, replayed, fraction=0.5) == {"tiny": 200, "large": 9800}
    assert mixing.shares(new, {"tiny": replayed["tiny"]}, fraction=0.5) == {"tiny": 200}


def test_the_mix_is_the_generators_and_not_the_order_of_the_strata() -> None:
    new = documents_of([5, 9, 13] * 40, 1)
    strata = {"b": documents_of([6] * 50, 1000), "a": documents_of([11] * 50, 2000)}
    backwards = dict(reversed(strata.items()))

    def ids(replayed: dict[str, Documents], seed: int) -> list[list[int]]:
        return [rows.ids.ravel().tolist() for rows in mixed(new, replayed, 0.3, seed=seed)]

    assert ids(strata, 0) == ids(strata, 0) == ids(backwards, 0)
    assert ids(strata, 0) != ids(strata, 1)


def test_nothing_new_is_no_mix_and_nothing_replayed_is_all_new() -> None:
    some = documents_of([5] * 30, 1)
    assert mixed(documents_of([], 1), {"a": some}, 0.5) == []
    assert taken(mixed(some, {}, 0.5), 1, 31) == 150
    assert taken(mixed(some, {"a": documents_of([5] * 30, 100)}, 0.0), 100, 200) == 0


def test_documents_may_lie_on_disk(tmp_path: Path) -> None:
    new, kept = documents_of([5, 9] * 40, 1), documents_of([6] * 50, 1000)

    def on_disk(documents: Documents, name: str) -> Documents:
        for part, array in documents._asdict().items():
            np.save(tmp_path / f"{name}-{part}.npy", array)
        return Documents(*(np.load(tmp_path / f"{name}-{part}.npy", mmap_mode="r") for part in Documents._fields))

    there = mixed(on_disk(new, "new"), {"a": on_disk(kept, "kept")}, 0.3)
    here = mixed(new, {"a": kept}, 0.3)
    assert [rows.ids.tolist() for rows in there] == [rows.ids.tolist() for rows in here]


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ModelError, match="cannot be replayed; take a share"):
        mixed(documents_of([5], 1), {}, fraction)
