"""Batches read side by side: the same answers in the same order, and PyTorch as it was."""

import threading
from collections.abc import Iterator

import pytest
import torch

from models.side_by_side import side_by_side

CPU = torch.device("cpu")
BATCHES = [[0, 1], [2], [3, 4, 5], [6], [7]]


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_every_batch_is_read_once_and_comes_in_order() -> None:
    assert list(side_by_side(sum, BATCHES, CPU)) == [(batch, sum(batch)) for batch in BATCHES]


def test_two_are_read_at_once_with_one_core_each() -> None:
    both = threading.Barrier(2, timeout=30)

    def read(_: list[int]) -> int:
        both.wait()  # for the other
        return torch.get_num_threads()

    assert [cores for _, cores in side_by_side(read, BATCHES[:4], CPU)] == [1, 1, 1, 1]


def test_few_batches_have_the_cores_divided_among_them() -> None:
    torch.set_num_threads(5)
    assert [cores for _, cores in side_by_side(lambda _: torch.get_num_threads(), BATCHES[:2], CPU)] == [2, 2]


def test_afterwards_this_thread_and_new_ones_have_all_cores() -> None:
    list(side_by_side(sum, BATCHES, CPU))
    found = [torch.get_num_threads()]
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [2, 2]


@pytest.mark.parametrize(
    ("batches", "device"), [(BATCHES[:1], CPU), (BATCHES, torch.device("cuda"))], ids=["one batch", "a GPU"]
)
def test_nothing_to_share_is_read_by_the_thread_that_asks(batches: list[list[int]], device: torch.device) -> None:
    read = dict(enumerate(side_by_side(lambda _: threading.current_thread(), batches, device)))
    assert {thread for _, thread in read.values()} == {threading.current_thread()}


def test_an_error_is_raised_and_the_rest_is_left() -> None:
    begun: list[list[int]] = []

    def read(batch: list[int]) -> None:
        begun.append(batch)
        if batch == [0]:
            raise ZeroDivisionError
        threading.Event().wait(0.01)

    with pytest.raises(ZeroDivisionError):
        list(side_by_side(read, [[number] for number in range(100)], CPU))
    assert len(begun) < 100
    assert torch.get_num_threads() == 2
