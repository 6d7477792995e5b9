"""Label: read a job's reports, predict and explain them, write everything back at once."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from models.errors import ArtifactError, DeviceError
from pipeline import events, findings, jobs, labelling
from pipeline.database import Sessions
from pipeline.findings import Found, Labelled
from pipeline.jobs import Claim, Terms
from pipeline.labelling import LabelRules, ServingModel
from pipeline.names import JobKind
from pipeline.settings import Settings
from worker.attempt import EnvironmentFailed, attempt, while_database_is_away

if TYPE_CHECKING:
    from models.classifier import Classifier

log = logging.getLogger(__name__)


def run_next(
    sessions: Sessions,
    settings: Settings,
    *,
    worker: str,
    classifier_for: "Callable[[ServingModel], Classifier]",
) -> bool:
    """Run the next label job; False if there is none."""
    terms = Terms.of(settings)
    with sessions.begin() as session:
        held = jobs.claim(session, JobKind.LABEL, worker=worker, terms=terms)
        if held is None:
            return False
        model = labelling.serving(session)
        if model is not None:
            jobs.read_with(session, held, model.id)
        texts = findings.texts(session, held.report_ids, model_version_id=model.id if model else None)
    with attempt(sessions, held, terms):
        if model is None:
            raise EnvironmentFailed("no model serves yet; run `nightread train … --promote`")
        labelled = _read(texts, model, classifier_for) if texts else []
        for turn in while_database_is_away(terms):
            with turn:
                _write(sessions, held, labelled, model, LabelRules.of(settings))
    return True


def _read(
    texts: Mapping[int, str], model: ServingModel, classifier_for: "Callable[[ServingModel], Classifier]"
) -> list[Labelled]:
    """Predict and explain; no transaction is open meanwhile. A failing device or artifact is the environment's."""
    try:
        predictions = classifier_for(model).predict(list(texts.values()), thresholds=model.thresholds)
    except (ArtifactError, DeviceError) as error:
        raise EnvironmentFailed(str(error)) from None
    label_ids = dict(zip(model.labels, model.label_ids, strict=True))
    return [
        Labelled(
            report_id=report_id,
            probabilities=prediction.probabilities,
            findings=tuple(
                Found(
                    label_id=label_ids[finding.label],
                    probability=finding.probability,
                    sentence_start=finding.sentence.start,
                    sentence_end=finding.sentence.end,
                    starts=finding.starts,
                    ends=finding.ends,
                    weights=finding.weights,
                    residual=finding.residual,
                )
                for finding in prediction.findings
            ),
        )
        for report_id, prediction in zip(texts, predictions, strict=True)
    ]


def _write(sessions: Sessions, held: Claim, labelled: list[Labelled], model: ServingModel, rules: LabelRules) -> None:
    with sessions.begin() as session:
        serving = labelling.serving_while_writing(session)
        written = findings.save(session, labelled, model=model)
        jobs.finish(session, held, {"labelled": len(written), "dropped": len(held.report_ids) - len(written)})
        if written:
            events.publish(session, events.ReportsLabelled(held.id, model.id, tuple(written)), rules=rules)
        if serving is None or serving.id != model.id:
            labelling.reconcile(session, rules=rules)  # another model was promoted while this one was reading
    log.info("job %d: %d reports labelled by model %d", held.id, len(written), model.id)
