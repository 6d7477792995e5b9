"""What serves changes only to a model whose files are whole: promoting, rolling back, verifying."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from models import artifacts
from models.artifacts import FileState
from models.errors import ArtifactError
from nightread.house import House
from pipeline import model_versions
from pipeline.errors import NightreadError
from pipeline.model_versions import NotRolledBack, PromotionRefused, RolledBack
from pipeline.tables import ModelVersion


@dataclass(frozen=True)
class Verified:
    """A version's artifact, held against its manifest and the manifest against what was registered.

    `fault` says what is wrong in words; None if all is well.
    """

    version: int
    artifact: str
    files: dict[str, FileState]
    fault: str | None

    @property
    def ok(self) -> bool:
        return self.fault is None

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "ok": self.ok}


def promote(house: House, version_id: int, *, by: str, note: str | None, force: bool) -> int | None:
    """Let a version serve if its artifact is whole; the version that served before.

    The files are read before the transaction begins: hashing a model takes longer than labels should wait.
    """
    _require_whole(house, version_id, PromotionRefused, f"model version {version_id} does not begin to serve")
    with house.sessions.begin() as session:
        return model_versions.promote(session, version_id, by=by, rules=house.rules, note=note, force=force)


def rollback(house: House, *, to: int | None, by: str, note: str | None, force: bool) -> RolledBack:
    """Withdraw what serves, or all that came after `to`, if the artifact of what serves then is whole.

    `force` rolls back all the same: labels that are wrong then leave the views, and new reports wait.
    """
    with house.sessions.begin() as session:
        planned = model_versions.planned_rollback([one.id for one in model_versions.in_production(session)], to=to)
    if not force:
        way_out = "restore its folder, name an older version with --to, or say --force: new reports then wait"
        _require_whole(house, planned.serving, NotRolledBack, "nothing is rolled back", way_out)
    with house.sessions.begin() as session:
        done = model_versions.rollback(session, by=by, rules=house.rules, to=to, note=note)
        if done != planned:
            raise NotRolledBack("what serves has changed meanwhile, so nothing is rolled back; look, and try again")
    return done


def verify(house: House, version_ids: Sequence[int] = ()) -> list[Verified]:
    """Hold versions against their files; all of them if none is named. Raises `UnknownModel`."""
    with house.sessions.begin() as session:
        known = {one.id: one for one in session.scalars(select(ModelVersion).order_by(ModelVersion.id))}
        for version_id in version_ids:
            if version_id not in known:
                model_versions.get(session, version_id)  # says which there are
        session.expunge_all()
    examined: dict[str, artifacts.Examined | ArtifactError] = {}  # versions may share an artifact
    return [_verified(house, known[version_id], examined) for version_id in version_ids or known]


def _verified(house: House, version: ModelVersion, examined: dict[str, artifacts.Examined | ArtifactError]) -> Verified:
    if version.artifact not in examined:
        try:
            examined[version.artifact] = artifacts.examine(house.settings.models_folder / version.artifact)
        except ArtifactError as error:
            examined[version.artifact] = error
    found = examined[version.artifact]
    if isinstance(found, ArtifactError):
        return Verified(version.id, version.artifact, {}, str(found))
    faults = [f"{name} is {state}" for name, state in found.files.items() if state is not FileState.OK]
    if found.sha256 != version.artifact_sha256:
        faults.append("its manifest is not the one that was registered")
    return Verified(version.id, version.artifact, found.files, "; ".join(faults) or None)


def _require_whole(
    house: House,
    version_id: int,
    refused: type[NightreadError],
    what: str,
    way_out: str = "restore its folder as it was written, or train again",
) -> None:
    (verified,) = verify(house, [version_id])
    if verified.fault is not None:
        raise refused(f"{what}: of its artifact {verified.artifact!r}, {verified.fault}; {way_out}")
