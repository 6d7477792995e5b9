"""Parquet: a folder that grows by files; rows are read in small batches, row group by row group.

A Parquet file is whole or it is none: its columns are listed at its end. One that cannot be opened may still
be being written, and is left for the next pull unless it has been quiet for 10 s or since the last look.
"""

import io
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet, types

from pipeline.feeds.growing_lines import Look, identity, opened, quiet
from pipeline.feeds.record import Item, Reason, Unreadable
from pipeline.feeds.table_row import Cell, Meaning, TableRefused, read_row

SUFFIXES = (".parquet",)
WITHIN = re.compile(r":row ([0-9]+)$")
BATCH_ROWS = 128
# Read as a stream: a column of a row group may be larger than the memory.
_BUFFER_BYTES = 1 << 20

_AS_BYTES = (
    types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary,
    types.is_binary_view, types.is_null,
)  # fmt: skip
_AS_MICROSECONDS = (types.is_timestamp, types.is_date)
_AS_THEY_ARE = (types.is_boolean, types.is_integer, types.is_floating, types.is_decimal)
_EPOCH = datetime(1970, 1, 1)  # without a zone, as a column may be: then it is in the feed's


class _Broken(Exception):
    """This much of the file is not what Parquet says it should be."""


class ParquetFile:
    """One look at one Parquet file. Rows count from 1, through all row groups.

    A row group that cannot be read is one item; the others are read. The cursor is good for this very file:
    one that has been replaced is read from its start.
    """

    def __init__(self, name: str, path: Path, before: Mapping[str, Any], *, meaning: Meaning, shape: str) -> None:
        self.name, self.path, self.before = name, path, before
        self._meaning = meaning
        self._shape = shape
        self._seen: list[int] = []
        self._row = 0
        self._look: Look | None = None
        self._refused = False

    def cursor(self) -> dict[str, Any] | None:
        if not self._seen:
            return None
        refused = {"refused": self._shape} if self._refused else {}
        return {"seen": self._seen, "row": self._row, "look": self._look, **refused}

    def __iter__(self) -> Iterator[Item]:
        with opened(self.path) as raw:
            status = os.fstat(raw.fileno())
            self._seen = identity(status)
            if self.before.get("seen", [])[:2] == self._seen[:2]:  # chmod, or restored from a backup: the same file
                self._row = self.before.get("row", 0)
            try:
                for number, item in self._items(raw, self._row):
                    self._row = number
                    yield item
                self._look = Look.REACHED
            except TableRefused as refused:
                self._refused, self._look = True, Look.REPORTED
                yield Unreadable(self.name, refused.reason)
            except _Broken:
                self._look = Look.REPORTED if quiet(self.before, status) else Look.WAITING
                if self._look is Look.REPORTED:
                    yield Unreadable(self.name, Reason.BROKEN_PARQUET)

    def again(self, number: int) -> Item | None:
        place = f"{self.name}:row {number}"
        try:
            with opened(self.path) as raw:
                return next((item for _, item in self._items(raw, number - 1) if item.place == place), None)
        except TableRefused as refused:
            return Unreadable(place, refused.reason)
        except _Broken:
            return Unreadable(place, Reason.BROKEN_PARQUET)

    def _items(self, raw: io.FileIO, done: int) -> Iterator[tuple[int, Item]]:
        """(how many rows are dealt with, item) for every row behind the first `done`.

        Raises `TableRefused` or, where the file has no readable end, `_Broken`.
        """
        file = _attempt(lambda: parquet.ParquetFile(raw, buffer_size=_BUFFER_BYTES, pre_buffer=False))
        schema = _attempt(lambda: file.schema_arrow)
        columns = {field: schema.names[at] for field, at in self._meaning.positions(schema.names).items()}
        _refuse_types(schema, columns)
        end = 0
        for group in range(file.num_row_groups):
            start, end = end, end + file.metadata.row_group(group).num_rows
            done = max(done, start)
            if done >= end:
                continue
            batches = file.iter_batches(
                batch_size=BATCH_ROWS, row_groups=[group], columns=list(set(columns.values())), use_threads=False
            )
            try:
                for cells in _rows(batches, columns, skip=done - start):
                    done += 1
                    yield done, read_row(f"{self.name}:row {done}", cells, self._meaning)
            except _Broken:
                yield end, Unreadable(f"{self.name}:row {done + 1}", Reason.BROKEN_PARQUET)
                done = end


def _attempt(what: Any) -> Any:
    """Call into Arrow; what it raises over a broken file becomes `_Broken`, a failing disk stays OSError."""
    try:
        return what()
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _Broken from None  # the message may quote


def _refuse_types(schema: Any, columns: Mapping[str, str]) -> None:
    for field, column in columns.items():
        kind = schema.field(column).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        allowed = _AS_BYTES if field == "text" else _AS_BYTES + _AS_MICROSECONDS + _AS_THEY_ARE
        if not any(is_one(kind) for is_one in allowed):
            raise TableRefused(Reason.WRONG_TYPE, column)


def _rows(batches: Iterator[Any], columns: Mapping[str, str], *, skip: int) -> Iterator[dict[str, Cell]]:
    while (batch := _attempt(lambda: next(batches, None))) is not None:
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        batch, skip = batch.slice(skip), 0
        cells = _attempt(partial(_cells_of, batch))
        for row in range(batch.num_rows):
            yield {field: cells[column][row] for field, column in columns.items()}


def _cells_of(batch: Any) -> dict[str, list[Cell]]:
    return {name: _cells(batch.column(name)) for name in batch.schema.names}


def _cells(column: Any) -> list[Cell]:
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if any(is_one(column.type) for is_one in _AS_BYTES):
        # Arrow trusts its strings to be UTF-8; these came from somebody else's file.
        raw = column.cast(pa.large_binary()).to_pylist()
        return [value if value is None else value.decode("utf-8", "surrogateescape") for value in raw]
    if any(is_one(column.type) for is_one in _AS_MICROSECONDS):
        zoned = types.is_timestamp(column.type) and column.type.tz is not None
        # By way of numbers, because Arrow's own conversion raises for a year that Python does not have.
        times = column.cast(pa.timestamp("us", tz="UTC" if zoned else None), safe=False)
        epoch = _EPOCH.replace(tzinfo=UTC) if zoned else _EPOCH
        return [_moment(epoch, value) for value in times.cast(pa.int64()).to_pylist()]
    values: list[Cell] = column.to_pylist()
    return values


def _moment(epoch: datetime, microseconds: int | None) -> Cell:
    if microseconds is None:
        return None
    try:
        return epoch + timedelta(microseconds=microseconds)
    except OverflowError:
        return "beyond the calendar"  # no time, so its record is quarantined for that
