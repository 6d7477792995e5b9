"""Drift: measure how far each site's new reports are from what the serving model knows, and ask for a refresh if that,
or their number, makes one due.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.errors import ArtifactError, DeviceError, FoundationError
from pipeline import drift, jobs, labelling, policy, promotions, refresh_runs
from pipeline.database import Sessions
from pipeline.drift import Horizon
from pipeline.jobs import Claim, Terms
from pipeline.labelling import LabelRules, ServingModel
from pipeline.names import JobKind, Signal
from pipeline.policy import SignalReading
from pipeline.settings import DriftSettings, Settings
from pipeline.tables import ModelVersion
from worker import refresh_desk
from worker.attempt import EnvironmentFailed, attempt, while_database_is_away

log = logging.getLogger(__name__)

# What texts say of themselves, by signal.
Figures = dict[Signal, float]


@dataclass(frozen=True)
class _Asked:
    """What is to be measured: the serving model, its language model if it has one, and where its knowledge ends."""

    model: ServingModel
    language_model: str | None
    language_model_sha256: str | None
    knows: Horizon


def run_next(sessions: Sessions, settings: Settings, *, worker: str) -> bool:
    """Run the next measurement; False if there is none."""
    terms = Terms.of(settings)
    with sessions.begin() as session:
        held = jobs.claim(session, JobKind.DRIFT, worker=worker, terms=terms)
        refreshing = refresh_runs.current(session)
        keep = refresh_desk.named(refreshing) if refreshing else None
    if held is None:
        return False
    with attempt(sessions, held, terms):
        refresh_desk.sweep(settings, keep=keep)  # every night, so that nothing stays of a refresh that was given up
        _measure(sessions, settings, held, terms)
    return True


def _measure(sessions: Sessions, settings: Settings, held: Claim, terms: Terms) -> None:
    limits = settings.refresh.drift
    with sessions.begin() as session:
        asked = _asked(session)
        if asked is None:
            jobs.finish(session, held, {"nothing": "no model serves"})
            log.info("drift: no model serves, so there is nothing to measure it by")
            return
        new, known = drift.counts(session, asked.knows)
        tallies = drift.tallies(session, asked.knows, asked.model)
        readings = drift.label_readings(*tallies, model=asked.model, limits=limits)
    wanted = {
        site: drift.reference_sites(site, known, least=limits.least_reports)
        for site, reports in sorted(new.items())
        if reports >= limits.least_reports
    }
    if wanted:
        readings += _of_texts(sessions, wanted, asked, limits, settings.models_folder)
    outcome = {"signals": len(readings), "sites": len(wanted), "new_reports": sum(new.values())}
    for turn in while_database_is_away(terms):
        with turn, sessions.begin() as session:
            jobs.finish(session, held, outcome)  # first: who lost the lease writes nothing
            drift.store(session, readings, model_version_id=asked.model.id)
            _ask_if_due(session, settings, asked, readings, new_reports=sum(new.values()))
    log.info("drift: %d signals of %d sites", len(readings), len(wanted))


def _asked(session: Session) -> _Asked | None:
    version_id = promotions.serving_id(session)
    if version_id is None:
        return None
    version = session.get_one(ModelVersion, version_id)
    model = labelling.described(session, version)
    knows = drift.horizon(session, model)
    return _Asked(model, version.language_model, version.language_model_sha256, knows)


def _of_texts(
    sessions: Sessions, wanted: dict[str, tuple[str, ...]], asked: _Asked, limits: DriftSettings, models_folder: Path
) -> list[SignalReading]:
    """The signals of the texts of each site in `wanted`, against the known ones of the sites beside it."""
    figures_of = _figures(models_folder, asked)
    known: dict[tuple[str, ...], Figures] = {(): {}}
    found = []

    def sample(sites: Sequence[str], *, is_new: bool) -> list[str]:
        with sessions.begin() as session:
            return drift.sample(session, asked.knows, sites=sites, is_new=is_new, size=limits.sample)

    for site, reference_sites in wanted.items():
        if reference_sites not in known:
            known[reference_sites] = figures_of(sample(reference_sites, is_new=False))
        texts = sample([site], is_new=True)
        for signal, value in figures_of(texts).items():
            reference = known[reference_sites].get(signal)
            found.append(
                drift.reading(signal, site=site, value=value, reference=reference, reports=len(texts), limits=limits)
            )
    return found


def _figures(models_folder: Path, asked: _Asked) -> Callable[[Sequence[str]], Figures]:
    """Loads what measures texts: the language model with its tokenizer, or without one the classifier's tokenizer.

    Raises `EnvironmentFailed` if that cannot be loaded, or is not what the model was registered with.
    """
    from models import artifacts, bits, devices, fertility, masked_lm  # noqa: PLC0415 - torch, for those who measure
    from models.foundations import load_tokenizer  # noqa: PLC0415

    name = asked.language_model or asked.model.artifact
    sha256 = asked.language_model_sha256 or asked.model.artifact_sha256
    network = None
    try:
        artifacts.require(models_folder / name, sha256)
        if asked.language_model is None:
            tokenizer = load_tokenizer(models_folder / name)
        else:
            network, tokenizer = masked_lm.load(models_folder / name)
            network.to(devices.pick())
    except (ArtifactError, FoundationError, DeviceError) as error:
        raise EnvironmentFailed(str(error)) from None

    def measure(texts: Sequence[str]) -> Figures:
        words = fertility.measure(tokenizer, texts)
        found = {Signal.UNKNOWN_PIECES: words.unknown_rate, Signal.FERTILITY: words.pieces_per_word}
        if network is not None and network.had_head:  # one drawn at random guesses nothing
            try:
                with devices.guarded("measuring bits per byte"):
                    found[Signal.BITS_PER_BYTE] = bits.measure(network, tokenizer, texts).bits_per_byte
            except DeviceError as error:
                raise EnvironmentFailed(str(error)) from None
            except ValueError:
                log.info("drift: too few words to measure bits per byte on")
        # What is no number would exceed every threshold in PostgreSQL's eyes.
        return {signal: value for signal, value in found.items() if math.isfinite(value)}

    return measure


def _ask_if_due(
    session: Session, settings: Settings, asked: _Asked, readings: Sequence[SignalReading], *, new_reports: int
) -> None:
    if promotions.serving_id(session) != asked.model.id:
        log.info("drift: another model serves by now; whether a refresh is due is decided when it was measured")
        return
    reason = policy.due(
        now=session.scalars(select(func.now())).one(),
        last_finished_at=refresh_runs.last_finished_at(session),
        least_days=settings.refresh.least_days,
        new_reports=new_reports,
        most_new_reports=settings.refresh.new_reports,
        signals=readings,
        can_train=refresh_runs.lacks(session, asked.model.id) is None,
    )
    if reason is None:
        return
    try:
        run = refresh_runs.ask(session, reason=reason, by=refresh_runs.POLICY, rules=LabelRules.of(settings))
        log.info("refresh %d is due: %s", run.id, reason)
    except refresh_runs.NotRefreshed as why:
        log.info("a refresh is due (%s), but %s", reason, why)
