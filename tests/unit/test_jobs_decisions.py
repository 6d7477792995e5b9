"""How long a job waits for its environment, how one that fails is split, and when it has had all its tries."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline import jobs
from pipeline.jobs import Terms, halves, spent
from pipeline.names import FailureCause
from pipeline.settings import Settings

WORK, SILENCE = FailureCause.WORK, FailureCause.SILENCE


def terms(*, first: float = 5, longest: float = 300) -> Terms:
    return Terms(
        lease=timedelta(seconds=120),
        first_wait=timedelta(seconds=first),
        longest_wait=timedelta(seconds=longest),
    )


def test_each_wait_is_twice_the_last() -> None:
    waits = [jobs.wait(times, terms()).total_seconds() for times in (1, 2, 3, 4)]
    assert waits == [5, 10, 20, 40]


def test_no_wait_is_longer_than_the_longest() -> None:
    assert jobs.wait(7, terms()) == timedelta(seconds=300)
    assert jobs.wait(6, terms()) == timedelta(seconds=160)


def test_a_night_of_failures_does_not_overflow() -> None:
    assert jobs.wait(1000, terms()) == timedelta(seconds=300)


def test_even_the_first_wait_is_bounded() -> None:
    assert jobs.wait(1, terms(first=60, longest=10)) == timedelta(seconds=10)


@given(st.integers(1, 1000), st.floats(0.001, 1000), st.floats(0.001, 10_000))
def test_waits_never_shrink(times: int, first: float, longest: float) -> None:
    here = terms(first=first, longest=longest)
    assert timedelta() < jobs.wait(times, here) <= jobs.wait(times + 1, here) <= here.longest_wait


def test_terms_come_from_the_settings() -> None:
    settings = Settings(lease_seconds=60, wait_seconds=1, longest_wait_seconds=9)
    assert Terms.of(settings) == Terms(timedelta(seconds=60), timedelta(seconds=1), timedelta(seconds=9))


def test_one_report_has_no_halves() -> None:
    assert halves([7]) == []


def test_a_pull_has_no_halves() -> None:
    assert halves([]) == []


def test_of_an_odd_number_the_first_half_is_longer() -> None:
    assert halves([1, 2, 3]) == [[1, 2], [3]]


@given(st.lists(st.integers(), min_size=2, max_size=200))
def test_halves_are_the_whole_in_order(report_ids: list[int]) -> None:
    first, second = halves(report_ids)
    assert first + second == report_ids
    assert len(first) - len(second) in {0, 1}


@given(st.lists(st.integers(), min_size=1, max_size=100, unique=True), st.data())
def test_splitting_again_and_again_leaves_the_poison_report_alone(report_ids: list[int], data: st.DataObject) -> None:
    poison = data.draw(st.sampled_from(report_ids))
    open_jobs, done, dead = [report_ids], [], []
    while open_jobs:
        job = open_jobs.pop()
        if poison not in job:
            done += job
        elif parts := halves(job):
            open_jobs += parts
        else:
            dead += job
    assert dead == [poison]
    assert sorted(done) == sorted(set(report_ids) - {poison})


def test_failed_work_has_as_many_tries_as_it_was_given() -> None:
    tries = [spent(attempts=attempts, max_attempts=3, reports=64, cause=WORK) for attempts in (1, 2, 3)]
    assert tries == [False, False, True]


def test_a_half_that_fails_has_had_its_only_try() -> None:
    assert spent(attempts=1, max_attempts=1, reports=32, cause=WORK)
    assert spent(attempts=1, max_attempts=1, reports=1, cause=WORK)
    assert spent(attempts=1, max_attempts=1, reports=32, cause=SILENCE), "its own halves will tell"


def test_a_report_alone_is_not_given_up_for_the_first_silence() -> None:
    assert not spent(attempts=1, max_attempts=1, reports=1, cause=SILENCE)
    assert spent(attempts=2, max_attempts=1, reports=1, cause=SILENCE)


def test_silence_never_takes_a_try_away() -> None:
    assert not spent(attempts=2, max_attempts=3, reports=1, cause=SILENCE)
    assert spent(attempts=3, max_attempts=3, reports=1, cause=SILENCE)


def test_a_pull_has_the_tries_it_was_given() -> None:
    assert spent(attempts=1, max_attempts=1, reports=0, cause=SILENCE)


@given(st.integers(1, 20), st.integers(0, 64), st.sampled_from(FailureCause))
def test_every_job_that_goes_on_failing_has_had_its_tries_in_the_end(
    max_attempts: int, reports: int, cause: FailureCause
) -> None:
    assert spent(attempts=max(max_attempts, 2), max_attempts=max_attempts, reports=reports, cause=cause)
