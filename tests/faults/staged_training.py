"""A training process that does what a test wants, and the Celery app whose training worker starts it.

`TRAINING_DOES` says what the next refresh is: "a job" or "no job", "fails", or "claims", which takes the refresh that
waits and goes on for ever.
"""

import os
import sys
import time
from functools import partial

from pipeline import jobs
from pipeline.jobs import Terms
from pipeline.names import JobKind
from worker import runtime, training_process
from worker.app import app

__all__ = ["app"]

MODULE = "tests.faults.staged_training"
# The tasks look it up when they run, so that they start ours.
training_process.run = partial(training_process.run, module=MODULE)


def refresh() -> bool:
    does = os.environ["TRAINING_DOES"]
    if does == "fails":
        raise ValueError("as careless as a library can be: the message is the report")
    if does == "claims":
        with runtime.sessions().begin() as session:
            jobs.claim(session, JobKind.REFRESH, worker=runtime.name(), terms=Terms.of(runtime.settings()))
        while True:
            time.sleep(0.1)
    return does == "a job"


if __name__ == "__main__":
    sys.exit(training_process.main(sys.argv[1:], {JobKind.REFRESH: refresh}))
