"""The two made-up hospitals and what is customary in each: who is examined, in which tongue, and how it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nightread.made_up.wording import Region, Style

MEDIASTINUM, LUNG, PLEURA, DEVICE = Region


class Hospital(StrEnum):
    """Also the site of its reports."""

    EAST = "made-up-hospital-east"
    WEST = "made-up-hospital-west"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a report stand.

    `opening` has {indication} and {comparison}; `regions` are headings, if any; `item` is a sentence among the
    findings, `line` one of the impression, which may be numbered.
    """

    opening: str
    conclusion: str
    regions: Mapping[Region, str] = field(default_factory=dict)
    item: str = "{}"
    between_items: str = " "
    between_regions: str = "\n"
    line: str = "{number}. {line}"
    between_lines: str = "\n"


@dataclass(frozen=True, slots=True)
class Habits:
    """What is customary in one hospital. Shares are of reports, of findings or of sentences, from 0 to 1."""

    styles: Mapping[Style, float]
    layouts: Mapping[Style, tuple[Layout, ...]]
    order: tuple[Region, ...]
    millimetres: bool  # or centimetres
    spaced: frozenset[Style]  # which tongues write a blank between a number and its unit
    date: str
    slots: Mapping[Style, Mapping[str, tuple[str, ...]]]
    normal: tuple[int, int]  # how many sentences say that something is normal, per region
    said_absent: float  # how many of the findings that are not there are denied
    listed: float  # how often several are named in one sentence
    checklist: float  # how often a line ticks findings off
    polite: float  # how many Korean reports end their sentences in -습니다
    compared: float  # how many have a former examination
    prevalence: Mapping[str, float] = field(default_factory=dict)  # times the common one


_EAST = Habits(
    styles={Style.ENGLISH: 0.25, Style.KOREAN: 0.3, Style.MIXED: 0.45},
    layouts={
        Style.ENGLISH: (
            Layout(
                opening=(
                    "CLINICAL INFORMATION: {indication}.\nTECHNIQUE: Chest CT without contrast.\n"
                    "COMPARISON: {comparison}.\n\nFINDINGS:\n"
                ),
                conclusion="\n\nIMPRESSION:\n",
            ),
            Layout(
                opening="Indication: {indication}.\nComparison: {comparison}.\nFindings\n",
                conclusion="\nImpression\n",
                regions={MEDIASTINUM: "Mediastinum: ", LUNG: "Lungs: ", PLEURA: "Pleura: ", DEVICE: "Other: "},
                line="- {line}",
            ),
        ),
        Style.KOREAN: (
            Layout(
                opening="[임상 정보] {indication}.\n[비교 검사] {comparison}.\n[소견]\n",
                conclusion="\n[결론]\n",
                item="- {}",
                between_items="\n",
            ),
            Layout(
                opening="적응증: {indication}.\n비교: {comparison}.\n\n소견:\n",
                conclusion="\n\n결론:\n",
                regions={MEDIASTINUM: "종격동) ", LUNG: "폐) ", PLEURA: "흉막) ", DEVICE: "기타) "},
            ),
        ),
        Style.MIXED: (
            Layout(
                opening="C/I: {indication}.\nPrev: {comparison}.\n[Finding]\n",
                conclusion="\n[Conclusion]\n",
                between_items="\n",
            ),
            Layout(
                opening="<Chest CT without contrast> Hx) {indication}. Comparison) {comparison}.\n",
                conclusion="\n\nConclusion)\n",
                item="- {}",
                between_items="\n",
                line="{number}) {line}",
            ),
        ),
    },
    order=(LUNG, PLEURA, MEDIASTINUM, DEVICE),
    millimetres=True,
    spaced=frozenset({Style.ENGLISH, Style.KOREAN}),
    date="%Y-%m-%d",
    slots={},
    normal=(0, 2),
    said_absent=0.6,
    listed=0.45,
    checklist=0.12,
    polite=0.0,
    compared=0.85,
    prevalence={"Pulmonary fibrotic sequela": 1.2, "Lung nodule": 1.1, "Hiatal hernia": 0.7, "Medical material": 0.8},
)

_WEST = Habits(
    styles={Style.ENGLISH: 0.45, Style.KOREAN: 0.35, Style.MIXED: 0.2},
    layouts={
        Style.ENGLISH: (
            Layout(
                opening="History: {indication}. Prior: {comparison}. Report: ",
                conclusion=" Conclusion: ",
                between_regions=" ",
                line="{line}",
                between_lines=" ",
            ),
            Layout(
                opening="EXAM: CT THORAX\nCLINICAL HISTORY: {indication}.\nPRIOR STUDY: {comparison}.\n",
                conclusion="\nCONCLUSION: ",
                regions={MEDIASTINUM: "HEART AND VESSELS: ", LUNG: "LUNGS: ", PLEURA: "PLEURA: ", DEVICE: "REST: "},
                line="{line}",
                between_lines=" ",
            ),
        ),
        Style.KOREAN: (
            Layout(
                opening="검사 사유: {indication}.\n이전 검사: {comparison}.\n판독 소견:\n",
                conclusion="\n판독 결론:\n",
                line="{line}",
            ),
            Layout(
                opening="판독 소견: {indication}. 이전 검사: {comparison}. ",
                conclusion="\n결론: ",
                between_regions=" ",
                line="{number}) {line}",
                between_lines=" ",
            ),
        ),
        Style.MIXED: (
            Layout(
                opening="Chest CT. Clinical Hx: {indication}. Old film: {comparison}.\n",
                conclusion="\nImp) ",
                line="{line}",
                between_lines=" ",
            ),
            Layout(
                opening="Reason: {indication}.\nOld study: {comparison}.\n** Chest CT **\n",
                conclusion="\n** Impression **\n",
                between_items="\n",
                line="#{number}. {line}",
            ),
        ),
    },
    order=(DEVICE, MEDIASTINUM, LUNG, PLEURA),
    millimetres=False,
    spaced=frozenset({Style.ENGLISH}),
    date="%Y.%m.%d",
    slots={
        Style.ENGLISH: {
            "lobe": ("RUL", "RML", "RLL", "LUL", "LLL", "lingula", "right lung apex", "posterobasal LLL"),
            "lower": ("RLL", "LLL"),
            "coronary": ("LAD", "RCA", "LCx"),
            "extent": ("slight", "moderate", "marked"),
            "patchy": ("patchy", "multifocal", "widespread", "subpleural"),
        },
        Style.KOREAN: {
            "lobe": ("우측 상엽", "우측 중엽", "우측 하엽", "좌측 상엽", "좌측 하엽", "설상구역", "우측 폐첨"),
            "lower": ("우측 하엽", "좌측 하엽"),
            "extent": ("경도의", "중등도의", "심한"),
        },
        Style.MIXED: {
            "lobe": (
                "Rt. upper lobe",
                "Rt. middle lobe",
                "Rt. lower lobe",
                "Lt. upper lobe",
                "Lt. lower lobe",
                "lingula",
            ),
            "lower": ("Rt. lower lobe", "Lt. lower lobe"),
            "zones": ("양측 폐", "양측 upper lobe", "양측 lower lobe", "우측 폐", "좌측 폐"),
            "extent": ("mild한", "moderate한", "심한"),
        },
    },
    normal=(1, 2),
    said_absent=0.5,
    listed=0.65,
    checklist=0.08,
    polite=0.5,
    compared=0.7,
    prevalence={
        "Medical material": 1.4,
        "Pleural effusion": 1.4,
        "Consolidation": 1.2,
        "Hiatal hernia": 1.3,
        "Lung nodule": 0.8,
        "Pulmonary fibrotic sequela": 0.7,
    },
)

HABITS: Mapping[Hospital, Habits] = {Hospital.EAST: _EAST, Hospital.WEST: _WEST}
