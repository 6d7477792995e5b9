"""A model's folder: written whole or not at all, and refused when a file is not the one that was written.

Weights are safetensors, the rest is JSON. `manifest.json` holds the sha256 of every other file and is
written last; its own sha256 names the artifact.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from uuid import uuid4

from models.errors import ArtifactError

MANIFEST = "manifest.json"
_FORMAT = 1
_NO_ROOM = (ENOSPC, EDQUOT, EFBIG)


class NoRoomError(ArtifactError):
    """The disk is full, so nothing was written."""


@contextmanager
def writing(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` to fill; when the block ends well it gets its manifest and becomes
    `out`.

    When the block raises, nothing is left. Raises ArtifactError if `out` holds something already, NoRoomError if the
    disk is full.
    """
    refuse_used(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{uuid4().hex}.part")
    part.mkdir()
    try:
        yield part
        manifest = _canonical({name: _sha256(part / name) for name in _files(part)})
        (part / MANIFEST).write_bytes(manifest)
        for file in part.iterdir():
            _flush(file)
        part.rename(out)
        _flush(out.parent)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NoRoomError(
                f"{str(out)!r} could not be written ({error.strerror}); make room and do it again"
            ) from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def refuse_used(out: Path) -> None:
    """Raises ArtifactError if `out` holds something already; asked before hours of training, too."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArtifactError(f"{str(out)!r} exists already; name another folder or remove it first")


class FileState(StrEnum):
    """What a file of a model's folder is, held against the manifest."""

    OK = "ok"
    MISSING = "missing"
    ALTERED = "altered"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Examined:
    """A folder held against its manifest, file by file. `sha256` names what the manifest describes."""

    sha256: str
    files: dict[str, FileState]


def examine(folder: Path) -> Examined:
    """The state of every file in `folder`; unknown is one that the manifest does not name.

    Raises ArtifactError if no manifest says what belongs there, or a file cannot be read.
    """
    expected = _manifest(folder)
    found = set(_files(folder))  # nothing outside of the folder is looked at, whatever the manifest names
    files = {
        name: _state(folder / name, sha256) if name in found else FileState.MISSING for name, sha256 in expected.items()
    }
    files |= dict.fromkeys(found - set(expected), FileState.UNKNOWN)
    return Examined(hashlib.sha256(_canonical(expected)).hexdigest(), dict(sorted(files.items())))


def verify(folder: Path) -> str:
    """The sha256 that names the artifact in `folder`, after every file has been held against its manifest.

    Raises ArtifactError if the manifest or a file is missing, altered, unreadable or not in the manifest.
    """
    examined = examine(folder)
    for name, state in examined.files.items():
        if state is FileState.ALTERED:
            raise ArtifactError(
                f"{str(folder / name)!r} is not the file that was written (its sha256 differs); "
                "restore it, or train again"
            )
        if state is not FileState.OK:
            fault = "has no file" if state is FileState.MISSING else "has a file that its manifest does not know:"
            raise ArtifactError(f"model folder {str(folder)!r} {fault} {name!r}; restore the folder as it was written")
    return examined.sha256


def require(folder: Path, sha256: str) -> None:
    """Raises ArtifactError unless `folder` is whole and the artifact that `sha256` names."""
    if verify(folder) != sha256:
        raise ArtifactError(f"{folder.name!r} is not the one that was registered; restore it as it was written")


def _manifest(folder: Path) -> dict[str, str]:
    """The sha256 by file name that `folder`'s manifest states."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        expected = manifest["files"]
        if manifest["format"] != _FORMAT or not isinstance(expected, dict):
            raise ArtifactError(
                f"{str(folder)!r} has a manifest of another format; load it with the version that made it"
            )
    except FileNotFoundError as error:
        raise ArtifactError(f"no model at {str(folder)!r}: {Path(error.filename).name} is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"the model folder {str(folder)!r} cannot be read ({type(error).__name__})") from None
    return expected


def _state(file: Path, sha256: str) -> FileState:
    try:
        return FileState.OK if _sha256(file) == sha256 else FileState.ALTERED
    except OSError as error:
        raise ArtifactError(f"{str(file)!r} cannot be read ({type(error).__name__})") from None


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)


def _canonical(files: dict[str, str]) -> bytes:
    return json.dumps({"format": _FORMAT, "files": files}, sort_keys=True, separators=(",", ":")).encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
