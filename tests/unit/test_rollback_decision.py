"""Which versions a rollback withdraws, and when there is nothing to roll back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model_versions import NotRolledBack, RolledBack, planned_rollback


def test_the_version_before_serves_again() -> None:
    assert planned_rollback([7, 5, 3], to=None) == RolledBack(withdrawn=(7,), serving=5)


def test_all_that_came_after_the_one_named_are_withdrawn() -> None:
    assert planned_rollback([7, 5, 3], to=3) == RolledBack(withdrawn=(7, 5), serving=3)
    assert planned_rollback([7, 5, 3], to=5) == RolledBack(withdrawn=(7,), serving=5)


def test_what_counts_is_the_order_of_promotion_and_not_the_number() -> None:
    assert planned_rollback([2, 9, 4], to=None) == RolledBack(withdrawn=(2,), serving=9)


def test_nothing_serves() -> None:
    with pytest.raises(NotRolledBack, match="nothing to roll back"):
        planned_rollback([], to=None)


@pytest.mark.parametrize("to", [None, 7, 3])
def test_the_only_version_is_never_withdrawn(to: int | None) -> None:
    with pytest.raises(NotRolledBack, match=r"7 is the only one in production.*promote another"):
        planned_rollback([7], to=to)


def test_rolling_back_to_the_one_that_serves() -> None:
    with pytest.raises(NotRolledBack, match="serves already; name an older one: 5, 3"):
        planned_rollback([7, 5, 3], to=7)


def test_rolling_back_to_one_that_is_not_in_production() -> None:
    with pytest.raises(NotRolledBack, match=r"6 is not in production.*before 7: 5, 3.*models promote 6"):
        planned_rollback([7, 5, 3], to=6)


@given(st.lists(st.integers(1, 50), min_size=2, max_size=9, unique=True), st.data())
def test_the_withdrawn_and_the_serving_are_the_first_of_the_line(ranked: list[int], data: st.DataObject) -> None:
    done = planned_rollback(ranked, to=data.draw(st.sampled_from([None, *ranked[1:]])))
    assert done.withdrawn
    assert [*done.withdrawn, done.serving] == ranked[: len(done.withdrawn) + 1]
