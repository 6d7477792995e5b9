"""Made-up reports, as many as wanted: deterministic by seed, each independent of how many are asked for."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from nightread.made_up.amending import Change, amend
from nightread.made_up.composing import compose
from nightread.made_up.english import ENGLISH
from nightread.made_up.hospitals import HABITS, Hospital
from nightread.made_up.korean import KOREAN
from nightread.made_up.mixed import MIXED
from nightread.made_up.wording import Style, Tongue
from nightread.made_up.writing import Manner, Statement
from pipeline.label_sets import CT_RATE_FINDINGS

FINDINGS: tuple[str, ...] = tuple(name for name, _, _ in CT_RATE_FINDINGS)

# How often a finding is there: the 793 real reports of CT-RATE, held between 8 and 33 % so that each can be
# learnt and none is the rule. Hospitals differ from it (`Habits.prevalence`), and so does the later period.
PREVALENCE: Mapping[str, float] = {
    "Medical material": 0.15,
    "Arterial wall calcification": 0.28,
    "Cardiomegaly": 0.11,
    "Pericardial effusion": 0.08,
    "Coronary artery wall calcification": 0.22,
    "Hiatal hernia": 0.16,
    "Lymphadenopathy": 0.30,
    "Emphysema": 0.23,
    "Atelectasis": 0.28,
    "Lung nodule": 0.33,
    "Lung opacity": 0.30,
    "Pulmonary fibrotic sequela": 0.27,
    "Pleural effusion": 0.15,
    "Mosaic attenuation pattern": 0.08,
    "Peribronchial thickening": 0.09,
    "Consolidation": 0.16,
    "Bronchiectasis": 0.10,
    "Interlobular septal thickening": 0.08,
}
# An epidemic and its aftermath, a screening programme, more implants; less of what was common before.
LATER_PREVALENCE: Mapping[str, float] = {
    "Medical material": 1.5,
    "Lung opacity": 1.6,
    "Consolidation": 1.4,
    "Lung nodule": 1.3,
    "Interlobular septal thickening": 2.2,
    "Mosaic attenuation pattern": 2.2,
    "Pulmonary fibrotic sequela": 1.2,
    "Arterial wall calcification": 0.6,
    "Lymphadenopathy": 0.6,
    "Atelectasis": 0.6,
    "Hiatal hernia": 0.6,
    "Emphysema": 0.7,
}


class Period(StrEnum):
    """When a report was written. In the later period new words have come up, and other findings are common."""

    EARLIER = "earlier"
    LATER = "later"


FIRST_DAY: Mapping[Period, datetime] = {
    Period.EARLIER: datetime(2022, 1, 1, tzinfo=UTC),
    Period.LATER: datetime(2025, 1, 1, tzinfo=UTC),
}
MINUTES_BETWEEN = 29
# After as many reports as fit into the three years of a period its days begin again.
REPORTS_IN_PERIOD = 3 * 365 * 24 * 60 // MINUTES_BETWEEN - 1

TONGUES: Mapping[Style, Tongue] = {Style.ENGLISH: ENGLISH, Style.KOREAN: KOREAN, Style.MIXED: MIXED}


@dataclass(frozen=True, slots=True)
class MadeUpReport:
    """One made-up report with its ground truth: `labels` holds 0 or 1 for every finding, in the label set's
    order, and `statements` the sentences that say so.
    """

    number: int
    site: str
    period: Period
    style: Style
    text: str
    labels: Mapping[str, int]
    statements: tuple[Statement, ...]
    source_id: str
    accession: str
    patient: str
    study_at: datetime
    issued_at: datetime
    updated_at: datetime

    def amended(self, change: Change = Change.ADDENDUM) -> "MadeUpReport":
        """The same report a day later. An ADDENDUM changes no finding; FOUND adds one that had been missed; TAKEN_BACK
        replaces what was said of one by its denial (and FOUND stands in where no sentence tells of one alone).
        """
        rng = random.Random(f"{self.text}/{change}")
        manner = _manner(self.style, Hospital(self.site), self.period, self.study_at)
        after = amend(rng, manner, change, self.text, self.statements, self.labels)
        return replace(
            self,
            text=after.text,
            statements=after.statements,
            labels=after.labels,
            updated_at=self.updated_at + timedelta(days=1),
        )


def reports(
    count: int,
    *,
    seed: int,
    site: str = Hospital.EAST,
    period: Period = Period.EARLIER,
    first: int = 1,
    styles: Mapping[Style, float] | None = None,
) -> Iterator[MadeUpReport]:
    """`count` reports numbered from `first`; report n of a seed, site and period is the same in whatever run it is
    made.

    `site` is one of the two hospitals. `styles` are weights, the hospital's own by default. About one report comes
    every half hour from the period's first day on; a quarter of the patients come again.
    """
    hospital = Hospital(site)
    for number in range(first, first + count):
        # Seeding with a string is the same in every process (SHA-512), unlike hash().
        rng = random.Random(f"{seed}/{hospital}/{period}/{number}")
        yield _report(rng, number, hospital, period, styles or HABITS[hospital].styles)


def _report(
    rng: random.Random, number: int, hospital: Hospital, period: Period, styles: Mapping[Style, float]
) -> MadeUpReport:
    style = rng.choices(list(styles), list(styles.values()))[0]
    # The ill have more of everything: findings come together, each as often as its prevalence says.
    illness = 0.4 + 1.2 * rng.random()
    labels = {name: int(rng.random() < prevalence(name, hospital, period) * illness) for name in FINDINGS}
    turn = number % REPORTS_IN_PERIOD
    study_at = FIRST_DAY[period] + timedelta(minutes=MINUTES_BETWEEN * turn + rng.randrange(MINUTES_BETWEEN))
    issued_at = study_at + timedelta(minutes=rng.randrange(20, 900))
    patient = number if rng.random() < 0.75 else rng.randint(1, number)
    composed = compose(rng, _manner(style, hospital, period, study_at), labels)
    town = hospital.removeprefix("made-up-hospital-")
    name = f"made-up-{'later-' if period is Period.LATER else ''}{number:06d}"
    return MadeUpReport(
        number=number,
        site=str(hospital),
        period=period,
        style=style,
        text=composed.text,
        labels=labels,
        statements=composed.statements,
        source_id=name,
        accession=name.upper(),
        patient=f"made-up-{town}-patient-{patient:06d}",
        study_at=study_at,
        issued_at=issued_at,
        updated_at=issued_at,
    )


def _manner(style: Style, hospital: Hospital, period: Period, study_at: datetime) -> Manner:
    return Manner(TONGUES[style], style, HABITS[hospital], later=period is Period.LATER, today=study_at.date())


def prevalence(finding: str, hospital: Hospital, period: Period) -> float:
    """How many of a hospital's reports of that period have the finding."""
    later = LATER_PREVALENCE.get(finding, 1.0) if period is Period.LATER else 1.0
    return min(PREVALENCE[finding] * HABITS[hospital].prevalence.get(finding, 1.0) * later, 0.5)
