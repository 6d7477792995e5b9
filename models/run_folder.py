"""The folder that a pre-training works in: who may write there, its log, its checkpoints, and the model in the end."""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from safetensors import SafetensorError

from models import artifacts, checkpoints
from models.errors import ArtifactError, ModelError, first_line

LOG, MODEL, CHECKPOINTS = "log.jsonl", "model", "checkpoints"
_LOCK = "lock"


class PretrainingError(ModelError):
    """There is nothing to learn from, or nowhere to put it."""


class FolderUnusable(PretrainingError, ArtifactError):
    """The disk is full or fails, or another process works there: the environment's fault."""


class RunFolder:
    """Only one process at a time has it; see `taken`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.checkpoints = out / CHECKPOINTS
        self._log: TextIO | None = None

    def begin_log(self, step: int) -> None:
        """Drops what was logged after `step`, which will be done again, and a line torn by a kill.

        Raises PretrainingError, as `log` does, if the disk is full or fails.
        """
        path = self.out / LOG
        kept = [line for line in read_log(self.out) if int(str(line["step"])) <= step]
        part = path.with_name(f".{LOG}.part")
        with self._writing_log():
            part.write_text("".join(map(_line, kept)), encoding="utf-8")
            part.replace(path)
            self._log = path.open("a", encoding="utf-8", buffering=1)

    def log(self, line: Mapping[str, object]) -> None:
        assert self._log, "begin_log comes first"
        with self._writing_log():
            self._log.write(_line(line))

    def finish(self, save: Callable[[Path], str]) -> str:
        """Lets `save` write the model, then removes the checkpoints, which nothing needs any longer; returns its
        sha256.
        """
        try:
            sha256 = save(self.out / MODEL)
        except (OSError, SafetensorError, artifacts.NoRoomError) as error:
            reason = first_line(error.__cause__ or error)
            raise FolderUnusable(
                f"the model could not be written to {str(self.out / MODEL)!r} ({reason}); make room and resume"
            ) from None
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        return sha256

    def close(self) -> None:
        if self._log:
            with suppress(OSError):  # a full disk was told of when the line was written
                self._log.close()

    @contextmanager
    def _writing_log(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FolderUnusable(
                f"the log {str(self.out / LOG)!r} could not be written ({error.strerror}); make room and resume"
            ) from None


def read_log(out: Path) -> list[dict[str, object]]:
    """The lines of the log in `out`, up to one that a kill may have torn."""
    lines: list[dict[str, object]] = []
    if (out / LOG).exists():
        for line in (out / LOG).read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
    return lines


def refuse_unfit(out: Path, *, resume: bool) -> None:
    """Raises PretrainingError if a run cannot begin, or be resumed, in `out`; asked before hours of reading, too."""
    used = out.exists() and (not out.is_dir() or any(path.name != _LOCK for path in out.iterdir()))
    if used and not resume:
        raise PretrainingError(f"{str(out)!r} is in use; resume what was begun there, or name another folder")
    if resume and not used:
        raise PretrainingError(f"there is nothing to resume in {str(out)!r}; begin without resume, or name its folder")
    if (out / MODEL).exists():
        raise PretrainingError(f"the pre-training in {str(out)!r} is done; its model is {str(out / MODEL)!r}")


@contextmanager
def taken(out: Path, *, resume: bool) -> Iterator[RunFolder]:
    """The folder, for this process alone until the block ends, however it ends.

    Raises PretrainingError if another process has it, or if it is not fit.
    """
    refuse_unfit(out, resume=resume)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / _LOCK).open("w")
    except OSError as error:
        raise FolderUnusable(f"{str(out)!r} cannot be written to ({error.strerror}); name another folder") from None
    folder = RunFolder(out)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderUnusable(
                f"another process is pre-training in {str(out)!r}; wait for it, or name another folder"
            ) from None
        refuse_unfit(out, resume=resume)  # it may have been taken and left in between
        checkpoints.remove_torn(folder.checkpoints)
        checkpoints.remove_torn(out)
        try:
            yield folder
        finally:
            folder.close()


def _line(line: Mapping[str, object]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"
