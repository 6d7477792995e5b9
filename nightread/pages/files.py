"""Pages on disk: they hold report text, so they are private, whole or not there, and never written over other files."""

import os
from pathlib import Path

from pipeline.errors import NightreadError

INDEX = "index.html"
# Stands at the top of every page, so that we know our own again.
MARK = '<meta name="generator" content="Nightread'
_MARK_WITHIN = 1024


class NotWritten(NightreadError):
    """The page cannot be put where it was asked for."""


def name(report_id: int) -> str:
    """The file name of a report's page in a folder of pages."""
    return f"report-{report_id}.html"


def write(file: Path, page: str) -> None:
    """Write a page, readable by its owner alone. A page of ours is replaced; raises `NotWritten` for anything else."""
    try:
        if not file.parent.is_dir():
            raise NotWritten(f"there is no folder {file.parent} to write {file.name} into; make it first")
        if os.path.lexists(file) and not _is_ours(file):
            raise NotWritten(f"{file} exists and is no page of Nightread's; name another file")
        unfinished = file.with_name(f".{file.name}.{os.getpid()}.new")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
                stream.write(page)
            unfinished.replace(file)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise NotWritten(f"{file} cannot be written: {error.strerror}") from None


def prepare(folder: Path) -> None:
    """A private folder for a sample: new, empty, or with a former sample, whose pages go.

    Raises `NotWritten` for a folder that holds anything but pages of ours.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = list(folder.iterdir())
        if other := [one.name for one in held if not _is_ours(one)]:
            raise NotWritten(
                f"{folder} holds {min(other)}, which is no page of Nightread's; name a new or empty folder"
            )
        for one in held:
            one.unlink()
    except OSError as error:
        raise NotWritten(f"{folder} cannot be used: {error.strerror}") from None


def _is_ours(file: Path) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as stream:
        return MARK.encode() in stream.read(_MARK_WITHIN)
