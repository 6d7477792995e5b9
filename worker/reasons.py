"""What of an error may be told, in a job's row, a log or a terminal: nothing that could quote a report."""

import traceback
from pathlib import Path

from models.errors import ModelError
from pipeline.errors import NightreadError


def message(error: BaseException) -> str | None:
    """What our own errors say, which is never report text, and what the operating system says; None of all others."""
    if isinstance(error, (NightreadError, ModelError)):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    return None


def kind_and_place(error: BaseException) -> str:
    """Where an error arose, and of what kind it is."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def reason(error: BaseException) -> str:
    """Why something failed, in one line."""
    return message(error) or kind_and_place(error)
