"""The tasks: each runs the next job of its kind, then passes the message on; one that finds no job ends the chain."""

from pipeline import settings
from pipeline.names import JobKind, Task
from worker import label_reports, pull_reports, runtime, training_process
from worker.app import app


@app.task(name=Task.PULL)  # type: ignore[untyped-decorator]
def pull() -> None:
    # Read anew: a feed may have been added since this process began.
    if pull_reports.run_next(runtime.sessions(), settings.read(), worker=runtime.name()):
        pull.apply_async()


@app.task(name=Task.LABEL)  # type: ignore[untyped-decorator]
def label() -> None:
    if label_reports.run_next(
        runtime.sessions(), runtime.settings(), worker=runtime.name(), classifier_for=runtime.classifier_for
    ):
        label.apply_async()


@app.task(name=Task.DRIFT)  # type: ignore[untyped-decorator]
def drift() -> None:
    if training_process.run(JobKind.DRIFT, runtime.sessions()):
        drift.apply_async()


@app.task(name=Task.REFRESH)  # type: ignore[untyped-decorator]
def refresh() -> None:
    if training_process.run(JobKind.REFRESH, runtime.sessions()):
        refresh.apply_async()
