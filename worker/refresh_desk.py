"""What every stage of a refresh works with: its row and job, its folder, its settings as they were when it began."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from pipeline import jobs, refresh_runs
from pipeline.database import DatabaseUnavailable, Sessions
from pipeline.jobs import Claim, Terms
from pipeline.labelling import LabelRules
from pipeline.refresh_runs import Progress
from pipeline.settings import Settings
from pipeline.tables import RefreshRun, RefreshStage, RefreshState
from worker.attempt import while_database_is_away

log = logging.getLogger(__name__)

# Between two words about progress: soon enough for a bar that moves, and for a wish to cancel.
_SECONDS = 1.0


def work_folder(settings: Settings) -> Path:
    """What refreshes leave lying while they work, a folder each."""
    return settings.models_folder / ".refresh"


def named(run: RefreshRun) -> str:
    return f"refresh-{run.id}-{run.asked_at.astimezone(UTC):%Y%m%d-%H%M%S}"


def sweep(settings: Settings, *, keep: str | None) -> None:
    """Remove what refreshes left that were killed at their very end or given up; `keep` names the open one."""
    for left in work_folder(settings).glob("refresh-*"):
        if left.name != keep:
            shutil.rmtree(left, ignore_errors=True)


@dataclass(frozen=True)
class Desk:
    """A refresh in one worker's hands. Everything written checks that the job is still held."""

    sessions: Sessions
    settings: Settings
    terms: Terms
    held: Claim
    run_id: int
    name: str  # of its files: a database that was restored may number another refresh alike

    @property
    def folder(self) -> Path:
        """Where it works, on the disk that all training workers share: whoever resumes it finds its checkpoints."""
        return work_folder(self.settings) / self.name

    @property
    def language_model(self) -> Path:
        """Where the language model that it makes will lie."""
        return self.settings.models_folder / f"language-{self.name}"

    @property
    def classifier(self) -> Path:
        """Where the classifier that it makes will lie."""
        return self.settings.models_folder / f"classifier-{self.name}"

    def clear(self) -> None:
        """Remove all that it worked with."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self) -> RefreshRun:
        """The row, as it is now and detached."""
        with self.sessions.begin() as session:
            run = session.get_one(RefreshRun, self.run_id)
            session.expunge(run)
        return run

    def record(self, stage: RefreshStage, **values: Any) -> None:
        """Keep what a stage came to, and begin the next. Raises `LeaseLost`."""
        for turn in while_database_is_away(self.terms):
            with turn, self.sessions.begin() as session:
                refresh_runs.record(session, self.held, self.run_id, self.terms, stage=stage, **values)

    def end(self, state: RefreshState, *, reasons: tuple[str, ...], by: str = refresh_runs.POLICY) -> None:
        """The refresh and its job come to their end together."""
        for turn in while_database_is_away(self.terms):
            with turn, self.sessions.begin() as session:
                jobs.finish(session, self.held, {str(state): 1})
                refresh_runs.finish(
                    session, self.run_id, state, reasons=reasons, by=by, rules=LabelRules.of(self.settings)
                )
        log.info("refresh %d: %s", self.run_id, state)

    @contextmanager
    def stage(self, stage: RefreshStage) -> "Iterator[Callable[[int, int, float | None], None]]":
        """Yields what to call with steps done, steps in all and the loss, as often as one likes.

        The call raises `Cancelled` if somebody asked to stop, `LeaseLost` if the job went to another worker.
        """
        began, first, told = time.monotonic(), None, 0.0

        def tell(step: int, steps: int, loss: float | None = None) -> None:
            nonlocal first, told
            now = time.monotonic()
            if first is None:
                first = step  # of a resumed stage, the steps of earlier attempts say nothing about its speed
            if now - told < _SECONDS and step < steps:
                return
            told = now
            done = step - first
            left = (now - began) / done * (steps - step) if done > 0 else None
            self._tell(stage, Progress(step, steps, loss, left))

        log.info("refresh %d: %s", self.run_id, stage)
        tell(0, 1)
        first = None
        yield tell

    def _tell(self, stage: RefreshStage, done: Progress) -> None:
        try:
            with self.sessions.begin() as session:
                refresh_runs.progress(session, self.held, self.run_id, stage, done, self.terms)
        except DatabaseUnavailable as away:  # the next word will do; hours of training must not end over this one
            log.warning("refresh %d: progress not recorded: %s", self.run_id, away)
