"""Made-up reports, as many as wanted: deterministic by seed, each independent of how many are asked for."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from nightread.made_up.composing import compose
from nightread.made_up.english import ENGLISH
from nightread.made_up.korean import KOREAN
from nightread.made_up.mixed import MIXED
from nightread.made_up.wording import Tongue
from pipeline.label_sets import CT_RATE_FINDINGS

FINDINGS: tuple[str, ...] = tuple(name for name, _, _ in CT_RATE_FINDINGS)

# How often a finding is there: the 793 real reports of CT-RATE, held between 8 and 33 % so that each can be
# learnt and none is the rule.
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


class Style(StrEnum):
    ENGLISH = "english"
    KOREAN = "korean"
    MIXED = "mixed"


TONGUES: Mapping[Style, Tongue] = {Style.ENGLISH: ENGLISH, Style.KOREAN: KOREAN, Style.MIXED: MIXED}
DEFAULT_STYLES: Mapping[Style, float] = {Style.ENGLISH: 0.35, Style.KOREAN: 0.3, Style.MIXED: 0.35}

DEFAULT_SITE = "made-up-hospital"
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MadeUpReport:
    """One made-up report with its ground truth: `labels` holds 0 or 1 for every finding, in the label set's
    order.
    """

    number: int
    site: str
    style: Style
    text: str
    labels: Mapping[str, int]
    source_id: str
    accession: str
    patient: str
    study_at: datetime
    issued_at: datetime
    updated_at: datetime

    def amended(self) -> "MadeUpReport":
        """The same report a day later, with an addendum that changes no finding."""
        return replace(
            self,
            text=f"{self.text}\n\n{TONGUES[self.style].addendum}",
            updated_at=self.updated_at + timedelta(days=1),
        )


def reports(
    count: int,
    *,
    seed: int,
    site: str = DEFAULT_SITE,
    first: int = 1,
    styles: Mapping[Style, float] = DEFAULT_STYLES,
    since: datetime = FIRST_DAY,
) -> Iterator[MadeUpReport]:
    """`count` reports numbered from `first`; report n of a seed and site is the same in whatever run it is
    made.

    `styles` are weights. About one report comes every half hour from `since` on; a quarter of the patients
    come again.
    """
    for number in range(first, first + count):
        # Seeding with a string is the same in every process (SHA-512), unlike hash().
        yield _report(random.Random(f"{seed}/{site}/{number}"), number, site, styles, since)


def _report(rng: random.Random, number: int, site: str, styles: Mapping[Style, float], since: datetime) -> MadeUpReport:
    style = rng.choices(list(styles), list(styles.values()))[0]
    # The ill have more of everything: findings come together, each as often as its prevalence says.
    illness = 0.4 + 1.2 * rng.random()
    labels = {name: int(rng.random() < PREVALENCE[name] * illness) for name in FINDINGS}
    study_at = since + timedelta(minutes=29 * number + rng.randrange(29))
    issued_at = study_at + timedelta(minutes=rng.randrange(20, 900))
    patient = number if rng.random() < 0.75 else rng.randint(1, number)
    return MadeUpReport(
        number=number,
        site=site,
        style=style,
        text=compose(rng, TONGUES[style], labels),
        labels=labels,
        source_id=f"made-up-{number:06d}",
        accession=f"MADE-UP-{number:06d}",
        patient=f"made-up-patient-{patient:06d}",
        study_at=study_at,
        issued_at=issued_at,
        updated_at=issued_at,
    )
