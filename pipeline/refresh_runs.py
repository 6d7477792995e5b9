"""Refreshes of the language model as rows: asked for, under way, cancelled, ended. One is open at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipeline import events, jobs, promotions
from pipeline.errors import NightreadError
from pipeline.jobs import Claim, Terms
from pipeline.labelling import LabelRules
from pipeline.names import JobKind
from pipeline.tables import (
    Annotation,
    Job,
    JobState,
    ModelVersion,
    RefreshRun,
    RefreshStage,
    RefreshState,
    Report,
    Split,
    Stage,
)

# Who asks when nobody does.
POLICY = "policy"


class NotRefreshed(NightreadError):
    """No refresh can begin, or none can be stopped; production is as it was."""


class Cancelled(NightreadError):
    """Somebody asked to stop the refresh."""


@dataclass(frozen=True)
class Progress:
    """How far a stage has come; `seconds_left` is what is expected of it."""

    step: int
    steps: int
    loss: float | None = None
    seconds_left: float | None = None


def ask(session: Session, *, reason: str, by: str, rules: LabelRules, accepts_inconclusive: bool = False) -> RefreshRun:
    """Let a refresh begin as soon as a training worker is free. Raises `NotRefreshed` if one is open already, or if no
    model serves that it could go on from.
    """
    close_dead(session, rules=rules)
    serving = promotions.serving_id(session)
    if serving is None:
        raise NotRefreshed("no model serves that a refresh could go on from; run `nightread train … --promote` first")
    lacking = lacks(session, serving)
    if lacking is not None:
        raise NotRefreshed(lacking)
    run_id = session.scalar(
        insert(RefreshRun)
        .values(reason=reason, asked_by=by, accepts_inconclusive=accepts_inconclusive, former_model_version_id=serving)
        .on_conflict_do_nothing(index_elements=["state"], index_where=text("state = 'open'"))
        .returning(RefreshRun.id)
    )
    if run_id is None:
        open_run = current(session)
        which = f"refresh {open_run.id} ({open_run.reason}, asked for by {open_run.asked_by})" if open_run else "one"
        raise NotRefreshed(f"{which} is under way; wait for it, or stop it with `nightread refresh cancel`")
    events.publish(session, events.RefreshDue(run_id, reason, by), rules=rules)
    return session.get_one(RefreshRun, run_id)


def lacks(session: Session, model_version_id: int) -> str | None:
    """What a refresh of a model would lack, and the way out; None if it has all it needs."""
    label_set = select(ModelVersion.label_set_id).where(ModelVersion.id == model_version_id).scalar_subquery()
    fits = select(Annotation.id).where(Annotation.label_set_id == label_set, Annotation.split == Split.TRAIN)
    if session.scalar(fits.limit(1)) is None:
        return (
            f"no annotation with the labels of model version {model_version_id} is in the split train, so no "
            "classifier could be refitted; import some with `nightread annotations import`"
        )
    after = learnt_until(session, model_version_id)
    came = select(Report.id).where(Report.id > after, Report.is_current, Report.withdrawn_at.is_(None))
    if session.scalar(came.limit(1)) is None:
        return f"no report came since model version {model_version_id} learnt, so there is nothing to learn from"
    return None


def current(session: Session, *, lock: bool = False) -> RefreshRun | None:
    """The open refresh, as it is now; with `lock` it stays so until the caller commits."""
    found = select(RefreshRun).where(RefreshRun.state == RefreshState.OPEN).execution_options(populate_existing=True)
    return session.scalar(found.with_for_update() if lock else found)


def last_finished_at(session: Session) -> datetime | None:
    """When a refresh last came to its end. One that was cancelled counts: whoever did so meant it to stay away."""
    return session.scalar(select(func.max(RefreshRun.finished_at)))


LEARNT_UNTIL = text(
    """
    WITH RECURSIVE ancestor AS (
        SELECT id, parent_id FROM model_version WHERE id = :version
        UNION ALL
        SELECT m.id, m.parent_id FROM model_version m JOIN ancestor a ON m.id = a.parent_id
    )
    SELECT max(r.until_report_id) FROM refresh_run r JOIN ancestor a ON a.id = r.model_version_id
    """
)


def learnt_until(session: Session, model_version_id: int) -> int:
    """The last report that a model's language model has learnt from, itself or through its parents; 0 if none."""
    return session.scalar(LEARNT_UNTIL, {"version": model_version_id}) or 0


def progress(session: Session, held: Claim, run_id: int, stage: RefreshStage, done: Progress, terms: Terms) -> None:
    """Renew the lease and say how far the refresh is. Raises `LeaseLost`, or `Cancelled` if somebody asked for it."""
    jobs.renew(session, held, terms)
    stop_if_cancelled(session, run_id)
    session.execute(
        update(RefreshRun)
        .where(RefreshRun.id == run_id)
        .values(
            stage=stage,
            step=done.step,
            steps=done.steps,
            loss=done.loss,
            seconds_left=done.seconds_left,
            progressed_at=func.now(),
            job_id=held.id,
        )
    )


def record(session: Session, held: Claim, run_id: int, terms: Terms, **values: Any) -> None:
    """Keep what a stage came to, if the lease is still ours. Raises `LeaseLost`."""
    jobs.came_on(session, held, terms)
    session.execute(update(RefreshRun).where(RefreshRun.id == run_id).values(**values))


def stop_if_cancelled(session: Session, run_id: int) -> None:
    """Raises `Cancelled` if somebody asked to stop; until the caller commits nobody can ask any more."""
    asked_by = session.scalar(select(RefreshRun.cancel_asked_by).where(RefreshRun.id == run_id).with_for_update())
    if asked_by is not None:
        raise Cancelled(f"refresh {run_id} was cancelled by {asked_by}")


def cancel(session: Session, *, by: str, rules: LabelRules) -> RefreshRun:
    """Stop the open refresh: at once if nobody works on it, else as soon as its worker next says how far it is.

    Raises `NotRefreshed` if none is open.
    """
    close_dead(session, rules=rules)
    run = current(session)
    if run is None:
        raise NotRefreshed("no refresh is under way, so there is nothing to cancel")
    if run.cancel_asked_at is None:
        run.cancel_asked_at, run.cancel_asked_by = func.now(), by
    # One that is locked is being claimed; its worker finds the wish in its first word about progress.
    waiting = (
        select(Job.id).where(Job.kind == JobKind.REFRESH, Job.state == JobState.READY).with_for_update(skip_locked=True)
    )
    stopped = session.scalars(
        update(Job)
        .where(Job.id.in_(waiting.scalar_subquery()))
        .values(state=JobState.DONE, finished_at=func.now(), outcome={"cancelled": 1})
        .returning(Job.id)
    ).all()
    if stopped:
        finish(session, run.id, RefreshState.CANCELLED, reasons=(f"cancelled by {by}",), by=by, rules=rules)
    session.flush()
    session.refresh(run)
    return run


def finish(
    session: Session, run_id: int, state: RefreshState, *, reasons: tuple[str, ...], by: str, rules: LabelRules
) -> None:
    """The refresh comes to its end, with the fact."""
    run = session.get_one(RefreshRun, run_id)
    run.state, run.finished_at = state, func.now()
    if state in (RefreshState.CANCELLED, RefreshState.FAILED):  # what no gate has passed is not left to be promoted
        unjudged = update(ModelVersion).where(
            ModelVersion.id == run.model_version_id, ModelVersion.stage == Stage.CANDIDATE
        )
        session.execute(unjudged.values(stage=Stage.REJECTED, stage_note="; ".join(reasons)))
    fact = events.RefreshFinished(run_id, state, run.model_version_id, run.former_model_version_id, reasons, by)
    events.publish(session, fact, rules=rules)
    session.flush()


def close_dead(session: Session, *, rules: LabelRules) -> None:
    """An open refresh whose job was given up has failed; nothing would ever close it otherwise."""
    run = current(session, lock=True)
    if run is None:
        return
    under_way = select(Job.id).where(Job.kind == JobKind.REFRESH, Job.state.in_([JobState.READY, JobState.RUNNING]))
    if session.scalar(under_way.limit(1)) is None:
        reason = session.scalar(select(Job.error).where(Job.kind == JobKind.REFRESH).order_by(Job.id.desc()).limit(1))
        why = reason or "its job is gone"
        finish(session, run.id, RefreshState.FAILED, reasons=(why,), by=POLICY, rules=rules)
