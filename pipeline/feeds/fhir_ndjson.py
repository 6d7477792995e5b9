"""FHIR Bulk Data: a folder that grows by NDJSON files of DiagnosticReport (R4), plain or gzipped, at any
depth.

Files named for another resource type (`Patient.000.ndjson`) and hidden ones are left alone. What lies below
a folder named `deleted` are deletion Bundles; they are read after the data of the same pull, because an
export that still holds a report may be older than the deletion that names it.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.feeds.fhir_report import RESOURCE_TYPE, read_deletions, read_report
from pipeline.feeds.fhir_types import RESOURCE_TYPES
from pipeline.feeds.growing_lines import GrowingFile, Line, Look, Trouble, identity, settled
from pipeline.feeds.record import FeedFolderMissing, Item, Reason, Unreadable, Wants

SUFFIXES = (".ndjson", ".ndjson.gz")
DELETED = "deleted"
# A line holds the text in base64 beside narrative, PDF and the rest; what is longer is nobody's report.
_LEAST_LINE_BYTES = 16 << 20
_LINE_FACTOR = 8


class FhirNdjson:
    """A `Reader` over one folder; see `pipeline.feeds.record.Reader`.

    The cursor is {"files": {relative name: cursor of `GrowingFile`}, "deletions_due": bool}; files that are
    gone leave it. A last line without line end is taken if it is JSON; if not, it may still be being
    written and is left for the next pull, unless the file has been quiet for 10 s or since the last look:
    then it is quarantined, and read again when the file changes. The same holds for a gzip file that ends
    too early.

    Raises `FeedFolderMissing` where the folder is missing or closed; nothing that a file holds raises.
    """

    def __init__(
        self,
        folder: Path,
        cursor: Mapping[str, Any],
        *,
        wants: Wants,
        max_text_bytes: int,
        max_line_bytes: int | None = None,
    ) -> None:
        if not folder.is_dir():
            raise FeedFolderMissing(
                f"the feed's folder {folder} does not exist or is no folder; create it, mount it, "
                "or correct `path` of the feed in nightread.toml"
            )
        self._folder = folder
        self._wants = wants
        self._max_text_bytes = max_text_bytes
        self._max_line_bytes = max_line_bytes or max(_LEAST_LINE_BYTES, _LINE_FACTOR * max_text_bytes)
        self._files: dict[str, dict[str, Any]] = dict(cursor.get("files", {}))
        # A data file that is read again brings deleted reports back; the deletions have to follow again,
        # even if this process ends in between.
        self._deletions_due = bool(cursor.get("deletions_due", False))
        self._open: tuple[str, GrowingFile] | None = None

    def cursor(self) -> dict[str, Any]:
        files = dict(self._files)
        if self._open is not None:
            name, file = self._open
            files[name] = file.cursor()
        return {"files": files, "deletions_due": self._deletions_due}

    def __iter__(self) -> Iterator[Item]:
        data: list[tuple[str, Path]] = []
        deletions: list[tuple[str, Path]] = []
        closed: list[str] = []
        for path in _files_below(self._folder, closed):
            name = _name(path.relative_to(self._folder))
            if DELETED in path.relative_to(self._folder).parts[:-1]:
                deletions.append((name, path))
            elif not _is_other_type(path.name):
                data.append((name, path))
        self._forget_all_but({name for name, _ in data + deletions}, closed)
        for name in closed:
            yield from self._unreadable(name, [])
        for name, path in data:
            yield from self._file(name, path, deleted=False)
        for name, path in deletions:
            yield from self._file(name, path, deleted=True)
        self._deletions_due = False

    def _forget_all_but(self, there: set[str], closed: list[str]) -> None:
        """Files below a folder that cannot be entered just now are not gone."""
        kept = tuple(f"{name}/" for name in closed)
        self._files = {
            name: cursor
            for name, cursor in self._files.items()
            if name in there or name in closed or name.startswith(kept)
        }

    def _file(self, name: str, path: Path, *, deleted: bool) -> Iterator[Item]:
        before = {} if deleted and self._deletions_due else self._files.get(name, {})
        seen: list[int] = []
        unreadable = False
        file = GrowingFile(path, before, max_line_bytes=self._max_line_bytes)
        try:
            status = path.stat()
            seen = identity(status)
            if settled(before, status):
                return
            for line in file.lines():
                self._open = (name, file)
                if file.restarted and not deleted:
                    self._deletions_due = True
                yield from self._line(file, f"{name}:{line.number}", line, deleted)
            self._open = (name, file)
        except FileNotFoundError:
            # A link whose target is missing is a mistake; a file taken away since it was listed is not.
            unreadable = path.is_symlink()
        except OSError:  # no permission, a failing disk
            unreadable = True
        finally:  # also when the caller stops in the middle
            if self._open is not None:
                self._files[name] = file.cursor()
                self._open = None
        if unreadable:
            yield from self._unreadable(name, seen)

    def _unreadable(self, name: str, seen: list[int]) -> Iterator[Unreadable]:
        """Said once until the file changes; tried again at every pull."""
        before = self._files.get(name, {})
        if before.get("unreadable") != seen:
            self._files[name] = {**before, "unreadable": seen}
            yield Unreadable(name, Reason.UNREADABLE_FILE)

    def _line(self, file: GrowingFile, place: str, line: Line, deleted: bool) -> Iterator[Item]:
        if line.content is not None and not line.content.strip():
            file.take()
            return
        value = _value(line)
        items: list[Item]
        if isinstance(value, Reason):
            items = [Unreadable(place, value)]
        elif deleted:
            items = list(read_deletions(place, value))
        else:
            items = [read_report(place, value, wants=self._wants, max_text_bytes=self._max_text_bytes)]
        # Half an object is never JSON; half a number is, so that only an object shows that the line is whole.
        if line.ended or isinstance(value, dict):
            yield from items[:-1]
            file.take()  # before the last item, so that the cursor taken with it stands behind the line
            yield from items[-1:]
        elif file.quiet:
            file.leave(Look.REPORTED)
            yield from items
        else:
            file.leave(Look.WAITING)


def _value(line: Line) -> Any:
    """The line's JSON value, or the `Reason` why it has none."""
    if line.content is None:
        return Reason.BROKEN_GZIP if line.trouble is Trouble.BROKEN_GZIP else Reason.OVERSIZED_LINE
    if b"\0" in line.content:
        return Reason.NUL_BYTE
    try:
        return json.loads(line.content.decode())
    except UnicodeDecodeError:
        return Reason.INVALID_UTF_8
    except (ValueError, RecursionError):  # also numbers of more than 4,300 digits, and lists 1,000 deep
        return Reason.BROKEN_JSON


def _files_below(folder: Path, closed: list[str]) -> Iterator[Path]:
    """Files of the right name, a folder's own before those of its folders, by name.

    Folders that cannot be listed are added to `closed`.
    """

    def note(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise FeedFolderMissing(
                f"the feed's folder {folder} cannot be listed ({error.strerror}); give this account access, "
                "or correct `path` of the feed in nightread.toml"
            ) from None
        closed.append(_name(Path(error.filename).relative_to(folder)))

    for parent, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = Path(parent, name)
                if not _is_special(path):
                    yield path


def _is_special(path: Path) -> bool:
    """Pipes, sockets and devices are no files of an export."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False  # reported when it is opened


def _is_other_type(file_name: str) -> bool:
    """Bulk Data names files by type: `Patient.000.ndjson`, `Patient_1.ndjson`, `Patient-2024.ndjson`."""
    word = file_name
    for position, character in enumerate(file_name):
        if not (character.isascii() and character.isalpha()):
            word = file_name[:position]
            break
    return word != RESOURCE_TYPE and word in RESOURCE_TYPES


def _name(path: Path) -> str:
    """A relative path as text that can be stored; bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
