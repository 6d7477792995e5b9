"""What a model found in a report and which words say so, read back for people: one report, or a varied sample."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select, text
from sqlalchemy.orm import Session, aliased

from pipeline import labelling
from pipeline.errors import NightreadError
from pipeline.tables import Finding, Label, Report

BY_ID = "id:"
# More than this nobody reads in an error message.
CHOICES_SHOWN = 10

# Site, language and finding: what a sample should show of.
Stratum = tuple[str, str, int | None]


class UnknownReport(NightreadError):
    """Nothing here has that id, accession number or source id."""


class AmbiguousReport(NightreadError):
    """Several current reports go by that name."""


class NoLongerShown(NightreadError):
    """The report was withdrawn, or a newer version took its place."""


class NotLabelledYet(NightreadError):
    """No model has read the report, or none whose labels are shown."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A label as a model judged it: found if the probability is at or above the threshold."""

    name: str
    korean_name: str | None
    probability: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Explained:
    """A finding with its heatmap: character offsets into the report's text, one element per word, in text order."""

    label: Judged
    sentence_start: int
    sentence_end: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    weights: tuple[float, ...]  # signed, in logits
    residual: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A current report with the labels that are shown for it and the model they come from."""

    report_id: int
    version: int
    site: str
    source_id: str
    accession: str | None
    study_at: datetime | None
    language: str
    flagged: bool
    text: str
    model_version: int
    foundation: str
    labelled_at: datetime
    stale: bool
    findings: tuple[Explained, ...]  # in the order in which the report states them
    absent: tuple[Judged, ...]  # the most probable first


@dataclass(frozen=True, slots=True)
class Match:
    """A report version that goes by the name that was asked for."""

    report_id: int
    site: str
    accession: str | None
    source_id: str
    withdrawn_at: datetime | None
    current_id: int | None  # the version that is current, if it is another


@dataclass(frozen=True, slots=True)
class Candidate:
    """A labelled report that a sample may show; None stands for a report without findings."""

    report_id: int
    site: str
    language: str
    label_ids: tuple[int | None, ...]

    @property
    def strata(self) -> list[Stratum]:
        return [(self.site, self.language, label_id) for label_id in self.label_ids]


def find(session: Session, asked: str) -> int:
    """The id of the one report that is meant by a report id, an accession number or a source id.

    `id:12` means the report id alone. Raises `UnknownReport`, `AmbiguousReport` or `NoLongerShown`.
    """
    asked = asked.strip()
    number = asked.removeprefix(BY_ID)
    current = aliased(Report)
    ways = [] if asked.startswith(BY_ID) else [and_(Report.is_current, Report.accession == asked)]
    ways += [] if asked.startswith(BY_ID) else [and_(Report.is_current, Report.source_id == asked)]
    if number.isascii() and number.isdigit() and len(number) <= 18:  # more digits are no bigint
        ways.append(Report.id == int(number))
    same = and_(
        current.site == Report.site,
        current.source_system == Report.source_system,
        current.source_id == Report.source_id,
        current.is_current,
        current.id != Report.id,
    )
    rows = session.execute(
        select(
            Report.id, Report.site, Report.accession, Report.source_id, Report.withdrawn_at, current.id.label("newer")
        )
        .outerjoin(current, same)
        .where(or_(False, *ways))
        .order_by(Report.id)
        .limit(CHOICES_SHOWN + 1)
    )
    return choose(
        [Match(row.id, row.site, row.accession, row.source_id, row.withdrawn_at, row.newer) for row in rows],
        asked=asked,
    )


def choose(matches: Sequence[Match], *, asked: str) -> int:
    """The one report that is meant. A withdrawn one or an older version is never shown in place of another."""
    if not matches:
        raise UnknownReport(
            f"no report has the id, accession number or source id {asked!r}; "
            '`nightread sql "SELECT report_id, site, accession FROM report_labels"` lists what can be explained'
        )
    standing = [match for match in matches if match.withdrawn_at is None and match.current_id is None]
    if len(standing) > 1:
        raise AmbiguousReport(f"{asked!r} may mean {_choices(standing)}; name one by its id")
    if standing:
        return standing[0].report_id
    match = matches[0]
    if match.current_id is not None:
        raise NoLongerShown(
            f"report {match.report_id} is an older version; the current one is {BY_ID}{match.current_id}"
        )
    raise NoLongerShown(
        f"report {match.report_id} of {match.site} was withdrawn by its source on {match.withdrawn_at:%Y-%m-%d} and is "
        "not shown any more; what models said of it stays in the view classification_history"
    )


def _choices(matches: Sequence[Match]) -> str:
    shown = ", ".join(f"{BY_ID}{one.report_id} ({one.site})" for one in matches[:CHOICES_SHOWN])
    return f"{shown} and more" if len(matches) > CHOICES_SHOWN else shown


CURRENT = text(
    """
    SELECT c.version, c.site, c.source_id, c.accession, c.study_at, c.language, c.flagged, r.text,
           c.classification_id, c.label_set_id, c.model_version_id, m.foundation, c.labelled_at, c.stale,
           c.probabilities, c.thresholds
    FROM current_classification c
    JOIN report r ON r.id = c.report_id
    JOIN model_version m ON m.id = c.model_version_id
    WHERE c.report_id = :report
    """
)


def read(session: Session, report_id: int) -> Explanation:
    """A current report with the labels that are shown for it. Raises `NotLabelledYet` if there are none.

    Two statements that agree whatever happens between them: texts, classifications and findings never change.
    """
    row = session.execute(CURRENT, {"report": report_id}).one_or_none()
    if row is None:
        raise _without_labels(session, report_id)
    labels = session.execute(
        select(Label, Finding)
        .outerjoin(Finding, and_(Finding.label_id == Label.id, Finding.classification_id == row.classification_id))
        .where(Label.label_set_id == row.label_set_id)
        .order_by(Label.position)
    )
    findings: list[Explained] = []
    absent: list[Judged] = []
    for label, finding in labels:
        index = label.position - 1
        judged = Judged(label.name, label.korean_name, row.probabilities[index], row.thresholds[index])
        if finding is None:
            absent.append(judged)
        else:
            findings.append(_explained(judged, finding))
    return Explanation(
        report_id=report_id,
        version=row.version,
        site=row.site,
        source_id=row.source_id,
        accession=row.accession,
        study_at=row.study_at,
        language=row.language,
        flagged=row.flagged,
        text=row.text,
        model_version=row.model_version_id,
        foundation=row.foundation,
        labelled_at=row.labelled_at,
        stale=row.stale,
        findings=tuple(sorted(findings, key=lambda one: one.sentence_start)),
        absent=tuple(sorted(absent, key=lambda one: -one.probability)),
    )


def _explained(judged: Judged, finding: Finding) -> Explained:
    return Explained(
        label=judged,
        sentence_start=finding.sentence_start,
        sentence_end=finding.sentence_end,
        starts=tuple(finding.starts),
        ends=tuple(finding.ends),
        weights=tuple(finding.weights),
        residual=finding.residual,
    )


def _without_labels(session: Session, report_id: int) -> NightreadError:
    state = session.scalar(text("SELECT state FROM report_state WHERE report_id = :report"), {"report": report_id})
    if state is None or state == "withdrawn":
        return NoLongerShown(
            f"report {report_id} was withdrawn or replaced just now; ask for it again by its accession"
        )
    if state == "dead":
        return NotLabelledYet(
            f"report {report_id} has no labels: the model failed on it and it was given up; "
            "`nightread dead-letters list` says why"
        )
    if labelling.serving(session) is None:
        return NotLabelledYet(
            f"report {report_id} has no labels: no model serves yet; run `nightread train … --promote`"
        )
    return NotLabelledYet(f"report {report_id} has no labels yet; `nightread label --wait` sees to it")


# At most so many of each stratum as are wanted altogether: whatever they are, none more can be chosen.
CANDIDATES = text(
    """
    WITH stated AS (
        SELECT c.report_id, c.site, c.language, f.label_id, md5(:seed || ':' || c.report_id) AS drawn
        FROM current_classification c LEFT JOIN finding f ON f.classification_id = c.classification_id
    ), placed AS (
        SELECT *, row_number() OVER (PARTITION BY site, language, label_id ORDER BY drawn) AS place FROM stated
    )
    SELECT report_id, site, language, array_agg(label_id ORDER BY label_id) AS label_ids
    FROM placed
    GROUP BY report_id, site, language, drawn
    HAVING min(place) <= :count
    ORDER BY drawn, report_id
    """
)


def sample(session: Session, *, count: int, seed: int) -> list[int]:
    """Ids of up to `count` labelled current reports, as varied as can be; the same seed chooses the same."""
    rows = session.execute(CANDIDATES, {"seed": str(seed), "count": count})
    return varied([Candidate(row.report_id, row.site, row.language, tuple(row.label_ids)) for row in rows], count=count)


def varied(candidates: Sequence[Candidate], *, count: int) -> list[int]:
    """Up to `count` of the candidates, always one of the stratum (site, language, finding) shown least so far.

    Among equally little shown strata the rarest comes first, and in a stratum the first candidate; shuffle before.
    """
    strata: dict[Stratum, deque[Candidate]] = {}
    for candidate in candidates:
        for stratum in candidate.strata:
            strata.setdefault(stratum, deque()).append(candidate)
    sizes = {stratum: len(members) for stratum, members in strata.items()}
    shown: Counter[Stratum] = Counter()
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        for members in strata.values():
            while members and members[0].report_id in chosen:
                members.popleft()
        left = [stratum for stratum, members in strata.items() if members]
        if not left:
            break
        one = strata[min(left, key=lambda stratum: (shown[stratum], sizes[stratum]))][0]
        chosen[one.report_id] = None
        shown.update(one.strata)
    return list(chosen)
