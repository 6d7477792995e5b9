"""How the replay buffer is shared by its strata, and which texts are held out: without a database."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.replay import HELD_OUT_OF_256, is_held_out, shares

SIZES = st.dictionaries(st.sampled_from([f"seoul en 20{year}-Q1" for year in range(20, 32)]), st.integers(0, 50))


@given(SIZES, st.integers(0, 200))
def test_all_room_is_used_and_no_more(sizes: dict[str, int], capacity: int) -> None:
    found = shares(sizes, capacity)
    assert found.keys() == sizes.keys()
    assert sum(found.values()) == min(capacity, sum(sizes.values()))
    assert all(0 <= found[name] <= size for name, size in sizes.items())


@given(SIZES, st.integers(0, 200))
def test_who_gets_less_than_it_has_gets_as_much_as_any_other(sizes: dict[str, int], capacity: int) -> None:
    found = shares(sizes, capacity)
    assert all(found[name] >= max(found.values()) - 1 for name, size in sizes.items() if found[name] < size)


def test_what_a_small_stratum_does_not_need_goes_to_the_others() -> None:
    assert shares({"a": 100, "b": 2, "c": 100}, 12) == {"a": 5, "b": 2, "c": 5}
    assert shares({"a": 100, "b": 2, "c": 4}, 12) == {"a": 6, "b": 2, "c": 4}


def test_what_cannot_be_divided_goes_to_the_first_by_name() -> None:
    assert shares({"c": 9, "a": 7, "b": 8}, 11) == {"a": 4, "b": 4, "c": 3}
    assert shares({"c": 9, "a": 7, "b": 8}, 2) == {"a": 1, "b": 1, "c": 0}
    assert shares({}, 5) == {}


@given(SIZES, SIZES, st.integers(0, 200))
def test_a_share_that_is_not_met_never_grows_as_texts_come(
    before: dict[str, int], more: dict[str, int], capacity: int
) -> None:
    """So nothing was evicted that would be kept, had everything been there at once."""
    then = shares(before, capacity)
    now = shares({name: before.get(name, 0) + more.get(name, 0) for name in before | more}, capacity)
    assert all(now[name] <= then[name] for name in before if then[name] < before[name])


@given(SIZES, SIZES, st.integers(0, 200))
def test_what_was_evicted_before_need_not_be_counted(
    before: dict[str, int], more: dict[str, int], capacity: int
) -> None:
    """General text that was evicted is known no longer; the shares are as if it were."""
    then = shares(before, capacity)
    everything = {name: before.get(name, 0) + more.get(name, 0) for name in before | more}
    still_known = {name: min(then.get(name, 0), before.get(name, 0)) + more.get(name, 0) for name in everything}
    assert shares(still_known, capacity) == shares(everything, capacity)


def test_what_is_held_out_is_told_by_the_last_byte() -> None:
    held = [is_held_out(f"{'f' * 62}{byte:02x}") for byte in range(256)]
    assert sum(held) == HELD_OUT_OF_256 == 13
    assert all(held[:13])
