"""How far the new reports of a site are from what the serving model knows: counted, compared and kept.

New reports are those that came after the model last learnt; the rest it knows. What a language model has to say of
their texts is measured on samples, by worker/measure_drift.py.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from pipeline import jobs, refresh_runs
from pipeline.labelling import ServingModel
from pipeline.names import JobKind, Signal
from pipeline.policy import SignalReading
from pipeline.settings import DriftSettings
from pipeline.tables import DriftSignal, Job, ModelVersion

# A label is uncertain if its probability lies within this many logits of its threshold, which is the distance that
# worth_labelling.py calls doubt. Around a threshold of 0.5 it is from 0.27 to 0.73.
UNCERTAIN_WITHIN = 1.0


@dataclass(frozen=True)
class Horizon:
    """Up to where a model knows: to a report, or if no refresh made it (0), to the moment when it was made."""

    learnt_until: int
    made_at: datetime


@dataclass(frozen=True)
class Tally:
    """What the serving model said of some reports: its positive labels, by label position, and its uncertain ones."""

    reports: int
    positives: tuple[int, ...]
    uncertain: int

    def __add__(self, other: "Tally") -> "Tally":
        both = tuple(ours + theirs for ours, theirs in zip(self.positives, other.positives, strict=True))
        return Tally(self.reports + other.reports, both, self.uncertain + other.uncertain)

    @property
    def uncertain_share(self) -> float:
        return self.uncertain / (self.reports * len(self.positives))


@dataclass(frozen=True)
class Measured:
    """A row of the view `drift_signals`, of the last night that was measured."""

    measured_at: datetime
    site: str
    signal: str
    label: str | None
    value: float
    reference: float | None
    drift: float | None
    threshold: float | None
    exceeded: bool
    reports: int
    model_version: int


# --- what is compared with what


def reference_sites(site: str, known: Mapping[str, int], *, least: int) -> tuple[str, ...]:
    """The sites whose known reports a site's new ones are held against; `known` counts these by site.

    Its own. A hospital that the model has hardly read is held against all others together, for that it is new is
    just what has to show. None where there are fewer than `least` of those as well.
    """
    if known.get(site, 0) >= least:
        return (site,)
    return tuple(sorted(known)) if sum(known.values()) >= least else ()


def uncertain_between(threshold: float) -> tuple[float, float]:
    """The probabilities between which a label with this threshold is uncertain."""
    inside = min(max(threshold, 1e-6), 1 - 1e-6)
    logit = math.log(inside / (1 - inside))
    low, high = (1 / (1 + math.exp(-(logit + step))) for step in (-UNCERTAIN_WITHIN, UNCERTAIN_WITHIN))
    return low, high


def population_stability(*, new: int, of_new: int, known: int, of_known: int) -> float:
    """How far a prevalence has shifted, from `known` positives in `of_known` reports to `new` in `of_new`.

    The population stability index of two bins, positive and negative (Siddiqi, 2006, Credit Risk Scorecards), each
    count raised by a half so that a finding never seen before gives a number.
    """
    ours, theirs = (new + 0.5) / (of_new + 1), (known + 0.5) / (of_known + 1)
    return (ours - theirs) * math.log(ours / theirs) + (theirs - ours) * math.log((1 - ours) / (1 - theirs))


def rise(signal: Signal, *, value: float, reference: float | None) -> float | None:
    """How much more than its reference: of pieces per word as a share of what it was, of all others as it is.

    Unknown pieces too: a refresh keeps the vocabulary, so what it never could write must not call for one for ever.
    """
    if reference is None:
        return None
    if signal is Signal.FERTILITY:
        return value / reference - 1 if reference else None
    return value - reference


def reading(
    signal: Signal, *, site: str, value: float, reference: float | None, reports: int, limits: DriftSettings
) -> SignalReading:
    """A signal held against what is known, with its threshold beside it."""
    return SignalReading(
        site=site,
        signal=signal,
        value=value,
        reference=reference,
        drift=rise(signal, value=value, reference=reference),
        threshold=_threshold(signal, limits),
        reports=reports,
    )


def label_readings(
    new: Mapping[str, Tally], known: Mapping[str, Tally], *, model: ServingModel, limits: DriftSettings
) -> list[SignalReading]:
    """The signals of each site's labels: prevalence by finding, and the share of uncertain labels."""
    found = []
    counts = {site: tally.reports for site, tally in known.items()}
    for site, here in sorted(new.items()):
        if here.reports < limits.least_reports:
            continue
        there = Tally(0, (0,) * len(model.labels), 0)
        for one in reference_sites(site, counts, least=limits.least_reports):
            there += known[one]
        found.append(
            reading(
                Signal.UNCERTAIN_LABELS,
                site=site,
                value=here.uncertain_share,
                reference=there.uncertain_share if there.reports else None,
                reports=here.reports,
                limits=limits,
            )
        )
        for position in range(len(model.labels)):
            found.append(_prevalence(site, position, here, there, model=model, limits=limits))
    return found


def _prevalence(
    site: str, position: int, here: Tally, there: Tally, *, model: ServingModel, limits: DriftSettings
) -> SignalReading:
    new, known = here.positives[position], there.positives[position]
    shift = population_stability(new=new, of_new=here.reports, known=known, of_known=there.reports)
    return SignalReading(
        site=site,
        signal=Signal.PREVALENCE,
        value=new / here.reports,
        reference=known / there.reports if there.reports else None,
        drift=shift if there.reports else None,
        threshold=limits.prevalence,
        reports=here.reports,
        label_id=model.label_ids[position],
        label=model.labels[position],
    )


def _threshold(signal: Signal, limits: DriftSettings) -> float | None:
    return {
        Signal.UNKNOWN_PIECES: limits.unknown_pieces,
        Signal.FERTILITY: limits.fertility,
        Signal.BITS_PER_BYTE: limits.bits_per_byte,
        Signal.PREVALENCE: limits.prevalence,
        Signal.UNCERTAIN_LABELS: limits.uncertain_labels,
    }[signal]


# --- what is counted


def horizon(session: Session, model: ServingModel) -> Horizon:
    """Up to where a model knows. New thresholds are a new version of the same artifact, which knows no more for it."""
    made_at = select(func.min(ModelVersion.created_at)).where(ModelVersion.artifact_sha256 == model.artifact_sha256)
    return Horizon(refresh_runs.learnt_until(session, model.id), session.scalars(made_at).one())


_HALVES = """
    SELECT r.id, r.site, r.text, r.content_hash,
           CASE WHEN :learnt_until > 0 THEN r.id > :learnt_until ELSE r.received_at > :made_at END AS is_new
    FROM report r
    WHERE r.is_current AND r.withdrawn_at IS NULL
"""
_COUNTS = text(f"SELECT h.site, h.is_new, count(*) AS reports FROM ({_HALVES}) h GROUP BY h.site, h.is_new")
_TALLIES = text(
    f"""
    WITH said AS (
        SELECT h.site, h.is_new, p.position,
               count(*) AS reports,
               count(*) FILTER (WHERE p.probability >= p.threshold) AS positives,
               count(*) FILTER (WHERE p.probability > p.low AND p.probability < p.high) AS uncertain
        FROM ({_HALVES}) h
        JOIN classification c ON c.report_id = h.id AND c.model_version_id = :version
        CROSS JOIN LATERAL unnest(
            c.probabilities, CAST(:thresholds AS real[]), CAST(:lows AS real[]), CAST(:highs AS real[])
        ) WITH ORDINALITY AS p (probability, threshold, low, high, position)
        GROUP BY h.site, h.is_new, p.position
    )
    SELECT site, is_new, max(reports) AS reports, array_agg(positives ORDER BY position) AS positives,
           CAST(sum(uncertain) AS bigint) AS uncertain
    FROM said GROUP BY site, is_new
    """
)
# A report's hash has nothing to do with when it came or what it says, and gives the same sample every time.
_SAMPLE = text(
    f"""
    SELECT h.text FROM ({_HALVES}) h
    WHERE h.is_new = :is_new AND h.site = ANY (:sites)
    ORDER BY h.content_hash, h.id LIMIT :size
    """
)


def counts(session: Session, knows: Horizon) -> tuple[dict[str, int], dict[str, int]]:
    """How many reports are new, and how many known, by site."""
    rows = session.execute(_COUNTS, _bounds(knows)).all()
    new = {row.site: row.reports for row in rows if row.is_new}
    return new, {row.site: row.reports for row in rows if not row.is_new}


def tallies(session: Session, knows: Horizon, model: ServingModel) -> tuple[dict[str, Tally], dict[str, Tally]]:
    """What the model said of new, and of known reports, by site; what it has not read yet is not counted."""
    lows, highs = zip(*map(uncertain_between, model.thresholds), strict=True)
    given = {"version": model.id, "thresholds": list(model.thresholds), "lows": list(lows), "highs": list(highs)}
    new: dict[str, Tally] = {}
    known: dict[str, Tally] = {}
    for row in session.execute(_TALLIES, {**_bounds(knows), **given}):
        (new if row.is_new else known)[row.site] = Tally(row.reports, tuple(row.positives), row.uncertain)
    return new, known


def sample(session: Session, knows: Horizon, *, sites: Collection[str], is_new: bool, size: int) -> list[str]:
    """Up to `size` texts of these sites, of new reports or of known ones; the same reports give the same sample."""
    given = {**_bounds(knows), "sites": list(sites), "is_new": is_new, "size": size}
    return list(session.scalars(_SAMPLE, given))


def _bounds(knows: Horizon) -> dict[str, object]:
    return {"learnt_until": knows.learnt_until, "made_at": knows.made_at}


# --- what is kept


def ask(session: Session, *, attempts: int, scheduled_at: datetime | None = None) -> int | None:
    """Enqueue a measurement; None if one is open already, which then waits no longer."""
    job_id = jobs.enqueue(session, JobKind.DRIFT, key=JobKind.DRIFT, max_attempts=attempts, scheduled_at=scheduled_at)
    if job_id is None:
        jobs.wake(session, JobKind.DRIFT)  # whoever asks may have mended what it waits for
    return job_id


def store(session: Session, readings: Sequence[SignalReading], *, model_version_id: int) -> None:
    """Keep the signals of a night. They all get the time of the caller's transaction, so that they are one night's."""
    session.add_all(
        DriftSignal(
            model_version_id=model_version_id,
            site=one.site,
            signal=one.signal,
            label_id=one.label_id,
            value=one.value,
            reference=one.reference,
            drift=one.drift,
            threshold=one.threshold,
            reports=one.reports,
        )
        for one in readings
    )
    session.flush()


_NEWEST = text(
    """
    SELECT measured_at, site, signal, label, value, reference, drift, threshold, exceeded, reports, model_version
    FROM drift_signals WHERE is_newest
    ORDER BY site, signal, label
    """
)


def newest(session: Session) -> list[Measured]:
    """The signals of the last night that was measured, by site."""
    return [Measured(**row) for row in session.execute(_NEWEST).mappings()]


def newest_job(session: Session) -> Job | None:
    """The measurement that was asked for last."""
    return session.scalar(select(Job).where(Job.kind == JobKind.DRIFT).order_by(Job.id.desc()).limit(1))
