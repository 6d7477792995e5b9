"""The registry of models: registering a version, promoting it, rolling back, and finding one again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline import events, label_sets, labelling, promotions, refresh_history
from pipeline.errors import NightreadError
from pipeline.tables import FittedOn, ModelVersion, RefreshRun, RefreshState, Stage


class UnknownModel(NightreadError):
    """No such model version."""


class PromotionRefused(NightreadError):
    """The version does not begin to serve; production is as it was."""


class NotRolledBack(NightreadError):
    """No version is withdrawn; production is as it was."""


@dataclass(frozen=True)
class NewVersion:
    """What is known of a model when it is registered."""

    foundation: str
    artifact: str
    artifact_sha256: str
    label_set_id: int
    thresholds: list[float]
    metrics: dict[str, Any]
    settings: dict[str, Any]
    fitted_on: list[int]
    parent_id: int | None = None
    created_by: str | None = None
    language_model: str | None = None
    language_model_sha256: str | None = None


@dataclass(frozen=True)
class RolledBack:
    """What a rollback came to: the versions withdrawn, the newest first, and the one that serves again."""

    withdrawn: tuple[int, ...]
    serving: int


def register(session: Session, new: NewVersion) -> int:
    """Register a classifier as a candidate; its version number."""
    version = ModelVersion(
        kind="classifier",
        parent_id=new.parent_id,
        foundation=new.foundation,
        stage=Stage.CANDIDATE,
        artifact=new.artifact,
        artifact_sha256=new.artifact_sha256,
        language_model=new.language_model,
        language_model_sha256=new.language_model_sha256,
        label_set_id=new.label_set_id,
        thresholds=new.thresholds,
        metrics=new.metrics,
        settings=new.settings,
        created_by=new.created_by,
    )
    session.add(version)
    session.flush()
    session.add_all(FittedOn(model_version_id=version.id, annotation_id=one) for one in new.fitted_on)
    return version.id


def promote(
    session: Session,
    version_id: int,
    *,
    by: str,
    rules: labelling.LabelRules,
    note: str | None = None,
    force: bool = False,
) -> int | None:
    """Let a version serve from now on; the version that served before, or None if there was none.

    Labels of former versions stay visible until its own have come. A version that is in production already, or
    was withdrawn, may be promoted again. One that its gates rejected raises `PromotionRefused` unless `force` says
    that this is known, and so does one that they could not decide about unless a `note` says why it may serve all
    the same; views that stand in the way of its labels raise `ViewInUse`. Whether its artifact is whole is for the
    caller to see, before this transaction.
    """
    promotions.hold(session)
    version = get(session, version_id)
    former = promotions.serving_id(session)
    if former == version_id:
        return former
    if version.stage == Stage.REJECTED and not force:
        why = f" ({version.stage_note})" if version.stage_note else ""
        raise PromotionRefused(
            f"model version {version_id} was rejected by its gates{why}; production stays as it is. "
            "Promote another one, or say --force"
        )
    if not (note or "").strip() and (undecided := _undecided(session, version)):
        raise PromotionRefused(
            f"model version {version_id} waits for a person, since its gates are inconclusive: {'; '.join(undecided)}. "
            "Production stays as it is; say with --note why it may serve all the same"
        )
    highest = session.scalar(select(func.max(ModelVersion.serving_rank))) or 0
    version.stage, version.serving_rank = Stage.PRODUCTION, highest + 1
    version.promoted_at, version.promoted_by, version.stage_note = func.now(), by, note
    version.withdrawn_at = version.withdrawn_by = None
    _show_labels_of(session, version)
    events.publish(session, events.ModelPromoted(version_id, former, by, note), rules=rules)
    return former


def rollback(
    session: Session, *, by: str, rules: labelling.LabelRules, to: int | None = None, note: str | None = None
) -> RolledBack:
    """Withdraw the version that serves, or all that were promoted after `to`; the one before serves again.

    Labels of the withdrawn versions leave the views at once and stay in the history. Reports that nobody else
    has read are pending again, and come before those that only have to be read anew. Raises `NotRolledBack` if
    no older version is in production: a house whose reports nobody could label would only look well.
    """
    promotions.hold(session)
    ranked = in_production(session)
    done = planned_rollback([one.id for one in ranked], to=to)
    for version in ranked[: len(done.withdrawn)]:
        version.stage, version.serving_rank = Stage.WITHDRAWN, None
        version.withdrawn_at, version.withdrawn_by, version.stage_note = func.now(), by, note
    _show_labels_of(session, ranked[len(done.withdrawn)])
    labelling.hasten(session)
    events.publish(session, events.ModelWithdrawn(done.withdrawn, done.serving, by, note), rules=rules)
    return done


def in_production(session: Session) -> Sequence[ModelVersion]:
    """Versions that serve or served and were not withdrawn; the one that serves first."""
    return session.scalars(
        select(ModelVersion)
        .where(ModelVersion.serving_rank.is_not(None))
        .order_by(ModelVersion.serving_rank.desc())
        .execution_options(populate_existing=True)
    ).all()


def planned_rollback(ranked: Sequence[int], *, to: int | None) -> RolledBack:
    """What a rollback comes to, given the versions in production with the one that serves first.

    Raises `NotRolledBack`, with the way out, if `to` is not an older one of them, or none is left to serve.
    """
    if not ranked:
        raise NotRolledBack("no model serves yet, so there is nothing to roll back; `nightread models promote N`")
    serving, *older = ranked
    if not older:
        raise NotRolledBack(
            f"model version {serving} is the only one in production, and a house without a model would label "
            "nothing; promote another version instead (`nightread models list` shows them), which then serves"
        )
    if to == serving:
        raise NotRolledBack(f"model version {to} serves already; name an older one: {_listed(older)}")
    if to is not None and to not in older:
        raise NotRolledBack(
            f"model version {to} is not in production, so nothing can be rolled back to it; in production before "
            f"{serving}: {_listed(older)}. `nightread models promote {to}` lets it serve"
        )
    target = older[0] if to is None else to
    return RolledBack(tuple(ranked[: ranked.index(target)]), target)


def get(session: Session, version_id: int) -> ModelVersion:
    """A version by number, as it is now. Raises `UnknownModel`."""
    version = session.get(ModelVersion, version_id, populate_existing=True)
    if version is None:
        known = session.scalars(select(ModelVersion.id).order_by(ModelVersion.id)).all()
        raise UnknownModel(
            f"there is no model version {version_id}; known are: {_listed(known) or 'none, train one first'}"
        )
    return version


def serving_or(session: Session, version_id: int | None) -> ModelVersion:
    """The version asked for, or the one that serves. Raises `UnknownModel` if there is none."""
    if version_id is None:
        version_id = promotions.serving_id(session)
    if version_id is None:
        raise UnknownModel("no model serves yet; run `nightread train … --promote`")
    return get(session, version_id)


def _undecided(session: Session, version: ModelVersion) -> tuple[str, ...]:
    """The gates that could not decide about a version, while nobody else has; empty for any other version."""
    if version.stage != Stage.CANDIDATE:
        return ()
    run = session.scalar(
        select(RefreshRun).where(
            RefreshRun.model_version_id == version.id, RefreshRun.state == RefreshState.INCONCLUSIVE
        )
    )
    if run is None:
        return ()
    return refresh_history.undecided(run.verdict) or (f"refresh {run.id} left it to a person",)


def _show_labels_of(session: Session, version: ModelVersion) -> None:
    session.flush()
    label_sets.rebuild_view(session, version.label_set_id)


def _listed(versions: Sequence[int]) -> str:
    return ", ".join(map(str, versions))
