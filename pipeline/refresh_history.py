"""What is known of each refresh, for people and programs: how far it is, what its gates said, what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.names import EventKind, Metric
from pipeline.policy import Gate, GateOutcome


@dataclass(frozen=True)
class Refresh:
    """A row of the view `refresh_history`; `reasons` are those of its end, and empty while it is open."""

    refresh: int
    reason: str
    asked_at: datetime
    asked_by: str
    state: str
    stage: str
    step: int | None
    steps: int | None
    loss: float | None
    seconds_left: float | None
    progressed_at: datetime | None
    former_model_version: int | None
    model_version: int | None
    new_texts: int
    replayed_texts: int
    left_out_texts: int
    verdict: dict[str, Any] | None
    cancel_asked_by: str | None
    finished_at: datetime | None
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


_REFRESHES = """
    SELECT h.*, (
        SELECT e.payload -> 'reasons' FROM event e
        WHERE e.kind = :finished AND e.payload -> 'refresh_run_id' = to_jsonb(h.refresh) ORDER BY e.id DESC LIMIT 1
    ) AS reasons
    FROM refresh_history h
"""


def refreshes(session: Session) -> list[Refresh]:
    """All of them, the oldest first."""
    return _read(session, f"{_REFRESHES} ORDER BY h.refresh")


def one(session: Session, number: int) -> Refresh:
    """A refresh by its number."""
    (found,) = _read(session, f"{_REFRESHES} WHERE h.refresh = :number", number=number)
    return found


def newest(session: Session) -> Refresh | None:
    """The open refresh, or else the one before it."""
    return next(iter(_read(session, f"{_REFRESHES} ORDER BY h.refresh DESC LIMIT 1")), None)


def gates(verdict: Mapping[str, Any] | None) -> list[Gate]:
    """The gates of a verdict as it is kept."""
    return [
        Gate(**{**one, "metric": Metric(one["metric"]), "outcome": GateOutcome(one["outcome"])})
        for one in (verdict or {}).get("gates", ())
    ]


def undecided(verdict: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The gates that were inconclusive, each with why."""
    return tuple(
        f"{one.name} ({one.reason})" if one.reason else one.name
        for one in gates(verdict)
        if one.outcome is GateOutcome.INCONCLUSIVE
    )


def _read(session: Session, query: str, **parameters: object) -> list[Refresh]:
    rows = session.execute(text(query), {"finished": EventKind.REFRESH_FINISHED, **parameters}).mappings()
    return [Refresh(**{**row, "reasons": tuple(row["reasons"] or ())}) for row in rows]
