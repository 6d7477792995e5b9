"""FHIR Bulk Data: a folder that grows by NDJSON files of DiagnosticReport (R4), plain or gzipped, at any
depth.

Files named for another resource type (`Patient.000.ndjson`) and hidden ones are left alone. What lies below
a folder named `deleted` are deletion Bundles; they are read after the data of the same pull, because an
export that still holds a report may be older than the deletion that names it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.feeds.fhir_report import RESOURCE_TYPE, read_deletions, read_report
from pipeline.feeds.fhir_types import RESOURCE_TYPES
from pipeline.feeds.growing_folder import GrowingFolder
from pipeline.feeds.growing_lines import GrowingFile, Line, Look, Trouble
from pipeline.feeds.record import Item, PlaceGone, Reason, Unreadable, Wants

SUFFIXES = (".ndjson", ".ndjson.gz")
DELETED = "deleted"
# A line holds the text in base64 beside narrative, PDF and the rest; what is longer is nobody's report.
_LEAST_LINE_BYTES = 16 << 20
_LINE_FACTOR = 8
_WITHIN_FILE = re.compile(r":([0-9]+)(?: entry [0-9]+)?$")


class FhirNdjson:
    """A `Reader` over one folder; see `pipeline.feeds.record.Reader`.

    The cursor is {"files": {relative name: cursor of `GrowingFile`}, "deletions_due": bool}. A last line
    without line end is taken if it is JSON; if not, it may still be being written and is left for the next
    pull, unless the file has been quiet for 10 s or since the last look: then it is quarantined, and read
    again when the file changes. The same holds for a gzip file that ends too early.

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
        self._folder = GrowingFolder(folder, cursor.get("files", {}), suffixes=SUFFIXES)
        self._wants = wants
        self._max_text_bytes = max_text_bytes
        self._max_line_bytes = max_line_bytes or max(_LEAST_LINE_BYTES, _LINE_FACTOR * max_text_bytes)
        # A data file that is read again brings deleted reports back; the deletions have to follow again,
        # even if this process ends in between.
        self._deletions_due = bool(cursor.get("deletions_due", False))

    def cursor(self) -> dict[str, Any]:
        return {"files": self._folder.cursors(), "deletions_due": self._deletions_due}

    def __iter__(self) -> Iterator[Item]:
        files = self._folder.files()
        yield from self._folder.closed()
        for name, path in files:
            if not _is_deletions(name) and not _is_other_type(path.name):
                file = self._file(name, path, self._folder.before(name))
                for item in self._folder.read(file):
                    self._deletions_due = self._deletions_due or file.restarted
                    yield item
        for name, path in files:
            if _is_deletions(name):
                before = {} if self._deletions_due else self._folder.before(name)
                yield from self._folder.read(self._file(name, path, before))
        self._deletions_due = False

    def again(self, place: str) -> Item:
        name, path, within = self._folder.find(place, _WITHIN_FILE)
        found = self._file(name, path, {}).again(int(within[1]))
        for item in found:
            if item.place == place:
                return item
        if found:
            raise PlaceGone(f"{place} is a Bundle of deletions now; the next pull reads it")
        raise PlaceGone(f"nothing is at {place} any more; the next pull reads what the file holds now")

    def _file(self, name: str, path: Path, before: Mapping[str, Any]) -> "_File":
        return _File(
            name,
            path,
            before,
            wants=self._wants,
            max_text_bytes=self._max_text_bytes,
            max_line_bytes=self._max_line_bytes,
        )


class _File:
    """One look at one NDJSON file."""

    def __init__(
        self,
        name: str,
        path: Path,
        before: Mapping[str, Any],
        *,
        wants: Wants,
        max_text_bytes: int,
        max_line_bytes: int,
    ) -> None:
        self.name, self.path, self.before = name, path, before
        self._wants = wants
        self._max_text_bytes = max_text_bytes
        self._lines = GrowingFile(path, before, max_line_bytes=max_line_bytes)

    @property
    def restarted(self) -> bool:
        return self._lines.restarted

    def cursor(self) -> dict[str, Any] | None:
        return self._lines.cursor() if self._lines.begun else None

    def __iter__(self) -> Iterator[Item]:
        for line in self._lines.lines():
            if _is_blank(line):
                self._lines.take()
                continue
            value = _value(line)
            items = self._items(line, value)
            # Half an object is never JSON; half a number is, so that only an object shows that the line is whole.
            if line.ended or isinstance(value, dict):
                yield from items[:-1]
                self._lines.take()  # before the last item, so that the cursor taken with it stands behind the line
                yield from items[-1:]
                continue
            if self._lines.quiet:
                self._lines.leave(Look.REPORTED)
                yield from items
            else:
                self._lines.leave(Look.WAITING)
            return

    def again(self, number: int) -> list[Item]:
        """What line `number` holds now; empty if there is no such line."""
        try:
            for line in self._lines.lines():
                if line.number == number:
                    return [] if _is_blank(line) else self._items(line, _value(line))
                self._lines.take()
        except FileNotFoundError:
            return []
        except OSError:
            return [Unreadable(f"{self.name}:{number}", Reason.UNREADABLE_FILE)]
        return []

    def _items(self, line: Line, value: Any) -> list[Item]:
        place = f"{self.name}:{line.number}"
        if isinstance(value, Reason):
            return [Unreadable(place, value)]
        if _is_deletions(self.name):
            return list(read_deletions(place, value))
        return [read_report(place, value, wants=self._wants, max_text_bytes=self._max_text_bytes)]


def _is_blank(line: Line) -> bool:
    return line.content is not None and not line.content.strip()


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


def _is_deletions(name: str) -> bool:
    return DELETED in name.split("/")[:-1]


def _is_other_type(file_name: str) -> bool:
    """Bulk Data names files by type: `Patient.000.ndjson`, `Patient_1.ndjson`, `Patient-2024.ndjson`."""
    word = file_name
    for position, character in enumerate(file_name):
        if not (character.isascii() and character.isalpha()):
            word = file_name[:position]
            break
    return word != RESOURCE_TYPE and word in RESOURCE_TYPES
