"""Training in a process of its own: `python -m worker.training_process refresh`, or `drift`, runs the next such job.

The Celery child that starts it stays small and loads no torch; and it may have no multiprocessing children, which
training may want.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from pipeline import jobs
from pipeline.database import Sessions
from pipeline.jobs import worker_name
from pipeline.names import JobKind
from worker import runtime
from worker.reasons import reason

log = logging.getLogger("worker.training_process")  # by name: this module is also run as __main__

# Exit status: it did a job, it found none. Whatever else it ends with, its job comes back with its lease.
DID, FOUND_NONE = 0, 3
# … but for these: somebody asked it to end.
ASKED_TO_END = (-signal.SIGTERM, -signal.SIGINT)
# Label workers of the same machine go first.
NICENESS = 10
SECONDS_BETWEEN_LOOKS = 1.0

Kinds = Mapping[JobKind, Callable[[], bool]]


def run(kind: JobKind, sessions: Sessions, *, module: str = "worker.training_process") -> bool:
    """Run the next job of a kind in a process of its own; False if there was none, or the process came to grief."""
    child = subprocess.Popen(
        [sys.executable, "-m", module, kind],
        stdin=subprocess.DEVNULL,
        # Threads that wait for each other sleep: spinning, they would take the processors from labelling.
        env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
    )
    try:
        status = child.wait()
    finally:
        child.kill()  # if the task was ended; one that has ended itself is left alone
        child.wait()
    if status in ASKED_TO_END:
        with sessions.begin() as session:
            jobs.give_back_all_of(session, [worker_name(child.pid)])
        log.info("%s was asked to end; its job is given back and goes on from its last checkpoint", kind)
    elif status not in {DID, FOUND_NONE}:
        log.warning("%s ended with exit status %d; its job comes back with its lease", kind, status)
    return status == DID


def main(arguments: Sequence[str], kinds: Kinds) -> int:
    """The process itself; its exit status. It ends within a second of its parent, and at once when told to."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("worker").setLevel(logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # nothing has to be tidied: checkpoints and transactions are whole
    os.nice(NICENESS)
    threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()
    (kind,) = arguments
    try:
        return DID if kinds[JobKind(kind)]() else FOUND_NONE
    except Exception as error:  # noqa: BLE001 - a traceback's last line may quote what the work was reading
        log.error("%s ended: %s", kind, reason(error))  # noqa: TRY400
        return 1


def _end_with(parent: int) -> None:
    """End this process when its parent has: the lease then lets another one go on, and only one."""
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _refresh() -> bool:
    from worker import refresh_model  # noqa: PLC0415 - torch, which the Celery child never loads

    return refresh_model.run_next(runtime.sessions(), runtime.settings(), worker=runtime.name())


def _drift() -> bool:
    from worker import measure_drift  # noqa: PLC0415 - torch, which the Celery child never loads

    return measure_drift.run_next(runtime.sessions(), runtime.settings(), worker=runtime.name())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {JobKind.REFRESH: _refresh, JobKind.DRIFT: _drift}))
