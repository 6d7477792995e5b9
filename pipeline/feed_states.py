"""Where every feed stands, in the words of `nightread feeds`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from pipeline.feeds.growing_folder import position
from pipeline.settings import FeedSettings


@dataclass(frozen=True)
class FeedState:
    """One feed. `lag_seconds` is the time since its last pull that was done; `counts` are over all its pulls.

    A feed may stand in the settings and never have been pulled, or have left them and live on in its reports.
    """

    name: str
    kind: str
    site: str
    in_settings: bool
    files: int
    position: str
    last_state: str | None
    last_started_at: datetime | None
    last_done_at: datetime | None
    lag_seconds: float | None
    error: str | None
    newest_report_at: datetime | None
    counts: dict[str, int]
    skipped: dict[str, int]
    quarantined: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read(session: Session, feeds: Mapping[str, FeedSettings]) -> list[FeedState]:
    """All feeds, by name: those of the settings, and those that the database knows."""
    rows = {row.name: row for row in session.execute(text(_STANDING))}
    counts = _counted(session, _OUTCOMES)
    skipped = _counted(session, "SELECT feed, reason, records FROM skipped_count ORDER BY records DESC")
    quarantined = _counted(session, _QUARANTINED)
    return [
        _state(name, rows.get(name), feeds.get(name), counts, skipped, quarantined)
        for name in sorted(rows.keys() | feeds.keys())
    ]


_STANDING = """
SELECT f.name, f.kind, f.site, f.cursor, s.last_started_at, s.last_done_at, s.error,
       CASE s.alert WHEN 'waiting' THEN 'waiting' ELSE s.last_state END AS last_state,
       extract(epoch FROM now() - s.last_done_at)::float AS lag_seconds,
       (SELECT max(greatest(r.issued_at, r.source_updated_at)) FROM report r
        WHERE r.feed = f.name AND r.is_current) AS newest_report_at
FROM feed f JOIN feed_state s ON s.feed = f.name
"""

_OUTCOMES = """
SELECT j.feed, o.key, sum(o.value::bigint)::bigint
FROM job j CROSS JOIN jsonb_each_text(j.outcome) o
WHERE j.kind = 'pull' GROUP BY j.feed, o.key ORDER BY 3 DESC
"""

_QUARANTINED = """
SELECT feed, reason, count(*) FROM quarantine WHERE released_at IS NULL GROUP BY feed, reason ORDER BY 3 DESC
"""


def _counted(session: Session, query: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for feed, what, count in session.execute(text(query)):
        found.setdefault(feed, {})[what] = count
    return found


def _state(
    name: str,
    row: Row[Any] | None,
    settings: FeedSettings | None,
    counts: dict[str, dict[str, int]],
    skipped: dict[str, dict[str, int]],
    quarantined: dict[str, dict[str, int]],
) -> FeedState:
    described: Any = settings or row  # what the settings say now counts; one of the two is there
    cursor: dict[str, Any] = row.cursor if row else {}
    return FeedState(
        name=name,
        kind=str(described.kind),
        site=described.site,
        in_settings=settings is not None,
        files=len(cursor.get("files", {})),
        position=position(cursor),
        last_state=row.last_state if row else None,
        last_started_at=row.last_started_at if row else None,
        last_done_at=row.last_done_at if row else None,
        lag_seconds=row.lag_seconds if row else None,
        error=row.error if row else None,
        newest_report_at=row.newest_report_at if row else None,
        counts=counts.get(name, {}),
        skipped=skipped.get(name, {}),
        quarantined=quarantined.get(name, {}),
    )
