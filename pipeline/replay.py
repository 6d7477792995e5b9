"""The replay buffer: the texts that are kept against forgetting. What a training makes of them is not known here.

Bounded, and stratified by site, language and quarter of the study; the general text of a language is a stratum, too.
Every text has a key, a SHA-256 that nobody chose, and of each stratum the smallest keys are kept (bottom-k). So which
texts are there follows from the reports that are stored, in whatever order they came.
"""

import hashlib
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.database import insert_by_copy
from pipeline.language import language
from pipeline.settings import ReplaySettings

LOCK = 0x7265706C6179
# Of 256 keys so many, about 5 %, are held out: by the last byte, which says nothing of how small a key is.
HELD_OUT_OF_256 = 13
GENERAL = "general"
# A bounded number of texts is a bounded number of bytes only if each is bounded: one book would outweigh a stratum, and
# a training reads windows of a few hundred tokens anyway.
LONGEST = 20_000
_BATCH = 500

# Every report that may be learnt from. The one place that says what the key, the period and the stratum of a report
# are, and which are held out. The key is that of the record, not of the version: said again, it is the same one.
REPORTS = f"""
    SELECT k.*, concat_ws(' ', k.site, k.language, k.period) AS stratum,
           right(k.key, 2) COLLATE "C" < '{HELD_OUT_OF_256:02x}' AS held_out
    FROM (
        SELECT r.id AS report_id, r.site, r.language,
               to_char(coalesce(r.study_at, r.issued_at, r.received_at) AT TIME ZONE 'UTC', 'YYYY"-Q"Q') AS period,
               encode(sha256(convert_to(
                   concat_ws(chr(31), r.site, r.source_system, r.source_id, r.content_hash), 'UTF8')), 'hex') AS key
        FROM report r
        WHERE r.is_current AND r.withdrawn_at IS NULL
    ) k
"""
# The stratum of a row `i` of the buffer, by the same name.
STRATUM = f"concat_ws(' ', coalesce(i.site, '{GENERAL}'), i.language, i.period)"


@dataclass(frozen=True)
class Refilled:
    """What a refill came to: texts added, evicted because others took their place, and gone because their report is
    withdrawn or no longer current.
    """

    added: int
    evicted: int
    left: int


@dataclass(frozen=True)
class Added:
    """What adding general text came to: texts read, those that are new in the buffer, and those that were cut."""

    read: int
    new: int
    cut: int


@dataclass(frozen=True)
class Stratum:
    """What the buffer holds of a stratum; site and period are None for general text."""

    site: str | None
    language: str
    period: str | None
    kept: int
    held_out: int
    oldest_added_at: datetime
    newest_added_at: datetime

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.site or GENERAL, self.language, self.period) if part)


def shares(sizes: Mapping[str, int], capacity: int) -> dict[str, int]:
    """How many texts each stratum may keep, `sizes` being how many it has: even shares, and what a small stratum does
    not need goes to the others (max-min fairness).

    What cannot be divided goes to the first by name, never by size: so a share only shrinks as texts come, and nothing
    is evicted that would be wanted again later.
    """
    found: dict[str, int] = {}
    left, waiting = capacity, sorted(sizes)
    while waiting:
        level, extra = divmod(left, len(waiting))
        small = [name for name in waiting if sizes[name] <= level]
        if not small:
            return found | {name: level + (place < extra) for place, name in enumerate(waiting)}
        found |= {name: sizes[name] for name in small}
        left -= sum(sizes[name] for name in small)
        waiting = [name for name in waiting if name not in found]
    return found


def is_held_out(key: str) -> bool:
    """Whether the text with this key judges forgetting and is never trained on."""
    return int(key[-2:], 16) < HELD_OUT_OF_256


_LEFT = text(
    """
    WITH gone AS (
        DELETE FROM replay_item i USING report r
        WHERE r.id = i.report_id AND (NOT r.is_current OR r.withdrawn_at IS NOT NULL)
        RETURNING 1
    )
    SELECT count(*) FROM gone
    """
)
_RANK = text(
    f"""
    CREATE TEMPORARY TABLE replay_candidate ON COMMIT DROP AS
    SELECT c.*, row_number() OVER (PARTITION BY stratum, held_out ORDER BY key COLLATE "C") AS place
    FROM (
        SELECT report_id, site, language, period, key, stratum, held_out FROM ({REPORTS}) reports
        UNION ALL
        SELECT NULL, NULL, i.language, NULL, i.key, {STRATUM}, i.held_out FROM replay_item i WHERE i.report_id IS NULL
    ) c
    """
)
_RANKED_SIZES = text(
    "SELECT stratum, count(*) FILTER (WHERE NOT held_out) AS size FROM replay_candidate GROUP BY stratum"
)
# Ranked first, so that nothing is written that would be evicted at once.
_KEEP = """
    replay_candidate c
    JOIN unnest(CAST(:strata AS text[]), CAST(:kept AS int[])) AS share (stratum, kept) USING (stratum)
"""
_WITHIN = "c.place <= CASE WHEN c.held_out THEN :held_out ELSE share.kept END"
# A report that is being withdrawn at this moment is waited for and then, looked at anew, not added; one that is added
# cannot be withdrawn before the row is there to be deleted. In the order in which everyone locks reports.
_ADD = text(
    f"""
    WITH added AS (
        INSERT INTO replay_item (report_id, site, language, period, key, held_out)
        SELECT c.report_id, c.site, c.language, c.period, c.key, c.held_out
        FROM {_KEEP} JOIN report r ON r.id = c.report_id
        WHERE {_WITHIN} AND r.is_current AND r.withdrawn_at IS NULL
            AND NOT EXISTS (SELECT FROM replay_item i WHERE i.report_id = c.report_id)
        ORDER BY r.id
        FOR SHARE OF r
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM added
    """
)
_EVICT = text(
    f"""
    WITH evicted AS (
        DELETE FROM replay_item WHERE id IN (
            SELECT i.id FROM {_KEEP} JOIN replay_item i ON i.key = c.key
            WHERE NOT ({_WITHIN})
            ORDER BY i.id
            FOR UPDATE OF i
        )
        RETURNING 1
    )
    SELECT count(*) FROM evicted
    """
)


def refill(session: Session, *, kept: ReplaySettings) -> Refilled:
    """Let the buffer hold what it should of the reports that are stored now. One refill waits for another.

    General text is kept or evicted as well; what was evicted of it comes back only when it is added again. Reports
    are locked before rows of the buffer, as `leave` finds them, so that neither waits for the other for ever.
    """
    _one_at_a_time(session)
    left = session.execute(_LEFT).scalar_one()
    session.execute(_RANK)
    shared = shares({row.stratum: row.size for row in session.execute(_RANKED_SIZES)}, kept.items)
    wanted = {"strata": list(shared), "kept": list(shared.values()), "held_out": kept.held_out}
    added = session.execute(_ADD, wanted).scalar_one()
    evicted = session.execute(_EVICT, wanted).scalar_one()
    session.execute(text("DROP TABLE replay_candidate"))
    return Refilled(added, evicted, left)


_LEAVE = text(
    """
    DELETE FROM replay_item
    WHERE id IN (SELECT id FROM replay_item WHERE report_id = ANY(:report_ids) ORDER BY id FOR UPDATE)
    """
)


def leave(session: Session, report_ids: Sequence[int]) -> None:
    """Let these report versions leave the buffer, in the transaction that withdraws or supersedes them.

    Their rows in `report` must have been changed before: whoever adds to the buffer looks at those.
    """
    if report_ids:
        session.execute(_LEAVE, {"report_ids": list(report_ids)})


_REPORT_SIZES = text(f"SELECT stratum, count(*) AS size FROM ({REPORTS}) r WHERE NOT held_out GROUP BY stratum")
_GENERAL_KEYS = text("SELECT language, held_out, key FROM replay_item WHERE report_id IS NULL")
_EVICT_KEYS = text("DELETE FROM replay_item WHERE key = ANY(:keys)")


def add_general(session: Session, texts: Iterable[str], *, kept: ReplaySettings) -> Added:
    """Put general text into the buffer, a stratum for each language, and refill it, for others' shares shrink.

    Text by text, with nothing but keys and a batch in memory. What is there already changes nothing; a text longer
    than `LONGEST` characters is cut. Never for reports: those are withdrawn from where they are stored.
    """
    _one_at_a_time(session)
    sizes = {row.stratum: row.size for row in session.execute(_REPORT_SIZES)}
    smallest = _SmallestKeys()
    for row in session.execute(_GENERAL_KEYS):
        smallest.add(row.key, row.language)
    read = cut = 0
    new: set[str] = set()
    for batch in _batches(texts):
        read += len(batch)
        cut += sum(len(one) > LONGEST for one in batch)
        fresh: dict[str, tuple[str, str]] = {}
        for one in (whole[:LONGEST] for whole in batch):
            key, spoken = hashlib.sha256(one.encode()).hexdigest(), language(one)
            if smallest.add(key, spoken):
                fresh[key] = (spoken, one)
        evicted = smallest.evict(sizes, kept)
        session.execute(_EVICT_KEYS, {"keys": list(evicted - fresh.keys())})
        insert_by_copy(
            session,
            "replay_item",
            ("key", "held_out", "language", "text"),
            ((key, is_held_out(key), *said) for key, said in fresh.items() if key not in evicted),
            conflict="ON CONFLICT (key) DO NOTHING",
            returning="id",
        )
        new = (new | fresh.keys()) - evicted
    refill(session, kept=kept)
    return Added(read, len(new), cut)


def strata(session: Session) -> list[Stratum]:
    """What the buffer holds, general text first."""
    rows = session.execute(
        text(
            "SELECT site, language, period, kept, held_out, oldest_added_at, newest_added_at FROM replay_strata "
            "ORDER BY site NULLS FIRST, period, language"
        )
    )
    return [Stratum(*row) for row in rows]


class _SmallestKeys:
    """The keys of general text in the buffer, by language and whether they are held out, each in order."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, bool], list[str]] = defaultdict(list)

    def add(self, key: str, spoken: str) -> bool:
        """Whether it is new."""
        keys = self._keys[spoken, is_held_out(key)]
        place = bisect_left(keys, key)
        if keys[place : place + 1] == [key]:
            return False
        insort(keys, key, lo=place)
        return True

    def evict(self, sizes: Mapping[str, int], kept: ReplaySettings) -> set[str]:
        """Drop and return what is beyond the shares, `sizes` being those of the other strata."""
        trained_on = {spoken: len(keys) for (spoken, held_out), keys in self._keys.items() if not held_out}
        share = shares({**sizes, **{f"{GENERAL} {spoken}": size for spoken, size in trained_on.items()}}, kept.items)
        evicted: set[str] = set()
        for (spoken, held_out), keys in self._keys.items():
            most = kept.held_out if held_out else share[f"{GENERAL} {spoken}"]
            evicted.update(keys[most:])
            del keys[most:]
        return evicted


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(texts)
    while batch := list(islice(remaining, _BATCH)):
        yield [one for one in batch if one.strip()]


def _one_at_a_time(session: Session) -> None:
    """Wait for whoever fills the buffer, and let nobody else until the caller commits."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
