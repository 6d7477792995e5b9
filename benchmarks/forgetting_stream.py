"""The stream that benchmarks/forgetting.py refreshes a model on: what is read, held out, annotated and kept for replay.

Four periods: general text, English reports of site A, Korean and mixed reports of site B, and a later period in which
new words have come up. With ../shared/data the general text and the reports of site A are real. Without, site A's
reports are made up too, and the general text is what every Python brings along, the topics of its manual: English, and
hardly any text that a hospital would take for general, but no report either.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pydoc_data.topics import topics
from typing import NamedTuple

import numpy as np
import shared_text
from benchmark_form import is_real, labelled_reports
from numpy.typing import NDArray

from models.corpus_text import Cleaner
from nightread.made_up import FINDINGS, Hospital, MadeUpReport, Period, Style, reports

# Reports of site A, the last in file order, that no model learns from.
_HELD_OUT = 160
# Of the made-up reports: those pre-trained on, annotated, and judged by are three sets.
_PRETRAINED, _ANNOTATED, _JUDGED = 51, 52, 53
NAMES = ("general text", "site A, English", "site B, Korean and mixed", "later, all three")


class Sizes(NamedTuple):
    """How much there is of everything, in documents."""

    real: int  # real reports of site A to learn from, if there are any
    made_up: int  # made-up reports of a period to learn from
    annotated: int  # reports of a period
    judged: int  # held-out documents of a slice


class Annotated(NamedTuple):
    """Reports, and 0 or 1 for every finding: (reports, findings)."""

    texts: list[str]
    truth: NDArray[np.int64]


class Stage(NamedTuple):
    """A period: its text to learn from, by stratum; held-out text, by slice; annotated reports, if it has reports."""

    name: str
    learnt: Mapping[str, list[str]]
    held_out: Mapping[str, list[str]]
    annotated: Annotated | None = None
    judged: Annotated | None = None

    @property
    def texts(self) -> list[str]:
        return [text for texts in self.learnt.values() for text in texts]


def stream(data: Path, sizes: Sizes) -> list[Stage]:
    """The four periods; the same for every arm and seed."""
    earliest = _real(data, sizes) if is_real(data) else _without_data(sizes)
    b = {Style.KOREAN: 0.5, Style.MIXED: 0.5}
    return [
        *earliest,
        _made_up(NAMES[2], "B", Hospital.WEST, Period.EARLIER, b, sizes),
        _made_up(NAMES[3], "later", Hospital.EAST, Period.LATER, None, sizes),
    ]


def kept(learnt: Mapping[str, Sequence[str]], share: float) -> dict[str, list[str]]:
    """The replay buffer of a period: of every stratum the `share` whose hashes are lowest (bottom-k), so that what is
    kept depends on no order and on no random number.
    """
    return {
        stratum: sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[: round(share * len(texts))]
        for stratum, texts in learnt.items()
    }


def _real(data: Path, sizes: Sizes) -> list[Stage]:
    splits = shared_text.read(data)
    languages = ("Korean", "English")
    general = {f"general, {language}": splits[language].train for language in languages}
    slices = {f"general, {language}": splits[language].held_out[: sizes.judged] for language in languages}
    texts, truth, _ = labelled_reports(data)
    learnt, judged = slice(sizes.real), slice(-_HELD_OUT, len(texts) - _HELD_OUT + sizes.judged)
    return [
        Stage(NAMES[0], general, slices),
        Stage(
            NAMES[1],
            {"A, English": texts[:-_HELD_OUT][learnt]},
            {"A, English": texts[judged]},
            Annotated(texts[: sizes.annotated], truth[: sizes.annotated]),
            Annotated(texts[judged], truth[judged]),
        ),
    ]


def _without_data(sizes: Sizes) -> list[Stage]:
    cleaner = Cleaner()
    paragraphs = [paragraph for topic in sorted(topics) for paragraph in topics[topic].split("\n\n")]
    clean = [text for paragraph in paragraphs if (text := cleaner.clean(" ".join(paragraph.split())))]
    english = {Style.ENGLISH: 1.0}
    return [
        Stage(NAMES[0], {"general, English": clean[sizes.judged :]}, {"general, English": clean[: sizes.judged]}),
        _made_up(NAMES[1], "A", Hospital.EAST, Period.EARLIER, english, sizes),
    ]


def _made_up(
    name: str, stratum: str, site: Hospital, period: Period, styles: Mapping[Style, float] | None, sizes: Sizes
) -> Stage:
    def some(count: int, seed: int) -> list[MadeUpReport]:
        return list(reports(count, seed=seed, site=site, period=period, styles=styles))

    def by_style(several: Iterable[MadeUpReport]) -> dict[str, list[str]]:
        texts: dict[str, list[str]] = {}
        for one in several:
            texts.setdefault(f"{stratum}, {one.style}", []).append(one.text)
        return texts

    judged = some(sizes.judged, _JUDGED)
    slices = {"later": [one.text for one in judged]} if period is Period.LATER else by_style(judged)
    return Stage(
        name,
        by_style(some(sizes.made_up, _PRETRAINED)),
        slices,
        _annotated(some(sizes.annotated, _ANNOTATED)),
        _annotated(judged),
    )


def _annotated(several: Sequence[MadeUpReport]) -> Annotated:
    truth = [[one.labels[finding] for finding in FINDINGS] for one in several]
    return Annotated([one.text for one in several], np.array(truth))
