"""The real worker, made to stop, fail or die at chosen points. Only the fault tests start it.

A test holds a point by putting a file `hold-POINT` into the stage; the first process to arrive there renames it to
`held-POINT.PID`, which says where it is and who, and waits for as long as that file stands. The file may hold a
number: the arrival, counted in each process, from which on it is held.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import database, jobs, reports
from worker import label_reports
from worker.app import app

__all__ = ["app"]

STAGE = Path(os.environ["FAULTS_STAGE"])
# Words in a report that make it poison.
RAISES, KILLS = os.environ["FAULTS_RAISES"], os.environ["FAULTS_KILLS"]

if "FAULTS_PRELOAD" in os.environ:
    # Every killed child would spend five seconds on this again. It does survive a fork as long as no thread has
    # been started and each child uses one; the worker itself does not rely on that, and is tested as it is in
    # test_up.py.
    import models.classifier  # noqa: F401

_arrivals: Counter[str] = Counter()


def reach(point: str) -> None:
    """Wait here if the test holds this point."""
    _arrivals[point] += 1
    hold = STAGE / f"hold-{point}"
    held = STAGE / f"held-{point}.{os.getpid()}"
    try:
        if _arrivals[point] < int(hold.read_text() or 1):
            return
        hold.rename(held)
    except FileNotFoundError:
        return
    while held.exists():
        time.sleep(0.02)


def _before_and_after(before: str | None, work: Callable[..., Any], after: str | None) -> Callable[..., Any]:
    def staged(*arguments: Any, **named: Any) -> Any:
        if before:
            reach(before)
        result = work(*arguments, **named)
        if after:
            reach(after)
        return result

    return staged


def _poisoned(read: Callable[..., Any]) -> Callable[..., Any]:
    def staged(texts: dict[int, str], *rest: Any) -> Any:
        for text in texts.values():
            if KILLS in text:
                os.kill(os.getpid(), signal.SIGKILL)
            if RAISES in text:
                raise ValueError(text)  # as careless as a library can be: the message is the report
        return read(texts, *rest)

    return staged


# The use cases look these names up when they run, so that they meet ours.
label_reports._read = _before_and_after("predicting", _poisoned(label_reports._read), "predicted")
label_reports._write = _before_and_after(None, label_reports._write, "committed")
jobs.finish = _before_and_after("finishing", jobs.finish, "finished")
database.copy_rows = _before_and_after(None, database.copy_rows, "copied")
reports.store = _before_and_after(None, reports.store, "stored")
