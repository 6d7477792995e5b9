"""A folder that grows by tables, whatever their format."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from pipeline.feeds.growing_folder import GrowingFolder, OneFile
from pipeline.feeds.record import Item, PlaceGone, Reason, Unreadable


class OneTable(OneFile, Protocol):
    """One look at one table."""

    def again(self, number: int) -> Item | None:
        """What stands at this number now; None if no row does. Raises OSError."""
        ...


OpenTable = Callable[[str, Path, Mapping[str, Any]], OneTable]


class TableFeed:
    """A `Reader` over one folder; see `pipeline.feeds.record.Reader`. The cursor is {"files": {name: cursor}}.

    `shape` names what the settings say of the columns. A table that was refused for its columns is looked at
    again when it changes or when they do. `within` matches a place's end, behind the file's name.
    Raises `FeedFolderMissing`.
    """

    def __init__(
        self,
        folder: Path,
        cursor: Mapping[str, Any],
        *,
        suffixes: tuple[str, ...],
        within: re.Pattern[str],
        shape: str,
        opened: OpenTable,
    ) -> None:
        self._folder = GrowingFolder(folder, cursor.get("files", {}), suffixes=suffixes)
        self._within = within
        self._shape = shape
        self._opened = opened

    def cursor(self) -> dict[str, Any]:
        return {"files": self._folder.cursors()}

    def __iter__(self) -> Iterator[Item]:
        files = self._folder.files()
        yield from self._folder.closed()
        for name, path in files:
            before = self._folder.before(name)
            if before.get("refused") not in {None, self._shape}:
                before = {key: value for key, value in before.items() if key not in {"refused", "look"}}
            yield from self._folder.read(self._opened(name, path, before))

    def again(self, place: str) -> Item:
        name, path, within = self._folder.find(place, self._within)
        try:
            item = self._opened(name, path, {}).again(int(within[1]))
        except FileNotFoundError:
            item = None
        except OSError:
            return Unreadable(place, Reason.UNREADABLE_FILE)
        if item is None:
            raise PlaceGone(f"no report begins at {place} any more; the next pull reads what the file holds now")
        return item
