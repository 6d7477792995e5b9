"""What the gates of a refresh are judged by: champion and challenger, measured on the very same items."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from models import bits, comparison, devices, masked_lm, sentence_pairs, similarity
from models.bits import Bits
from models.comparison import Estimate, Measure
from pipeline import annotations, labelling, policy, training_mix
from pipeline.labelling import ServingModel
from pipeline.names import Language, Metric
from pipeline.policy import Churn, PairsComparison, SiteComparison, StratumComparison, Verdict
from pipeline.settings import GateSettings
from pipeline.tables import (
    Annotation,
    Classification,
    Evaluation,
    ModelVersion,
    Report,
    Split,
)
from pipeline.training_mix import HeldOut
from worker import classifiers
from worker.refresh_desk import Desk
from worker.refresh_training import Champion

Tell = Callable[[int, int, float | None], None]


class Compared(NamedTuple):
    """One suite: the figures of both, and the interval of challenger less champion where there is one.

    `champion` and `challenger` are None where nothing could be measured.
    """

    metric: Metric
    suite: str
    earlier: bool
    champion: Estimate | None
    challenger: Estimate | None
    difference: Estimate | None
    items: int
    positives: int = 0


@dataclass(frozen=True)
class _Both:
    """What is measured on both: classifiers and language models."""

    champion: ServingModel
    challenger: ServingModel
    former_language_model: Path
    language_model: Path
    reads_masked: bool  # whether the former one does; else its figures would be those of a head drawn at random


def compare(desk: Desk, champion: Champion, version_id: int, language_model: Path, tell: Tell) -> list[Compared]:
    """Every suite of every gate, champion against challenger. No transaction is open while they read."""
    with desk.sessions.begin() as session:
        version = session.get_one(ModelVersion, version_id)
        both = _Both(
            champion.model,
            labelling.described(session, version),
            champion.language_model,
            language_model,
            champion.reads_masked,
        )
        gate = _gate(session, champion, version_id)
        newest = _newest(session, champion.model, desk.settings.refresh.gates.churn_sample)
        after = desk.run().from_report_id or 0
        strata = training_mix.held_out(session, after=after)
    texts = [one.text for held in gate.values() for one in held]
    total = 2 * (len(texts) + len(newest) + sum(len(stratum.texts) for stratum in strata))
    done = 0

    def read(count: int) -> None:
        nonlocal done
        done += count
        tell(min(done, total - 1), total, None)

    found = _sites(desk, both, gate, newest, read)
    found += _bits(both, strata, read)
    found += _similarity(desk, both)
    return found


def judge(compared: Sequence[Compared], *, gates: GateSettings, accepted_by: str | None) -> Verdict:
    """What the gates say of these figures."""

    def of(metric: Metric) -> list[Compared]:
        return [one for one in compared if one.metric is metric]

    return policy.judge(
        gates=gates,
        sites=[
            SiteComparison(site=one.suite, reports=one.items, positives=one.positives, **_figures(one))
            for one in of(Metric.MACRO_F1)
        ],
        similarity=[
            PairsComparison(language=Language(one.suite), pairs=one.items, **_figures(one))
            for one in of(Metric.PEARSON)
        ],
        bits=[
            StratumComparison(stratum=one.suite, earlier=one.earlier, words=one.items, **_figures(one))
            for one in of(Metric.BITS_PER_BYTE)
        ],
        churn=next(
            (
                Churn(reports=one.items, changed=round(one.challenger.value * one.items))
                for one in of(Metric.CHURN)
                if one.challenger
            ),
            None,
        ),
        accepted_by=accepted_by,
    )


def _figures(one: Compared) -> dict[str, float | None]:
    difference = one.difference
    return {
        "champion": one.champion.value if one.champion else None,
        "challenger": one.challenger.value if one.challenger else None,
        # Percentiles of a skewed bootstrap over few items may lie beside the difference itself.
        "low": min(difference.low, difference.value) if difference else None,
        "high": max(difference.high, difference.value) if difference else None,
    }


def rows(run_id: int, champion_id: int, challenger_id: int, compared: Sequence[Compared]) -> list[Evaluation]:
    """The figures as rows, of both."""
    return [
        Evaluation(
            refresh_run_id=run_id,
            model_version_id=version,
            metric=one.metric,
            suite=one.suite,
            earlier=one.earlier,
            value=figure.value,
            low=figure.low if np.isfinite(figure.low) else None,
            high=figure.high if np.isfinite(figure.high) else None,
            items=one.items,
        )
        for one in compared
        for version, figure in ((champion_id, one.champion), (challenger_id, one.challenger))
        if figure is not None and np.isfinite(figure.value)
    ]


def _gate(session: Session, champion: Champion, version_id: int) -> dict[str, list[Annotation]]:
    """What may judge both, by site: neither learnt from its text anywhere. Sites with reports alone are named too."""
    learnt = annotations.fitted_hashes(session, champion.model.id) | annotations.fitted_hashes(session, version_id)
    given = annotations.stored(session, champion.label_set_id, Split.GATE)
    reported = select(Report.site).where(Report.is_current, Report.withdrawn_at.is_(None)).distinct()
    named = {one.site for one in given} | set(session.scalars(reported))
    session.expunge_all()
    return {site: [one for one in given if one.site == site and one.text_hash not in learnt] for site in sorted(named)}


def _newest(session: Session, champion: ServingModel, most: int) -> list[tuple[str, list[float]]]:
    """The newest reports that the champion labelled: text and probabilities."""
    rows = session.execute(
        select(Report.text, Classification.probabilities)
        .join(Classification, Classification.report_id == Report.id)
        .where(Classification.model_version_id == champion.id, Report.is_current, Report.withdrawn_at.is_(None))
        .order_by(Report.id.desc())
        .limit(most)
    ).all()
    return [(text, probabilities) for text, probabilities in rows if text is not None]


def _sites(
    desk: Desk,
    both: _Both,
    gate: dict[str, list[Annotation]],
    newest: Sequence[tuple[str, list[float]]],
    read: Callable[[int], None],
) -> list[Compared]:
    """Macro F1 at each site, and how many of the newest reports would have other labels."""
    held = [one for rows in gate.values() for one in rows]
    said, churned = [], np.zeros(0, dtype=bool)
    for model in (both.champion, both.challenger):
        classifier = classifiers.load(desk.settings.models_folder, model)
        limits = np.array(model.thresholds)
        said.append(classifier.probabilities([one.text for one in held], read) >= limits)
        if model is both.challenger:
            then = np.array([given for _, given in newest]).reshape(len(newest), len(limits))
            now = classifier.probabilities([text for text, _ in newest], read)
            churned = ((then >= np.array(both.champion.thresholds)) != (now >= limits)).any(1)
    compared, start = [], 0
    for site, rows in gate.items():
        here = slice(start, start + len(rows))
        start += len(rows)
        stated = annotations.truth(rows).reshape(said[0][here].shape)
        compared.append(_macro_f1(site, said[0][here], said[1][here], stated))
    if len(churned):
        share = comparison.estimate(_share(churned), len(churned))
        compared.append(Compared(Metric.CHURN, "newest reports", True, None, share, None, len(churned)))
    return compared


def _macro_f1(site: str, then: NDArray[np.bool_], now: NDArray[np.bool_], actual: NDArray[np.int8]) -> Compared:
    positives = int(actual.sum())
    if not positives:
        return Compared(Metric.MACRO_F1, site, True, None, None, None, len(actual), 0)
    former, latter = comparison.macro_f1(then, actual), comparison.macro_f1(now, actual)
    return _compared(Metric.MACRO_F1, site, former, latter, items=len(actual), positives=positives)


def _bits(both: _Both, strata: Sequence[HeldOut], read: Callable[[int], None]) -> list[Compared]:
    then: list[Bits | None] = [None] * len(strata)
    if both.reads_masked:
        then = _measured(both.former_language_model, strata, read)
    now = _measured(both.language_model, strata, read)
    return [
        Compared(
            Metric.BITS_PER_BYTE,
            stratum.stratum,
            stratum.earlier and both.reads_masked,
            _exact(former.bits_per_byte) if former else None,
            _exact(latter.bits_per_byte) if latter else None,
            None,
            latter.words if latter else 0,
        )
        for stratum, former, latter in zip(strata, then, now, strict=True)
    ]


def _measured(folder: Path, strata: Sequence[HeldOut], read: Callable[[int], None]) -> list[Bits | None]:
    """Bits per byte of each stratum; None where it has too few words for one to be masked."""
    model, tokenizer = masked_lm.load(folder)
    model.to(devices.pick())
    found: list[Bits | None] = []
    with devices.guarded("measuring bits per byte"):
        for stratum in strata:
            try:
                found.append(bits.measure(model, tokenizer, stratum.texts))
            except ValueError:
                found.append(None)
            read(len(stratum.texts))
    return found


def _exact(value: float) -> Estimate:
    return Estimate(value, float("nan"), float("nan"))


def _similarity(desk: Desk, both: _Both) -> list[Compared]:
    compared = []
    for language, file in sorted(desk.settings.refresh.gates.pairs.items()):
        pairs = sentence_pairs.read(file)
        people = [pair.score for pair in pairs]
        former, latter = (
            comparison.pearson(similarity.zero_shot(folder, pairs), people)
            for folder in (both.former_language_model, both.language_model)
        )
        compared.append(_compared(Metric.PEARSON, str(language), former, latter, items=len(pairs)))
    return compared


def _compared(
    metric: Metric, suite: str, former: Measure, latter: Measure, *, items: int, positives: int = 0
) -> Compared:
    return Compared(
        metric,
        suite,
        True,
        comparison.estimate(former, items),
        comparison.estimate(latter, items),
        comparison.estimate(comparison.difference(latter, former), items),
        items,
        positives,
    )


def _share(found: NDArray[np.bool_]) -> Measure:
    return lambda counts: (counts @ found) / counts.sum(1)
