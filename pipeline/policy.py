"""When the language model is refreshed, and whether what came of it may serve: two pure decisions."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pipeline.errors import NightreadError
from pipeline.names import Language, Metric, Signal
from pipeline.settings import GateSettings
from pipeline.tables import RefreshState

CALENDAR = "calendar"


class FiguresContradict(NightreadError):
    """The figures of champion and challenger do not belong together."""


@dataclass(frozen=True, kw_only=True)
class SignalReading:
    """A signal of a site as it was measured; `label_id` and `label` name the finding, for prevalence."""

    site: str
    signal: Signal
    value: float
    reference: float | None
    drift: float | None
    threshold: float | None
    reports: int
    label_id: int | None = None
    label: str | None = None

    @property
    def exceeded(self) -> bool:
        return self.drift is not None and self.threshold is not None and self.drift > self.threshold


def due(
    *,
    now: datetime,
    last_finished_at: datetime | None,
    least_days: float,
    new_reports: int,
    most_new_reports: int | None,
    signals: Sequence[SignalReading],
    can_train: bool,
) -> str | None:
    """Why a refresh is due, in words; None if it is not. `last_finished_at` is when one last came to its end.

    That of the calendar is due by its schedule (`CALENDAR`) and asks nothing of this.
    """
    if not can_train:
        return None
    if last_finished_at is not None and now - last_finished_at < timedelta(days=least_days):
        return None
    if most_new_reports is not None and new_reports >= most_new_reports:
        return f"{new_reports:,} new reports since the last refresh ({most_new_reports:,} make one due)"
    beyond = [one for one in signals if one.exceeded]
    return _drifted(max(beyond, key=_excess)) if beyond else None


def _excess(one: SignalReading) -> float:
    """How many times its threshold a signal has drifted: what makes signals of different kinds comparable."""
    return (one.drift or 0.0) / max(one.threshold or 0.0, 1e-9)


def _drifted(one: SignalReading) -> str:
    of = f"{one.signal} of {one.label}" if one.label else one.signal
    return f"{of} at {one.site} drifted by {one.drift:.3g} ({one.threshold:g} make one due)"


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """Champion and challenger on the very same items; None is what could not be measured.

    `low` and `high` bound challenger - champion: the 95 % interval of the paired bootstrap (models/comparison.py).
    Raises `FiguresContradict` if they lie on the other side of zero than the difference of the figures.
    """

    champion: float | None
    challenger: float | None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        difference, low, high = self.difference, _finite(self.low), _finite(self.high)
        if difference is None or low is None or high is None:
            return
        if low > high or (difference > 0 > high) or (difference < 0 < low):
            # Two scores swapped on the way here would let the worse model win.
            raise FiguresContradict(
                f"a difference of {difference:+.4f} does not go with an interval from {low:+.4f} to {high:+.4f}; "
                "take challenger - champion for both"
            )

    @property
    def difference(self) -> float | None:
        """Challenger - champion."""
        champion, challenger = _finite(self.champion), _finite(self.challenger)
        return None if champion is None or challenger is None else challenger - champion


@dataclass(frozen=True, kw_only=True)
class SiteComparison(_Compared):
    """Macro F1 on the gate annotations of a site: how many reports, and how many positive labels they have."""

    site: str
    reports: int
    positives: int


@dataclass(frozen=True, kw_only=True)
class PairsComparison(_Compared):
    """Pearson's r on sentence pairs of a language."""

    language: Language
    pairs: int


@dataclass(frozen=True, kw_only=True)
class StratumComparison(_Compared):
    """Bits per byte on what is held out of a stratum; `earlier` if the champion had learnt from it."""

    stratum: str
    earlier: bool
    words: int


@dataclass(frozen=True, kw_only=True)
class Churn:
    """Of how many `reports` any label would change."""

    reports: int
    changed: int


class GateOutcome(StrEnum):
    """What a gate says. `shown` and `not-asked` have no effect."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    SHOWN = "shown"
    NOT_ASKED = "not-asked"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate: what it says, its reason as a sentence, and its figures; `items` are what it was measured on.

    A figure that was not taken is None; `low` and `high` bound challenger - champion.
    """

    metric: Metric
    suite: str
    outcome: GateOutcome
    reason: str
    champion: float | None = None
    challenger: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    items: int = 0

    @property
    def name(self) -> str:
        return f"{self.metric} {self.suite}"


@dataclass(frozen=True)
class Verdict:
    """`state` is passed, inconclusive or failed; `accepted_by` takes it upon them that gates are inconclusive."""

    state: GateOutcome
    gates: tuple[Gate, ...]
    accepted_by: str | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, for the event: what failed, then what is inconclusive and by whom that was accepted."""
        failed = [gate.reason for gate in self.gates if gate.outcome is GateOutcome.FAILED]
        unclear = [gate.reason for gate in self.gates if gate.outcome is GateOutcome.INCONCLUSIVE]
        if self.accepted_by is not None:
            unclear = [f"accepted by {self.accepted_by}: {reason}" for reason in unclear]
        passed = sum(gate.outcome is GateOutcome.PASSED for gate in self.gates)
        return (*failed, *unclear) or (f"all {passed} gates passed",)

    def as_json(self) -> dict[str, Any]:
        """For `refresh_run.verdict`."""
        return {
            "state": self.state,
            "accepted_by": self.accepted_by,
            "reasons": list(self.reasons),
            "gates": [asdict(gate) for gate in self.gates],
        }


def judge(
    *,
    gates: GateSettings,
    sites: Sequence[SiteComparison],
    similarity: Sequence[PairsComparison],
    bits: Sequence[StratumComparison],
    churn: Churn | None,
    accepted_by: str | None = None,
) -> Verdict:
    """Whether the challenger may serve in the champion's place.

    `sites` has to name every site that has reports, those without a gate annotation too (`reports` is then 0): where
    nobody can tell, the verdict is inconclusive, unless `accepted_by` somebody. What failed has failed, whoever
    accepts it.
    """
    found = (
        *_sites(sites, margin=gates.macro_f1, least_positives=gates.least_positives),
        *_pairs(similarity, gates),
        *_strata(bits, margin=gates.bits_per_byte, least_words=gates.least_words),
        _churn(churn, limit=gates.churn),
    )
    outcomes = {gate.outcome for gate in found}
    if GateOutcome.FAILED in outcomes:
        return Verdict(GateOutcome.FAILED, found)
    if GateOutcome.INCONCLUSIVE not in outcomes:
        return Verdict(GateOutcome.PASSED, found)
    if accepted_by is not None:
        return Verdict(GateOutcome.PASSED, found, accepted_by)
    return Verdict(GateOutcome.INCONCLUSIVE, found)


def ending(
    *, outcome: GateOutcome, reasons: tuple[str, ...], champion: int, serving: int | None, may_promote: bool
) -> tuple[RefreshState, tuple[str, ...]]:
    """What a refresh comes to, and why. Gates hold for the model they were measured against, and for no other."""
    if outcome is GateOutcome.FAILED:
        return RefreshState.REJECTED, reasons
    if serving != champion:
        changed = f"model version {serving} serves by now, and the gates compared with {champion}; promote by hand"
        return RefreshState.INCONCLUSIVE, (changed, *reasons)
    if outcome is GateOutcome.INCONCLUSIVE:
        return RefreshState.INCONCLUSIVE, reasons
    if not may_promote:
        waits = "it passed its gates; refresh.promote is off, so a person promotes it"
        return RefreshState.INCONCLUSIVE, (waits, *reasons)
    return RefreshState.PROMOTED, reasons


def _sites(sites: Sequence[SiteComparison], *, margin: float, least_positives: int) -> Iterator[Gate]:
    if not sites:  # nothing that could fail is not the same as passing
        reason = "no site has gate annotations to judge by; import some, or accept it by name"
        yield Gate(metric=Metric.MACRO_F1, suite="every site", outcome=GateOutcome.INCONCLUSIVE, reason=reason)
    for one in sites:
        what = f"macro F1 at {one.site}"
        if one.positives >= least_positives:
            outcome, reason = _no_worse(one, what, margin=margin)
        else:
            has = f"{one.positives} in {one.reports} reports" if one.reports else "no gate annotation"
            reason = f"{what}: {least_positives} positive labels in gate annotations are asked for, and it has {has}"
            outcome, reason = GateOutcome.INCONCLUSIVE, f"{reason}; import more of them, or accept it by name"
        yield _gate(Metric.MACRO_F1, one.site, outcome, reason, one, margin=margin, items=one.reports)


def _pairs(measured: Sequence[PairsComparison], gates: GateSettings) -> Iterator[Gate]:
    by_language = {one.language: one for one in measured}
    for language in Language:
        what, one = f"Pearson's r in {language}", by_language.get(language)
        if one is not None:
            outcome, reason = _no_worse(one, what, margin=gates.pearson)
            yield _gate(Metric.PEARSON, language, outcome, reason, one, margin=gates.pearson, items=one.pairs)
        elif language in gates.pairs:
            reason = f"{what}: its sentence pairs were not measured; accept it by name"
            yield Gate(metric=Metric.PEARSON, suite=language, outcome=GateOutcome.INCONCLUSIVE, reason=reason)
        else:
            reason = f"{what}: not asked, since refresh.gates.pairs names no file of sentence pairs"
            yield Gate(metric=Metric.PEARSON, suite=language, outcome=GateOutcome.NOT_ASKED, reason=reason)


def _strata(strata: Sequence[StratumComparison], *, margin: float, least_words: int) -> Iterator[Gate]:
    """Each earlier stratum by itself if enough words of it are hidden, all smaller ones together."""
    small = [one for one in strata if one.earlier and one.words < least_words]
    together = _together(small)
    for one in (*strata, together):
        what = f"bits per byte on {one.stratum}"
        figures = f"{what}: {_number(one.champion)} became {_number(one.challenger)}"
        if not one.earlier:
            outcome, reason = GateOutcome.SHOWN, f"{figures}; shown only, since it was not learnt before"
        elif one.words >= least_words:
            outcome, reason = _not_forgotten(one, what, figures, margin=margin)
        elif one is not together:
            outcome, reason = GateOutcome.SHOWN, f"{figures}; {one.words} hidden words prove nothing by themselves"
        elif any(held.earlier and held.words >= least_words for held in strata):
            continue
        else:  # nothing that could fail is not the same as passing
            reason = (
                f"bits per byte: {one.words} words are hidden of what was learnt before, and {least_words} are asked "
                "for; add general text with `nightread replay add`, or accept it by name"
            )
            outcome = GateOutcome.INCONCLUSIVE
        yield _gate(Metric.BITS_PER_BYTE, one.stratum, outcome, reason, one, margin=margin, items=one.words)


def _together(strata: Sequence[StratumComparison]) -> StratumComparison:
    """Several strata as one, each counting by its hidden words."""
    measured = [one for one in strata if one.words]
    words = sum(one.words for one in measured)

    def mean(figures: Sequence[float | None]) -> float | None:
        known = [value for value in map(_finite, figures) if value is not None]
        if not words or len(known) < len(measured):
            return None
        return sum(value * one.words for value, one in zip(known, measured, strict=True)) / words

    return StratumComparison(
        stratum="small strata together",
        earlier=True,
        words=words,
        champion=mean([one.champion for one in measured]),
        challenger=mean([one.challenger for one in measured]),
    )


def _not_forgotten(one: StratumComparison, what: str, figures: str, *, margin: float) -> tuple[GateOutcome, str]:
    worse = one.difference
    if worse is None:
        return _unmeasured(one, what)
    if worse <= margin:
        return GateOutcome.PASSED, f"{figures}, and {margin:g} more is allowed"
    return GateOutcome.FAILED, f"{figures}, {worse:.3f} more where {margin:g} is allowed: forgotten"


def _churn(churn: Churn | None, *, limit: float | None) -> Gate:
    share = churn.changed / churn.reports if churn and churn.reports else None
    if churn is None or share is None:
        outcome = GateOutcome.NOT_ASKED if limit is None else GateOutcome.INCONCLUSIVE
        reason = "churn: no labelled report to measure it on" + ("" if limit is None else "; accept it by name")
    else:
        reason = f"churn: labels of {churn.changed} of {churn.reports} reports would change ({share:.1%})"
        if limit is None:
            outcome = GateOutcome.SHOWN
        else:
            outcome = GateOutcome.PASSED if share <= limit else GateOutcome.FAILED
            reason += f", and {limit:.1%} may"
    items = churn.reports if churn else 0
    return Gate(
        metric=Metric.CHURN, suite="labels", outcome=outcome, reason=reason, challenger=share, margin=limit, items=items
    )


def _no_worse(one: _Compared, what: str, *, margin: float) -> tuple[GateOutcome, str]:
    """More is better: whether the lower end of the difference is above -margin."""
    low, high = _finite(one.low), _finite(one.high)
    if one.difference is None or low is None or high is None:
        return _unmeasured(one, what)
    figures = (
        f"{what}: {_number(one.champion)} became {_number(one.challenger)} "
        f"({one.difference:+.3f}, 95 % {low:+.3f} to {high:+.3f})"
    )
    if low > -margin:
        return GateOutcome.PASSED, f"{figures}, so at most {margin:g} is lost"
    worse = "it is worse" if high < 0 else "it may be worse"
    return GateOutcome.FAILED, f"{figures}, so more than {margin:g} may be lost: {worse}"


def _unmeasured(one: _Compared, what: str) -> tuple[GateOutcome, str]:
    if _finite(one.champion) is not None and _finite(one.challenger) is None:
        return GateOutcome.FAILED, f"{what}: the challenger has no figure where the champion has one"
    return GateOutcome.INCONCLUSIVE, f"{what}: it could not be measured; accept it by name"


def _gate(
    metric: Metric, suite: str, outcome: GateOutcome, reason: str, one: _Compared, *, margin: float, items: int
) -> Gate:
    return Gate(
        metric=metric,
        suite=suite,
        outcome=outcome,
        reason=reason,
        champion=_finite(one.champion),
        challenger=_finite(one.challenger),
        low=_finite(one.low),
        high=_finite(one.high),
        margin=margin,
        items=items,
    )


def _finite(value: float | None) -> float | None:
    """A figure, or None for one that is none: PostgreSQL's JSON knows no NaN, and no comparison with it is true."""
    return value if value is not None and math.isfinite(value) else None


def _number(value: float | None) -> str:
    return "nothing" if _finite(value) is None else f"{value:.3f}"
