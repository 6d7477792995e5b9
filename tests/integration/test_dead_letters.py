"""Work that was given up: listed with its history, tried again, dropped; and the commands for it."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result
from given import RULES, record, store, stored
from sqlalchemy import text
from under_test import HouseUnderTest

from nightread.commands import dead_letters as commands
from pipeline import dead_letters, findings, jobs, labelling, pulls
from pipeline.dead_letters import DeadLetter, NoDeadLetter, Retried
from pipeline.findings import Labelled
from pipeline.jobs import Terms
from pipeline.names import EventKind, FailureCause, JobKind
from pipeline.settings import FeedSettings, Settings
from pipeline.tables import JobState

Serve = Callable[..., int]
TERMS = Terms.of(Settings())


def work(house: HouseUnderTest, *, poison: set[int] | None = None, kind: JobKind = JobKind.LABEL) -> None:
    """Do whatever is ready; jobs with a poison report fail, and every one if none is named."""
    while True:
        with house.sessions.begin() as session:
            held = jobs.claim(session, kind, worker="here:1", terms=TERMS)
            if held is None:
                return
            model = labelling.serving(session)
            if kind is JobKind.LABEL and model is not None:
                jobs.read_with(session, held, model.id)
            if poison is None or poison & set(held.report_ids):
                jobs.fail(session, held, "boom")
                continue
            if kind is JobKind.LABEL:
                assert model is not None
                findings.save(session, [Labelled(one, (0.0,) * 18, ()) for one in held.report_ids], model=model)
            jobs.finish(session, held, {})


def work_as_a_worker(house: HouseUnderTest) -> None:
    """Do whatever is ready, as far as its reports still want the labels of the model that serves."""
    while True:
        with house.sessions.begin() as session:
            held = jobs.claim(session, JobKind.LABEL, worker="here:1", terms=TERMS)
            if held is None:
                return
            model = labelling.serving(session)
            assert model is not None
            jobs.read_with(session, held, model.id)
            wanted = findings.texts(session, held.report_ids, model_version_id=model.id)
            findings.save(session, [Labelled(one, (0.0,) * 18, ()) for one in wanted], model=model)
            jobs.finish(session, held, {})


def letters(house: HouseUnderTest, state: JobState = JobState.DEAD) -> list[DeadLetter]:
    with house.sessions.begin() as session:
        return dead_letters.letters(session, state=state)


def retry(house: HouseUnderTest, *job_ids: int) -> Retried:
    with house.sessions.begin() as session:
        return dead_letters.retry(session, job_ids, by="ann@there", rules=RULES)


def drop(house: HouseUnderTest, *job_ids: int, note: str | None = None) -> None:
    with house.sessions.begin() as session:
        dead_letters.drop(session, job_ids, by="ann@there", rules=RULES, note=note)


def ask_pull(house: HouseUnderTest) -> int | None:
    with house.sessions.begin() as session:
        return pulls.ask(session, "main", FeedSettings(path=Path("/nowhere"), site="seoul"), attempts=1)


def completeness(house: HouseUnderTest) -> dict[str, int]:
    (row,) = house.rows("SELECT labelled, pending, dead FROM completeness")
    return {name: count for name, count in row._mapping.items() if count}


def state(house: HouseUnderTest, job_id: int) -> str:
    return str(house.value("SELECT state FROM job WHERE id = :id", id=job_id))


@pytest.fixture
def letter(house: HouseUnderTest, serve: Serve) -> DeadLetter:
    """Three reports, the second of which no model can read; the others have their labels."""
    serve()
    stored(house, ["One.", "Two.", "Three."])
    work(house, poison={2})
    (found,) = letters(house)
    return found


# --- looked into


def test_a_letter_says_what_was_given_up_and_why(letter: DeadLetter) -> None:
    assert (letter.kind, letter.report, letter.feed, letter.model) == (JobKind.LABEL, 2, None, 1)
    assert (letter.reason, letter.failures, letter.settled) == ("boom", 5, False)
    assert letter.since is not None


def test_its_history_goes_back_to_the_job_it_was_split_from(house: HouseUnderTest, letter: DeadLetter) -> None:
    with house.sessions.begin() as session:
        found = dead_letters.failures(session, letter.job)
    assert [(one.reports, one.cause, one.reason, one.model) for one in found] == [
        *[(3, FailureCause.WORK, "boom", 1)] * 3,
        (2, FailureCause.WORK, "boom", 1),
        (1, FailureCause.WORK, "boom", 1),
    ]
    assert {one.worker for one in found} == {"here:1"}


def test_a_letter_is_settled_once_another_model_has_read_its_report(
    house: HouseUnderTest, letter: DeadLetter, serve: Serve
) -> None:
    serve(artifact="tiny2")
    assert letters(house)[0].settled, "it waits for the other model"
    work(house, poison=set())
    assert letters(house)[0].settled


def test_a_letter_whose_report_still_shows_an_older_label_is_not_settled(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    stored(house, ["One."])
    work(house, poison=set())
    serve(artifact="tiny2")
    work(house)
    (found,) = letters(house)
    assert not found.settled
    assert completeness(house) == {"labelled": 1}


def test_a_letter_whose_report_was_withdrawn_is_settled(house: HouseUnderTest, letter: DeadLetter) -> None:
    store(house, record("r2", text=None))
    assert letters(house)[0].settled


# --- tried again


def test_a_retried_letter_is_the_same_job_with_fresh_attempts(house: HouseUnderTest, letter: DeadLetter) -> None:
    assert retry(house, letter.job) == Retried((letter.job,), {})
    (job,) = house.rows("SELECT state, attempts, max_attempts, waits, error FROM job WHERE id = :id", id=letter.job)
    assert tuple(job) == ("ready", 0, 3, 0, "boom")
    assert completeness(house) == {"labelled": 2, "pending": 1}
    work(house, poison=set())
    assert completeness(house) == {"labelled": 3}
    assert letters(house) == []


def test_one_that_fails_again_is_a_letter_again_with_all_of_its_history(
    house: HouseUnderTest, letter: DeadLetter
) -> None:
    retry(house, letter.job)
    work(house)
    (found,) = letters(house)
    assert (found.job, found.failures) == (letter.job, 5 + 3)
    with house.sessions.begin() as session:
        (decision,) = dead_letters.decisions(session, letter.job)
    assert (decision.what, decision.by) == (EventKind.DEAD_LETTER_RETRIED, "ann@there")


def test_reconciling_leaves_a_retried_letter_to_its_job(house: HouseUnderTest, letter: DeadLetter) -> None:
    retry(house, letter.job)
    with house.sessions.begin() as session:
        assert labelling.reconcile(session, rules=RULES) == 0


def test_a_dead_pull_is_tried_again(house: HouseUnderTest) -> None:
    job = ask_pull(house)
    work(house, kind=JobKind.PULL)
    (found,) = letters(house)
    assert (found.job, found.kind, found.feed, found.report, found.settled) == (job, JobKind.PULL, "main", None, False)
    retry(house, found.job)
    work(house, poison=set(), kind=JobKind.PULL)
    assert state(house, found.job) == "done"


def test_a_pull_that_was_asked_for_since_takes_the_letter_s_place(house: HouseUnderTest) -> None:
    dead = ask_pull(house)
    work(house, kind=JobKind.PULL)
    since = ask_pull(house)
    assert dead is not None
    assert retry(house, dead) == Retried((), {dead: since})
    assert (state(house, dead), state(house, since or 0)) == ("dropped", "ready")
    with house.sessions.begin() as session:
        (decision,) = dead_letters.decisions(session, dead)
    assert (decision.what, decision.note) == (EventKind.DEAD_LETTER_DROPPED, dead_letters.OVERTAKEN)


def test_of_two_letters_for_the_same_work_one_is_tried_again(house: HouseUnderTest) -> None:
    first = ask_pull(house)
    work(house, kind=JobKind.PULL)
    second = ask_pull(house)
    work(house, kind=JobKind.PULL)
    assert first is not None
    assert second is not None
    assert retry(house, first, second) == Retried((first,), {second: first})


def test_a_dead_pull_is_settled_by_a_later_one_that_went_well(house: HouseUnderTest) -> None:
    ask_pull(house)
    work(house, kind=JobKind.PULL)
    ask_pull(house)
    assert not letters(house)[0].settled
    work(house, poison=set(), kind=JobKind.PULL)
    assert letters(house)[0].settled


def given_up_by_both(house: HouseUnderTest, letter: DeadLetter, serve: Serve) -> int:
    """Let a second model give up the letter's report as well; the second letter."""
    serve(artifact="tiny2")
    work(house, poison={2})
    (second,) = [one.job for one in letters(house) if one.model == 2]
    assert second != letter.job
    return second


@pytest.mark.parametrize("dropped", [False, True])
def test_a_retry_reopens_what_the_serving_model_gave_up(
    house: HouseUnderTest, letter: DeadLetter, serve: Serve, dropped: bool
) -> None:
    second = given_up_by_both(house, letter, serve)
    if dropped:
        drop(house, second)
    done = retry(house, letter.job)
    assert sorted((*done.ready, *done.overtaken)) == sorted((letter.job, second))
    work_as_a_worker(house)
    assert completeness(house) == {"labelled": 3}
    assert house.rows("SELECT count(*) FROM report_labels WHERE report_id = 2 AND model_version = 2") == [(1,)]


def test_an_open_job_reads_the_report_of_the_letter_that_it_overtook(house: HouseUnderTest, letter: DeadLetter) -> None:
    with house.sessions.begin() as session:
        same = text(
            "INSERT INTO job (kind, key, priority, max_attempts, report_ids) "
            "SELECT kind, key, priority, 3, report_ids FROM job WHERE id = :id RETURNING id"
        )
        other = session.execute(same, {"id": letter.job}).scalar_one()
    assert retry(house, letter.job) == Retried((), {letter.job: other})
    work_as_a_worker(house)
    assert completeness(house) == {"labelled": 3}


# --- dropped


def test_a_dropped_letter_stays_counted_and_its_model_does_not_get_it_again(
    house: HouseUnderTest, letter: DeadLetter
) -> None:
    drop(house, letter.job, note="a scanned page")
    assert letters(house) == []
    (found,) = letters(house, JobState.DROPPED)
    assert (found.job, found.failures, found.settled) == (letter.job, 5, True)
    assert completeness(house) == {"labelled": 2, "dead": 1}
    with house.sessions.begin() as session:
        assert labelling.reconcile(session, rules=RULES) == 0
        (decision,) = dead_letters.decisions(session, letter.job)
    assert (decision.what, decision.by, decision.note) == (
        EventKind.DEAD_LETTER_DROPPED,
        "ann@there",
        "a scanned page",
    )


def test_another_model_reads_what_was_dropped(house: HouseUnderTest, letter: DeadLetter, serve: Serve) -> None:
    drop(house, letter.job)
    serve(artifact="tiny2")
    work(house, poison=set())
    assert completeness(house) == {"labelled": 3}


def test_who_dropped_by_mistake_may_retry(house: HouseUnderTest, letter: DeadLetter) -> None:
    drop(house, letter.job)
    assert retry(house, letter.job).ready == (letter.job,)


@pytest.mark.parametrize("decide", [retry, drop])
def test_only_what_was_given_up_can_be_decided_about(
    decide: Callable[..., object], house: HouseUnderTest, letter: DeadLetter
) -> None:
    with pytest.raises(NoDeadLetter, match="job 1 is done, no dead letter; `nightread dead-letters list`"):
        decide(house, letter.job, 1)
    with pytest.raises(NoDeadLetter, match="there is no job 99"):
        decide(house, letter.job, 99)
    assert state(house, letter.job) == "dead", "all or none"


# --- the commands


@pytest.fixture
def typed(invoke: Callable[..., Result]) -> Callable[..., Result]:
    return partial(invoke, commands.app)


def test_the_list_names_job_report_and_reason(letter: DeadLetter, typed: Callable[..., Result]) -> None:
    (found,) = json.loads(typed("list", "--json").stdout)
    assert (found["job"], found["report"], found["reason"], found["failures"]) == (letter.job, 2, "boom", 5)
    said = typed("list")
    assert said.exit_code == 0
    assert "boom" in said.stdout
    assert json.loads(typed("list", "--json", "--kind", "pull").stdout) == []


def test_what_was_retried_is_no_letter_any_more(letter: DeadLetter, typed: Callable[..., Result]) -> None:
    typed("retry", str(letter.job))
    assert isinstance(typed("show", str(letter.job)).exception, NoDeadLetter)


def test_reasons_are_shown_as_they_are(house: HouseUnderTest, letter: DeadLetter, typed: Callable[..., Result]) -> None:
    with house.sessions.begin() as session:
        session.execute(text("UPDATE job SET error = 'at [bold]x[/bold]'"))
    assert "[bold]" in typed("show", str(letter.job)).stdout
    assert "[bold]" in typed("list").stdout.replace("\n", "")


def test_all_are_retried_and_dropped_with_a_note(
    house: HouseUnderTest, letter: DeadLetter, typed: Callable[..., Result]
) -> None:
    assert "Ready again" in typed("retry", "--all", "--note", "library updated").stdout
    assert typed("retry", "--all").stdout == "No dead letters.\n"
    work(house)
    assert f"Dropped: {letter.job}." in typed("drop", "--all", "--kind", "label", "--note", "a scan").stdout
    shown = json.loads(typed("show", str(letter.job), "--json").stdout)
    assert [one["note"] for one in shown["decisions"]] == ["library updated", "a scan"]
    assert len(shown["history"]) == 8
    said = typed("show", str(letter.job)).stdout
    assert "a scan" in said
    assert "dropped by" in said
    (dropped,) = json.loads(typed("list", "--dropped", "--json").stdout)
    assert dropped["job"] == letter.job


@pytest.mark.parametrize("arguments", [["retry"], ["drop"], ["retry", "1", "--all"], ["drop", "1", "--kind", "label"]])
def test_what_is_meant_has_to_be_said(arguments: list[str], letter: DeadLetter, typed: Callable[..., Result]) -> None:
    assert typed(*arguments).exit_code == 2


def test_a_house_without_dead_letters_says_so(typed: Callable[..., Result]) -> None:
    assert typed("list").stdout == "No dead letters.\n"
