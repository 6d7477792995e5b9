"""A folder that grows by files: which files there are, how far each has been read, and which cannot be."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from pipeline.feeds.growing_lines import Look, identity, settled
from pipeline.feeds.record import FeedFolderMissing, Item, PlaceGone, Reason, Unreadable


class OneFile(Protocol):
    """One look at one file of a feed, which goes on from the cursor `before`.

    Iterating raises OSError where the file cannot be opened or read. `cursor()` stands behind the last item
    and is None until the file could be opened.
    """

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> Path: ...

    @property
    def before(self) -> Mapping[str, Any]: ...

    def __iter__(self) -> Iterator[Item]: ...

    def cursor(self) -> dict[str, Any] | None: ...


class GrowingFolder:
    """Files with these suffixes, at any depth; hidden ones are left alone.

    `cursors` holds a cursor for each by its relative name; files that are gone leave it. Raises
    `FeedFolderMissing` where the folder is missing or closed; nothing that a file holds raises.
    """

    def __init__(self, folder: Path, cursors: Mapping[str, dict[str, Any]], *, suffixes: tuple[str, ...]) -> None:
        if not folder.is_dir():
            raise FeedFolderMissing(
                f"the feed's folder {folder} does not exist or is no folder; create it, mount it, "
                "or correct `path` of the feed in nightread.toml"
            )
        self.folder = folder
        self._suffixes = suffixes
        self._cursors = dict(cursors)
        self._closed: list[str] = []
        self._open: OneFile | None = None
        self._places: dict[str, Path] | None = None

    def cursors(self) -> dict[str, dict[str, Any]]:
        found = dict(self._cursors)
        if self._open is not None and (stands := self._open.cursor()) is not None:
            found[self._open.name] = stands
        return found

    def before(self, name: str) -> dict[str, Any]:
        """Where a file was left; empty for one never seen."""
        return self._cursors.get(name, {})

    def files(self) -> list[tuple[str, Path]]:
        """(name, path) of every file, a folder's own before those of its folders, by name.

        Files that are gone are forgotten; those below a folder that cannot be entered just now are not gone.
        """
        self._closed = []
        found = [(_name(path.relative_to(self.folder)), path) for path in self._walk()]
        there = {name for name, _ in found} | set(self._closed)
        behind = tuple(f"{name}/" for name in self._closed)
        self._cursors = {
            name: cursor for name, cursor in self._cursors.items() if name in there or name.startswith(behind)
        }
        return found

    def closed(self) -> Iterator[Unreadable]:
        """The folders that `files` could not enter."""
        for name in self._closed:
            yield from self._unreadable(name, [])

    def read(self, file: OneFile) -> Iterator[Item]:
        """What is new in a file; a file that cannot be opened is one item."""
        seen: list[int] = []
        unreadable = False
        try:
            status = file.path.stat()
            seen = identity(status)
            if settled(file.before, status):
                return
            self._open = file
            yield from file
        except FileNotFoundError:
            # A link whose target is missing is a mistake; a file taken away since it was listed is not.
            unreadable = file.path.is_symlink()
        except OSError:  # no permission, a failing disk
            unreadable = True
        finally:  # also when the caller stops in the middle
            self._cursors = self.cursors()
            self._open = None
        if unreadable:
            yield from self._unreadable(file.name, seen)

    def find(self, place: str, within: re.Pattern[str]) -> tuple[str, Path, re.Match[str]]:
        """(name, path, match of `within`) for a place, which is a file's name and what `within` matches behind it.

        Only files of the feed are found, whatever the place says. Raises `PlaceGone`.
        """
        if self._places is None:
            self._places = {_name(path.relative_to(self.folder)): path for path in self._walk()}
        match = within.search(place)
        if match is None:
            raise PlaceGone(
                f"{place} is a whole file or folder, no single report; mend or replace it, and the next pull reads it"
            )
        name = place[: match.start()]
        if name not in self._places:
            raise PlaceGone(
                f"{name} is no longer in {self.folder}; put it back, or let the source send the report again"
            )
        return name, self._places[name], match

    def _unreadable(self, name: str, seen: list[int]) -> Iterator[Unreadable]:
        """Said once until the file changes; tried again at every pull."""
        before = self._cursors.get(name, {})
        if before.get("unreadable") != seen:
            self._cursors[name] = {**before, "unreadable": seen}
            yield Unreadable(name, Reason.UNREADABLE_FILE)

    def _walk(self) -> Iterator[Path]:
        def note(error: OSError) -> None:
            if Path(error.filename) == self.folder:
                raise FeedFolderMissing(
                    f"the feed's folder {self.folder} cannot be listed ({error.strerror}); give this account access, "
                    "or correct `path` of the feed in nightread.toml"
                ) from None
            self._closed.append(_name(Path(error.filename).relative_to(self.folder)))

        for parent, folders, files in os.walk(self.folder, onerror=note):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if name.lower().endswith(self._suffixes) and not name.startswith("."):
                    path = Path(parent, name)
                    if not _is_special(path):
                        yield path


def position(cursor: Mapping[str, Any]) -> str:
    """A reader's cursor in words, e.g. "3 of 4 files read to the end, b.csv to line 120"."""
    files: Mapping[str, Mapping[str, Any]] = cursor.get("files", {})
    if not files:
        return "nothing read yet"
    ended = [name for name, file in files.items() if file.get("look") in (Look.REACHED, Look.REPORTED)]
    closed = [name for name, file in files.items() if "unreadable" in file]
    words = [f"{len(ended)} of {len(files)} file{'s' * (len(files) > 1)} read to the end"]
    words += [f"{name} to {_far(file)}" for name, file in files.items() if name not in {*ended, *closed}][:1]
    words += [f"{len(closed)} cannot be opened"] if closed else []
    return ", ".join(words)


def _far(file: Mapping[str, Any]) -> str:
    return f"row {file['row']}" if "row" in file else f"line {file.get('line', 0)}"


def _is_special(path: Path) -> bool:
    """Pipes, sockets and devices are no files of an export."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False  # reported when it is opened


def _name(path: Path) -> str:
    """A relative path as text that can be stored; bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
