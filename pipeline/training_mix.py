"""What a refresh of the language model learns from: its new reports and what is replayed, exactly as rows of the run.

The rows say which; the texts are read from where they are stored, so that a report that was withdrawn is in no mix.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from pipeline import replay
from pipeline.annotation_files import text_hash
from pipeline.database import Sessions
from pipeline.tables import Annotation, Part, RefreshItem, Split

_PAGE = 500


@dataclass(frozen=True)
class Counted:
    """How many texts of a stratum are in a part of a mix, and how many were left out of it since it was made."""

    part: Part
    stratum: str
    texts: int
    left_out: int


@dataclass(frozen=True)
class HeldOut:
    """Texts of a stratum that no training reads. `earlier`: the stratum was there before the new reports, and so are
    these texts of it.
    """

    stratum: str
    earlier: bool
    texts: list[str]


_NEW = text(
    f"""
    INSERT INTO refresh_item (refresh_run_id, key, report_id, part, stratum)
    SELECT :run, reports.key, reports.report_id, 'new', reports.stratum
    FROM ({replay.REPORTS}) reports
    WHERE reports.report_id > :after AND reports.report_id <= :until AND NOT reports.held_out
    ORDER BY reports.report_id
    ON CONFLICT DO NOTHING
    """
)
_REPLAYED = text(
    f"""
    INSERT INTO refresh_item (refresh_run_id, key, report_id, part, stratum)
    SELECT :run, i.key, i.report_id, 'replayed', {replay.STRATUM}
    FROM replay_item i
    WHERE NOT i.held_out AND (i.report_id IS NULL OR i.report_id <= :after)
    ORDER BY i.report_id NULLS FIRST
    ON CONFLICT DO NOTHING
    """
)


def snapshot(session: Session, run_id: int, *, after: int, until: int) -> None:
    """Write down the mix of a run: the reports after the one and up to the other, and what the buffer replays of those
    before and of general text. Nothing that is held out.
    """
    # Older reports first: each row locks its report, and everyone locks reports in their order.
    session.execute(_REPLAYED, {"run": run_id, "after": after})
    session.execute(_NEW, {"run": run_id, "after": after, "until": until})


# Where the text of a row `i` of a mix is, if it may still be learnt from.
_SOURCE = """
    LEFT JOIN report r ON r.id = i.report_id AND r.is_current AND r.withdrawn_at IS NULL
    LEFT JOIN replay_item g ON i.report_id IS NULL AND g.key = i.key AND g.report_id IS NULL
"""
_LEAVE_OUT = text(
    f"""
    WITH gone AS (
        UPDATE refresh_item SET left_out_at = now()
        WHERE refresh_run_id = :run AND left_out_at IS NULL AND key IN (
            SELECT i.key FROM refresh_item i {_SOURCE}
            WHERE i.refresh_run_id = :run AND i.left_out_at IS NULL AND r.id IS NULL AND g.id IS NULL
        )
        RETURNING 1
    )
    SELECT count(*) FROM gone
    """
)


def leave_out(session: Session, run_id: int) -> int:
    """Mark what may no longer be learnt from, at each start and resume: reports that are withdrawn or were amended,
    general text that is gone. How many there are. (What people judge models by is found by `texts`, which reads it.)
    """
    marked: int = session.execute(_LEAVE_OUT, {"run": run_id}).scalar_one()
    return marked


# The run is a range and not a number, for the planner: right after a snapshot it has no statistics, takes any one run
# for a handful of rows, and would sort all of them again for every page.
_PAGE_OF_TEXTS = text(
    f"""
    SELECT i.key, coalesce(r.text, g.text) AS text FROM refresh_item i {_SOURCE}
    WHERE (i.refresh_run_id, i.key) > (:run, :after) AND i.refresh_run_id <= :run
        AND i.part = :part AND (CAST(:stratum AS text) IS NULL OR i.stratum = :stratum)
        AND i.left_out_at IS NULL AND (r.id IS NOT NULL OR g.id IS NOT NULL)
    ORDER BY i.refresh_run_id, i.key
    LIMIT :page
    """
)


def texts(sessions: Sessions, run_id: int, part: Part, stratum: str | None = None) -> Iterator[str]:
    """The texts of a part of the mix, or of one stratum of it, by key; what is withdrawn when its page is read is not
    among them. Page by page: no transaction stays open while somebody works on them.

    Texts that people judge models by (annotations of the split gate) are never learnt from: they are passed over and
    marked as left out. Texts count as equal by their normalised hash, which SQL cannot make.
    """
    with sessions.begin() as session:
        judged_by = set(session.scalars(select(Annotation.text_hash).where(Annotation.split == Split.GATE)))
    wanted = {"run": run_id, "part": part, "stratum": stratum, "page": _PAGE}
    after = ""
    while True:
        with sessions.begin() as session:
            page = session.execute(_PAGE_OF_TEXTS, wanted | {"after": after}).all()
            gate = {row.key for row in page if judged_by and text_hash(row.text) in judged_by}
            _mark(session, run_id, gate)
        yield from (row.text for row in page if row.key not in gate)
        if len(page) < _PAGE:
            return
        after = page[-1].key


def _mark(session: Session, run_id: int, keys: set[str]) -> None:
    if keys:
        marking = update(RefreshItem).where(RefreshItem.refresh_run_id == run_id, RefreshItem.key.in_(keys))
        session.execute(marking.values(left_out_at=func.now()))


_HELD_OUT = text(
    f"""
    SELECT {replay.STRATUM} AS stratum, i.report_id IS NULL OR i.report_id <= :after AS earlier,
           coalesce(r.text, i.text) AS text
    FROM replay_item i
    LEFT JOIN report r ON r.id = i.report_id AND r.is_current AND r.withdrawn_at IS NULL
    WHERE i.held_out AND (i.report_id IS NULL OR r.id IS NOT NULL)
    ORDER BY stratum, i.key
    """
)


def held_out(session: Session, *, after: int) -> list[HeldOut]:
    """The texts to measure forgetting on, by stratum and key: what came up to report `after`, and general text; of a
    stratum that has only newer ones, those. As many of each as the buffer holds apart (`ReplaySettings.held_out`).
    """
    found = []
    for stratum, rows in groupby(session.execute(_HELD_OUT, {"after": after}), key=lambda row: str(row.stratum)):
        held = list(rows)
        earlier = [row.text for row in held if row.earlier]
        found.append(HeldOut(stratum, bool(earlier), earlier or [row.text for row in held]))
    return found


_COUNTS = text(
    """
    SELECT part, stratum, count(*) FILTER (WHERE left_out_at IS NULL) AS texts, count(left_out_at) AS left_out
    FROM refresh_item WHERE refresh_run_id = :run
    GROUP BY part, stratum ORDER BY part, stratum
    """
)


def counts(session: Session, run_id: int) -> list[Counted]:
    """What is in the mix, by part and stratum."""
    rows = session.execute(_COUNTS, {"run": run_id})
    return [Counted(Part(row.part), row.stratum, row.texts, row.left_out) for row in rows]
