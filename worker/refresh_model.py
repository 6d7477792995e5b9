"""Refresh: the language model learns from the new reports, a classifier is refitted on it, and takes over if it may.

Stage after stage; what a stage came to is recorded before the next begins. A worker that is killed leaves a refresh
that the next one goes on with, and production as it was: what serves changes in the very last transaction alone.
"""

import logging

from pipeline.policy import Outcome

from models.errors import ArtifactError, DeviceError
from pipeline import jobs, model_versions, promotions, refresh_runs, replay
from pipeline.database import Sessions
from pipeline.jobs import Terms
from pipeline.labelling import LabelRules
from pipeline.names import JobKind
from pipeline.refresh_runs import Cancelled, NotRefreshed
from pipeline.settings import Settings
from pipeline.tables import ModelVersion, RefreshStage, RefreshState, Stage
from worker import refresh_evaluation, refresh_training
from worker.attempt import EnvironmentFailed, attempt, while_database_is_away
from worker.refresh_desk import Desk, named
from worker.refresh_training import Champion

log = logging.getLogger(__name__)


def run_next(sessions: Sessions, settings: Settings, *, worker: str) -> bool:
    """Run the open refresh to its end; False if no job asks for that."""
    terms = Terms.of(settings)
    with sessions.begin() as session:
        held = jobs.claim(session, JobKind.REFRESH, worker=worker, terms=terms)
        if held is None:
            return False
        run = refresh_runs.current(session)
        opened = (run.id, named(run)) if run else None
    with attempt(sessions, held, terms):
        refresh_training.sweep(settings, keep=opened[1] if opened else None)
        if opened is None:
            with sessions.begin() as session:
                jobs.finish(session, held, {"nothing": 1})
            return True
        desk = Desk(sessions, settings, terms, held, *opened)
        try:
            _refresh(desk)
        except Cancelled as cancelled:
            desk.end(RefreshState.CANCELLED, reasons=(str(cancelled),))
        except NotRefreshed as refused:
            desk.end(RefreshState.FAILED, reasons=(str(refused),))
        except (ArtifactError, DeviceError) as error:
            raise EnvironmentFailed(str(error)) from None
        refresh_training.clear(desk)
    return True


def _refresh(desk: Desk) -> None:
    refresh_training.begin(desk)
    champion = refresh_training.champion(desk)
    language_model = refresh_training.made(desk)
    if language_model is None:
        mix = refresh_training.mix(desk, champion)
        language_model = refresh_training.pretrain(desk, champion, mix)
        refresh_training.clear(desk)
    version_id = refresh_training.refit(desk, champion, language_model)
    _evaluate(desk, champion, version_id)
    _promote(desk, champion, version_id)


def _evaluate(desk: Desk, champion: Champion, version_id: int) -> None:
    """Let the gates judge, once; what they measured and said is kept."""
    run = desk.run()
    if run.verdict is not None:
        return
    language_model = desk.settings.models_folder / (run.language_model or "")
    with desk.stage(RefreshStage.EVALUATION) as tell:
        compared = refresh_evaluation.compare(desk, champion, version_id, language_model, tell)
    verdict = refresh_evaluation.judge(
        compared,
        gates=desk.settings.refresh.gates,
        accepted_by=run.asked_by if run.accepts_inconclusive else None,
    )
    with desk.sessions.begin() as session:
        session.add_all(refresh_evaluation.rows(desk.run_id, champion.model.id, version_id, compared))
        refresh_runs.record(
            session,
            desk.held,
            desk.run_id,
            desk.terms,
            stage=RefreshStage.PROMOTION,
            verdict=verdict.as_json(),
        )


def _promote(desk: Desk, champion: Champion, version_id: int) -> None:
    """In one transaction: what serves, the refresh's end and the job's. Files are held against their hashes before."""
    verdict = desk.run().verdict or {}
    with desk.sessions.begin() as session:
        version = session.get_one(ModelVersion, version_id)
        folder, sha256 = desk.settings.models_folder / version.artifact, version.artifact_sha256
    refresh_training.require(folder, sha256)
    rules, by = LabelRules.of(desk.settings), f"refresh {desk.run_id}"
    for turn in while_database_is_away(desk.terms):
        with turn, desk.sessions.begin() as session:
            promotions.hold(session)
            refresh_runs.stop_if_cancelled(session, desk.run_id)
            version = session.get_one(ModelVersion, version_id)
            state, reasons = ending(
                Outcome(verdict["state"]),
                tuple(verdict["reasons"]),
                champion=champion.model.id,
                serving=promotions.serving_id(session),
                may_promote=desk.settings.refresh.promote,
            )
            if state is RefreshState.REJECTED:
                version.stage, version.stage_note = Stage.REJECTED, "; ".join(reasons)
            elif state is RefreshState.PROMOTED:
                model_versions.promote(session, version_id, by=by, rules=rules, note="; ".join(reasons))
                replay.refill(session, kept=desk.settings.replay)
            jobs.finish(session, desk.held, {str(state): 1})
            refresh_runs.finish(session, desk.run_id, state, reasons=reasons, by=by, rules=rules)
    log.info("refresh %d: %s", desk.run_id, state)


def ending(
    outcome: Outcome, reasons: tuple[str, ...], *, champion: int, serving: int | None, may_promote: bool
) -> tuple[RefreshState, tuple[str, ...]]:
    """What a refresh comes to, and why. Gates hold for the model they were measured against, and for no other."""
    if outcome is Outcome.FAILED:
        return RefreshState.REJECTED, reasons
    if serving != champion:
        changed = f"model version {serving} serves by now, and the gates compared with {champion}; promote by hand"
        return RefreshState.INCONCLUSIVE, (changed, *reasons)
    if outcome is Outcome.INCONCLUSIVE:
        return RefreshState.INCONCLUSIVE, reasons
    if not may_promote:
        waits = "it passed its gates; refresh.promote is off, so a person promotes it"
        return RefreshState.INCONCLUSIVE, (waits, *reasons)
    return RefreshState.PROMOTED, reasons
