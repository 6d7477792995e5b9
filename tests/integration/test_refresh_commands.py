"""`nightread refresh …`: asked for, watched, stopped; and what people may do about a challenger that waits for them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console
from under_test import HouseUnderTest

from nightread import crew, status_screen
from nightread.commands import refresh as commands
from nightread.commands import registry
from nightread.commands import status as status_command
from nightread.commands.shared import who
from nightread.crew import Member
from pipeline import jobs, refresh_runs
from pipeline.jobs import Claim, Terms
from pipeline.model_versions import PromotionRefused
from pipeline.names import EventKind, JobKind
from pipeline.refresh_runs import Cancelled, NotRefreshed, Progress
from pipeline.tables import ModelVersion, RefreshRun, RefreshStage, RefreshState, Stage

Serve = Callable[..., int]
Typed = Callable[..., Result]

VERDICT = {
    "state": "inconclusive",
    "gates": [
        {
            "metric": "macro-f1", "suite": "east", "outcome": "passed", "champion": 0.81, "challenger": 0.83,
            "low": -0.01, "high": 0.05, "margin": 0.02, "reason": "",
        },
        {"metric": "macro-f1", "suite": "서울", "outcome": "inconclusive", "reason": "12 positives, 20 are needed"},
        {"metric": "churn", "suite": "newest reports", "outcome": "shown", "challenger": 0.04, "reason": ""},
    ],
    "reasons": ["macro-f1 서울: 12 positives, 20 are needed"],
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("something_to_learn")


@pytest.fixture
def typed(invoke: Callable[..., Result]) -> Typed:
    """`nightread refresh …`; `registry` types `nightread models …` instead."""
    return lambda *arguments, app=commands.app: invoke(app, *arguments)


def asked(house: HouseUnderTest) -> int:
    with house.sessions.begin() as session:
        return refresh_runs.ask(session, reason="volume", by="policy", rules=house.house.rules).id


def claimed(house: HouseUnderTest) -> Claim:
    with house.sessions.begin() as session:
        held = jobs.claim(session, JobKind.REFRESH, worker="here:1", terms=Terms.of(house.house.settings))
        assert held is not None
        return held


def ended(
    house: HouseUnderTest, number: int, state: RefreshState, *, verdict: Any = None, stage: Stage | None = None
) -> int:
    """The refresh comes to this end, with a challenger of its own; its version."""
    with house.sessions.begin() as session:
        run = session.get_one(RefreshRun, number)
        champion = session.get_one(ModelVersion, run.former_model_version_id)
        challenger = ModelVersion(
            kind="classifier", foundation="tiny", artifact=champion.artifact, artifact_sha256=champion.artifact_sha256,
            label_set_id=champion.label_set_id, thresholds=champion.thresholds, stage=stage,
        )  # fmt: skip
        session.add(challenger)
        session.flush()
        run.model_version_id, run.verdict = challenger.id, verdict
        reasons = tuple((verdict or {}).get("reasons", ()))
        refresh_runs.finish(session, number, state, reasons=reasons, by="policy", rules=house.house.rules)
        return challenger.id


def newest(typed: Typed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(typed("status", "--json").stdout)
    return found


# --- asked for


def test_nothing_can_be_refreshed_before_a_model_serves(typed: Typed) -> None:
    refused = typed().exception
    assert isinstance(refused, NotRefreshed)
    assert "nightread train" in str(refused)


def test_it_is_asked_for_by_name_and_with_a_reason(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    version = serve()
    said = typed("--reason", "a new ward", "--accept-inconclusive")
    assert said.exit_code == 0, said.exception
    assert "Refresh 1 is asked for" in said.stdout
    assert "refresh status" in said.stdout
    row = house.rows("SELECT reason, asked_by, accepts_inconclusive, state FROM refresh_run")
    assert [tuple(one) for one in row] == [("a new ward", who(), True, "open")]
    assert house.value("SELECT count(*) FROM job WHERE kind = 'refresh' AND state = 'ready'") == 1
    found = newest(typed)
    assert (found["refresh"], found["state"], found["former_model_version"]) == (1, "open", version)


def test_as_json_it_is_told_as_status_tells_it(serve: Serve, typed: Typed) -> None:
    serve()
    assert json.loads(typed("--json").stdout) == newest(typed)


def test_a_second_one_is_refused_and_told_of_the_first(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    serve()
    typed("--reason", "a new ward")
    refused = typed().exception
    assert isinstance(refused, NotRefreshed)
    assert f"refresh 1 (a new ward, asked for by {who()}) is under way" in str(refused)
    assert "refresh cancel" in str(refused)
    assert house.value("SELECT count(*) FROM refresh_run") == 1


# --- status and history


def test_a_house_that_was_never_refreshed_says_so(typed: Typed) -> None:
    assert "No refresh yet" in typed("status").stdout
    assert newest(typed) is None
    assert "No refresh yet" in typed("history").stdout
    assert json.loads(typed("history", "--json").stdout) == []


def test_status_says_how_far_it_is(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    version, number = serve(), asked(house)
    held, terms = claimed(house), Terms.of(house.house.settings)
    done = Progress(step=40, steps=100, loss=2.5134, seconds_left=200)
    with house.sessions.begin() as session:
        refresh_runs.progress(session, held, number, RefreshStage.PRETRAINING, done, terms)
    said = typed("status").stdout
    for expected in ("pre-training, step 40 of 100, loss 2.513, 3 min 20 s left", "volume", "by policy", str(version)):
        assert expected in said
    found = newest(typed)
    assert [found[name] for name in ("stage", "step", "steps", "loss", "seconds_left")] == [
        "pre-training", 40, 100, 2.5134, 200,
    ]  # fmt: skip
    # … and so does `nightread status`, in a line of its own.
    now, disk, alerts = status_command.read(house.house)
    shown = Console(width=200, record=True, file=StringIO())
    shown.print(status_screen.screen(now, disk, alerts, zone=house.house.settings.zone))
    assert "1 is at pre-training 40%, 3 min 20 s left (volume)" in shown.export_text()
    assert not any("refresh" in alert for alert in alerts)


def test_what_waits_for_its_environment_says_for_what(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    serve()
    asked(house)
    with house.sessions.begin() as session:
        jobs.give_back(session, claimed(house), "the disk is full", Terms.of(house.house.settings))
    assert "the disk is full" in typed("status").stdout


def test_one_whose_job_was_given_up_has_failed(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    serve()
    asked(house)
    give_up(house)
    said = typed("status").stdout
    assert "production is as it was" in said
    assert "it fell over" in said
    assert newest(typed)["state"] == "failed"
    assert typed().exit_code == 0, "another one may be asked for"


def give_up(house: HouseUnderTest) -> None:
    with house.sessions.begin() as session:
        for _ in range(house.house.settings.attempts):
            held = jobs.claim(session, JobKind.REFRESH, worker="here:1", terms=Terms.of(house.house.settings))
            assert held is not None
            jobs.fail(session, held, "it fell over")


def test_status_shows_the_gates_and_tolerates_figures_that_are_missing(
    house: HouseUnderTest, serve: Serve, typed: Typed
) -> None:
    serve()
    challenger = ended(house, asked(house), RefreshState.INCONCLUSIVE, verdict=VERDICT)
    said = typed("status").stdout
    east, seoul, churn = (
        next(line for line in said.splitlines() if name in line) for name in ("east", "서울", "churn")
    )
    for expected in ("passed", "0.810 → 0.830", "-0.010 to +0.050", "0.02"):
        assert expected in east
    assert "inconclusive" in seoul
    assert "– → 0.040" in churn
    assert "12 positives, 20 are needed" in said
    assert f"`nightread models promote {challenger} --note WHY`" in said


def test_history_lists_them_all(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    serve()
    ended(house, asked(house), RefreshState.REJECTED, stage=Stage.REJECTED)
    asked(house)
    said = typed("history").stdout
    assert "rejected" in said
    assert "1 → 2" in said
    assert [(one["refresh"], one["state"]) for one in json.loads(typed("history", "--json").stdout)] == [
        (1, "rejected"),
        (2, "open"),
    ]


# --- cancelled


def test_one_that_nobody_works_on_is_cancelled_at_once(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    serve()
    asked(house)
    assert "Refresh 1 is cancelled." in typed("cancel").stdout
    found = newest(typed)
    assert (found["state"], found["reasons"]) == ("cancelled", [f"cancelled by {who()}"])
    assert house.value("SELECT count(*) FROM job WHERE kind = 'refresh' AND state = 'ready'") == 0


def test_one_under_way_is_asked_to_stop_and_its_worker_hears_of_it(
    house: HouseUnderTest, serve: Serve, typed: Typed
) -> None:
    serve()
    number, held = asked(house), claimed(house)
    assert "asked to stop" in typed("cancel").stdout
    assert newest(typed)["state"] == "open"
    assert f"{who()} asked to stop it" in typed("status").stdout
    terms = Terms.of(house.house.settings)
    with pytest.raises(Cancelled), house.sessions.begin() as session:
        refresh_runs.progress(session, held, number, RefreshStage.PRETRAINING, Progress(1, 2), terms)


def test_there_may_be_nothing_to_cancel(typed: Typed) -> None:
    assert isinstance(typed("cancel").exception, NotRefreshed)


# --- waited for


@contextmanager
def worked_on(monkeypatch: pytest.MonkeyPatch, steps: Iterator[object]) -> Iterator[list[Member]]:
    """A crew that does a step at every look."""
    members: list[Member] = []

    @contextmanager
    def someone_at_work(_: object, *wanted: Member) -> Iterator[Callable[[], object]]:
        members.extend(wanted)
        yield lambda: next(steps)

    monkeypatch.setattr(crew, "someone_at_work", someone_at_work)
    monkeypatch.setattr(commands, "LOOK_SECONDS", 0.0)
    yield members


def stages(house: HouseUnderTest, end: RefreshState) -> Iterator[None]:
    """A refresh that comes through every stage, a step at a time."""
    held, terms = claimed(house), Terms.of(house.house.settings)
    for stage in RefreshStage:
        for step in (1, 2):
            with house.sessions.begin() as session:
                refresh_runs.progress(session, held, 1, stage, Progress(step, 2, loss=0.5), terms)
            yield
    ended(house, 1, end, verdict=VERDICT)
    yield


def test_whoever_waits_sees_every_stage_and_the_end(
    house: HouseUnderTest, serve: Serve, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    with worked_on(monkeypatch, stages(house, RefreshState.PROMOTED)) as members:
        said = typed("--wait")
    assert said.exit_code == 0, said.exception
    assert members == [Member.SCHEDULER, Member.TRAINING]
    for stage in RefreshStage:
        assert f"refresh 1: {stage}: 2 of 2 loss 0.500" in said.stderr
    assert "macro-f1 east" in said.stdout
    assert "model version 2 serves in place of 1" in said.stdout


@pytest.mark.parametrize("end", [RefreshState.REJECTED, RefreshState.INCONCLUSIVE, RefreshState.CANCELLED])
def test_whatever_does_not_serve_at_the_end_is_a_failure_to_whoever_waits(
    end: RefreshState, house: HouseUnderTest, serve: Serve, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    with worked_on(monkeypatch, stages(house, end)):
        said = typed("--wait", "--json")
    assert said.exit_code == 1
    assert json.loads(said.stdout)["state"] == end


def test_nobody_waits_for_ever_for_a_job_that_was_given_up(
    house: HouseUnderTest, serve: Serve, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    with worked_on(monkeypatch, iter(lambda: give_up(house), 1)):
        said = typed("--wait")
    assert said.exit_code == 1
    assert "it fell over" in said.stdout


def test_whoever_stops_waiting_stops_nothing_else(
    house: HouseUnderTest, serve: Serve, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    serve()
    with worked_on(monkeypatch, interrupted()):
        said = typed("--wait")
    assert said.exit_code == 1
    assert "Refresh 1 goes on." in said.stderr
    assert "refresh cancel" in said.stderr
    assert newest(typed)["state"] == "open"


# --- a challenger that waits for a person


def test_a_candidate_that_waits_for_a_person_is_an_alert_until_somebody_decides(
    house: HouseUnderTest, serve: Serve, typed: Typed
) -> None:
    serve()
    challenger = ended(house, asked(house), RefreshState.INCONCLUSIVE, verdict=VERDICT)
    (alert,) = (one for one in status_command.read(house.house)[2] if "waits for a person" in one)
    assert "macro-f1 서울 (12 positives, 20 are needed)" in alert
    assert f"models promote {challenger} --note" in alert
    assert typed("promote", str(challenger), "--note", "read by hand", app=registry.app).exit_code == 0
    assert not any("waits for a person" in one for one in status_command.read(house.house)[2])


def test_what_its_gates_could_not_decide_about_wants_a_note_and_a_name(
    house: HouseUnderTest, serve: Serve, typed: Typed
) -> None:
    first = serve()
    challenger = ended(house, asked(house), RefreshState.INCONCLUSIVE, verdict=VERDICT)
    for arguments in ([], ["--force"], ["--note", " "]):
        refused = typed("promote", str(challenger), *arguments, app=registry.app).exception
        assert isinstance(refused, PromotionRefused)
        assert "macro-f1 서울" in str(refused)
        assert "--note" in str(refused)
    assert house.value("SELECT model_version FROM model_history WHERE serves") == first
    said = typed("promote", str(challenger), "--note", "200 read by hand", app=registry.app)
    assert said.exit_code == 0, said.exception
    (fact,) = house.rows(
        "SELECT payload FROM event WHERE kind = :k ORDER BY id DESC LIMIT 1", k=EventKind.MODEL_PROMOTED
    )
    assert (fact.payload["by"], fact.payload["note"]) == (who(), "200 read by hand")
    assert house.value("SELECT state FROM refresh_run") == "inconclusive", "what the gates said stays said"
    typed("promote", str(first), app=registry.app)
    assert typed("promote", str(challenger), app=registry.app).exit_code == 0, "somebody has decided before"


def test_what_its_gates_rejected_wants_force_and_not_a_note(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    serve()
    challenger = ended(house, asked(house), RefreshState.REJECTED, stage=Stage.REJECTED)
    assert isinstance(typed("promote", str(challenger), "--note", "x", app=registry.app).exception, PromotionRefused)
    assert typed("promote", str(challenger), "--force", app=registry.app).exit_code == 0
