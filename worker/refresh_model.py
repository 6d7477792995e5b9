"""Refresh: the language model learns from the new reports, a classifier is refitted on it, and takes over if it may.

Stage after stage; what a stage came to is recorded before the next begins. A worker that is killed leaves a refresh
that the next one goes on with, and production as it was: what serves changes in the very last transaction alone.
"""

import logging

from models import artifacts
from models.errors import ArtifactError, DeviceError, FoundationError
from pipeline import jobs, model_versions, policy, promotions, refresh_runs
from pipeline.database import Sessions
from pipeline.jobs import LeaseLost, Terms
from pipeline.labelling import LabelRules
from pipeline.names import JobKind
from pipeline.policy import GateOutcome
from pipeline.refresh_runs import Cancelled, NotRefreshed
from pipeline.settings import Settings
from pipeline.tables import ModelVersion, RefreshStage, RefreshState, Stage
from worker import refresh_evaluation, refresh_training
from worker.attempt import EnvironmentFailed, attempt, while_database_is_away
from worker.refresh_desk import Desk, named, sweep
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
        sweep(settings, keep=opened[1] if opened else None)
        if opened is None:
            with sessions.begin() as session:
                jobs.finish(session, held, {"nothing": 1})
            return True
        desk = Desk(sessions, settings, terms, held, *opened)
        try:
            _to_its_end(desk)
        except LeaseLost:
            raise  # the folder is another worker's by now
        except Exception:
            refresh_training.remove_shards(desk)  # patients' words; every start makes them anew
            raise
        desk.clear()
    return True


def _to_its_end(desk: Desk) -> None:
    try:
        _refresh(desk)
    except Cancelled as cancelled:
        desk.end(RefreshState.CANCELLED, reasons=(str(cancelled),))
    except (NotRefreshed, FoundationError) as refused:  # a model that came to nothing will do so again
        desk.end(RefreshState.FAILED, reasons=(str(refused),))
    except (ArtifactError, DeviceError) as error:
        raise EnvironmentFailed(str(error)) from None


def _refresh(desk: Desk) -> None:
    refresh_training.begin(desk)
    champion = refresh_training.champion(desk)
    language_model = refresh_training.made(desk)
    if language_model is None:
        mix = refresh_training.mix(desk, champion)
        language_model = refresh_training.pretrain(desk, champion, mix)
        refresh_training.remove_shards(desk)
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
    for turn in while_database_is_away(desk.terms):
        with turn, desk.sessions.begin() as session:
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
    artifacts.require(folder, sha256)
    rules, by = LabelRules.of(desk.settings), f"refresh {desk.run_id}"
    for turn in while_database_is_away(desk.terms):
        with turn, desk.sessions.begin() as session:
            promotions.hold(session)
            refresh_runs.stop_if_cancelled(session, desk.run_id)
            version = session.get_one(ModelVersion, version_id)
            state, reasons = policy.ending(
                outcome=GateOutcome(verdict["state"]),
                reasons=tuple(verdict["reasons"]),
                champion=champion.model.id,
                serving=promotions.serving_id(session),
                may_promote=desk.settings.refresh.promote,
            )
            if state is RefreshState.REJECTED and version.stage == Stage.CANDIDATE:  # or somebody promoted it by hand
                version.stage, version.stage_note = Stage.REJECTED, "; ".join(reasons)
            elif state is RefreshState.PROMOTED:
                model_versions.promote(session, version_id, by=by, rules=rules, note="; ".join(reasons))
            jobs.finish(session, desk.held, {str(state): 1})
            refresh_runs.finish(session, desk.run_id, state, reasons=reasons, by=by, rules=rules)
    log.info("refresh %d: %s", desk.run_id, state)
