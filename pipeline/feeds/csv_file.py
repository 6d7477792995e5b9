"""CSV: a folder that grows by files with a header line each, plain or gzipped; rows are read as they come.

RFC 4180: fields may be quoted, and then hold delimiters, line breaks and doubled quotes. Columns stand in
any order; those that the settings do not name are ignored.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.feeds import report_text
from pipeline.feeds.csv_rows import Row, rows
from pipeline.feeds.growing_lines import GrowingFile, Look
from pipeline.feeds.record import Item, Reason, Unreadable
from pipeline.feeds.table_row import Meaning, TableRefused, read_row
from pipeline.settings import InvalidSettings

SUFFIXES = (".csv", ".csv.gz")
WITHIN = re.compile(r":([0-9]+)$")
# A row holds the text, its quotes doubled, beside the other columns; what is longer is nobody's report.
_LEAST_ROW_BYTES = 16 << 20
_ROW_FACTOR = 4
# Codecs whose bytes mean something else after a shift.
_STATEFUL = ("iso2022", "hz", "utf-7", "utf_7")


def usable_encoding(name: str) -> str:
    """The codec for an encoding's name. Raises `InvalidSettings` where lines cannot be told by their bytes."""
    codec = codecs.lookup(report_text.CODECS.get(name.lower(), name)).name.removesuffix("-sig")  # lines know the mark
    try:
        plain = '\r\n"'.encode(codec) == b'\r\n"' and not codec.startswith(_STATEFUL)
    except LookupError:  # a codec for something else than text
        plain = False
    if not plain:
        raise InvalidSettings(f"a CSV feed cannot be read in {name}; export it as utf-8, or as cp949 and the like")
    return codec


class CsvFile:
    """One look at one CSV file.

    A last row without line end may still be being written: it is left for the next pull, unless the file has
    been quiet for 10 s or since the last look; then it is given as it stands, and again when the file changes.

    After a row that is broken or has the wrong number of fields, what follows may be the middle of its text.
    Such a line is not taken for a report with a piece of text for its id: until a row of the right length with
    an id in one word comes, the file counts as torn.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        before: Mapping[str, Any],
        *,
        encoding: str,
        delimiter: str,
        meaning: Meaning,
        shape: str,
    ) -> None:
        self.name, self.path, self.before = name, path, before
        self._encoding, self._delimiter, self._shape = encoding, delimiter, shape
        utf_8 = encoding == "utf-8"
        self._meaning = replace(meaning, undecodable=Reason.INVALID_UTF_8 if utf_8 else Reason.INVALID_CHARSET)
        self._max_row_bytes = max(_LEAST_ROW_BYTES, _ROW_FACTOR * meaning.max_text_bytes)
        self._lines = GrowingFile(path, before, max_line_bytes=self._max_row_bytes)
        self._torn = bool(before.get("torn", False))
        self._refused = False

    def cursor(self) -> dict[str, Any] | None:
        if not self._lines.begun:
            return None
        refused = {"refused": self._shape} if self._refused else {}
        return {**self._lines.cursor(), **refused, "torn": self._torn}

    def __iter__(self) -> Iterator[Item]:
        header, inode = self._header()
        positions, refusal = self._columns(header)
        for row in self._rows(self._lines):
            if self._lines.inode != inode:
                return  # another file has just taken this one's name; the next pull reads it
            if row.number == 1:
                self._torn = False  # also in a file that is not what it was
            is_header = row.number <= header.number
            if row.ended and (row.blank or (is_header and refusal is None)):
                self._lines.take(row.lines)
                continue
            if not row.ended and not self._lines.quiet:
                self._lines.leave(Look.WAITING)
                return
            if refusal is not None:
                self._refused = True
                self._lines.leave(Look.REPORTED)
                yield Unreadable(self.name, refusal)
                return
            if not row.ended:
                self._lines.leave(Look.REPORTED)
                if not row.blank and not is_header:
                    yield self._item(row, len(header.fields), positions)
                return
            item = self._item(row, len(header.fields), positions)
            self._lines.take(row.lines)
            yield item

    def again(self, number: int) -> Item | None:
        header, _ = self._header()
        positions, refusal = self._columns(header)
        if refusal is not None and header.number:
            return Unreadable(f"{self.name}:{number}", refusal)
        # A place is where a pull found it, which split what a quote had swallowed: however new the file's time is.
        for row in self._rows(self._lines, split=True):
            if row.number == number and not row.blank and number > header.number:
                if not (row.ended or self._lines.quiet):
                    return Unreadable(f"{self.name}:{number}", row.reason or Reason.BROKEN_CSV)
                return self._item(row, len(header.fields), positions)
            if row.number >= number:
                return None
            if not row.blank and row.number > header.number:
                self._problem(row, len(header.fields), positions)
            self._lines.take(row.lines)
        return None

    def _header(self) -> tuple[Row, int]:
        """The first row that is not blank, and the inode of the file that has it; every look needs it anew."""
        lines = GrowingFile(self.path, {}, max_line_bytes=self._max_row_bytes)
        for row in self._rows(lines):
            if not row.blank:
                return row, lines.inode
            lines.take(row.lines)
        return Row(number=0, lines=0, ended=False), lines.inode

    def _columns(self, header: Row) -> tuple[dict[str, int], str | None]:
        """Where the fields stand, or why the whole file is refused."""
        if header.reason is not None:
            return {}, header.reason
        try:
            return self._meaning.positions([name.strip() for name in header.fields]), None
        except TableRefused as refused:
            return {}, refused.reason

    def _rows(self, lines: GrowingFile, *, split: bool = False) -> Iterator[Row]:
        return rows(
            lines.lines(),
            encoding=self._encoding,
            delimiter=self._delimiter,
            max_row_bytes=self._max_row_bytes,
            quiet=lambda: split or lines.quiet,
        )

    def _item(self, row: Row, width: int, positions: Mapping[str, int]) -> Item:
        place = f"{self.name}:{row.number}"
        problem = self._problem(row, width, positions)
        if problem is not None:
            return Unreadable(place, problem)
        return read_row(place, {field: row.fields[at] for field, at in positions.items()}, self._meaning)

    def _problem(self, row: Row, width: int, positions: Mapping[str, int]) -> Reason | None:
        """Why a row cannot even be told to be one; remembers whether the file is torn from here."""
        problem = row.reason
        if problem is None and len(row.fields) != width:
            problem = Reason.WRONG_NUMBER_OF_FIELDS
        if problem is None and self._torn and len(row.fields[positions["source_id"]].split()) != 1:
            problem = Reason.BROKEN_CSV
        if row.ended:
            self._torn = problem is not None
        return problem
