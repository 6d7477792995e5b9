"""Documents from files: plain text (a paragraph each), a column of CSV or Parquet (a row each). No encoding is guessed.

What cannot be read is told by its place, in whatever is left of the file.
"""

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow
import pyarrow.parquet

from models.corpus_text import Dropped, paragraphs
from pipeline.errors import NightreadError
from pipeline.feeds.csv_rows import rows
from pipeline.feeds.growing_lines import Line

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_PARQUET = ".parquet"
_BOM = b"\xef\xbb\xbf"
_LONGEST_ROW = 64 << 20
_ROWS_AT_ONCE = 1_000
# What tells an encoding of texts, long enough that none of names (idna) takes it for one.
_SAMPLE = '\n"' * 100


class CorpusError(NightreadError):
    """A corpus cannot be made, or read."""


@dataclass(frozen=True, slots=True)
class Document:
    """A paragraph of a text, or a row of a table."""

    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A line or row that cannot be read: `place` is its file and number."""

    place: str
    reason: Dropped


def read(path: Path, stream: IO[bytes], *, column: str, encoding: str) -> Iterator[Document | Fault]:
    """What is in the file, which is open as `stream`; its name says what it is: .csv, .tsv, .parquet, else plain text,
    each but Parquet also as .gz.

    Raises CorpusError if there is no such column, or if the file is something else than its name says.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    try:
        if suffix == _PARQUET:
            yield from _parquet(path, stream, column)
            return
        lines = _lines(gzip.GzipFile(fileobj=stream) if path.name.endswith(".gz") else stream)
        if suffix in _DELIMITERS:
            yield from _table(path, lines, column, _line_codec(encoding), _DELIMITERS[suffix])
        else:
            yield from _text(path, lines, _line_codec(encoding))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(f"{path} is a broken gzip file ({error}); get it again") from None
    except pyarrow.ArrowException as error:
        raise CorpusError(f"{path} is no Parquet file that can be read ({type(error).__name__})") from None


def _text(path: Path, lines: Iterator[Line], codec: str) -> Iterator[Document | Fault]:
    faults: list[Fault] = []

    def decoded() -> Iterator[str]:
        for line in lines:
            try:
                yield _decoded(line.content or b"", codec)
            except ValueError:
                faults.append(Fault(f"{path}:{line.number}", Dropped.UNDECODABLE))
                yield ""  # nothing goes on across it

    for paragraph in paragraphs(decoded()):
        yield Document(paragraph)
        yield from faults
        faults.clear()
    yield from faults


def _table(path: Path, lines: Iterator[Line], column: str, codec: str, delimiter: str) -> Iterator[Document | Fault]:
    wanted: int | None = None
    width = 0
    for row in rows(lines, encoding=codec, delimiter=delimiter, max_row_bytes=_LONGEST_ROW, quiet=lambda: True):
        place = f"{path}:{row.number}"
        if row.blank:
            continue
        if wanted is None:
            if row.reason is not None or not all(map(_is_text, row.fields)):
                raise CorpusError(
                    f"{place}: the line that names the columns is no text in {codec}, or its quotes are broken; say "
                    "what it is with --encoding, e.g. cp949"
                )
            names = [name.strip() for name in row.fields]
            if column not in names:
                # They are not quoted: where a table does not name its columns, they are somebody's text.
                raise CorpusError(
                    f"{place}: none of the {len(names)} columns named there is {column!r}; name one with --column, or "
                    "put a line with names before the rows"
                )
            wanted, width = names.index(column), len(names)
        elif row.reason is not None or len(row.fields) != width:
            yield Fault(place, Dropped.BROKEN_ROW)
        elif _is_text(row.fields[wanted]):
            yield Document(row.fields[wanted])
        else:
            yield Fault(place, Dropped.UNDECODABLE)


def _parquet(path: Path, stream: IO[bytes], column: str) -> Iterator[Document | Fault]:
    file: Any = pyarrow.parquet.ParquetFile(stream)
    names = list(file.schema_arrow.names)
    if column not in names:
        raise CorpusError(f"{path} has no column {column!r}; name one with --column: {', '.join(names)}")
    kind = file.schema_arrow.field(names.index(column)).type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        raise CorpusError(f"column {column!r} of {path} holds {kind} and no text; name another with --column")
    number = 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[column]):
        # As bytes: one bad value would spoil all of its batch.
        for value in batch.column(0).cast(pyarrow.large_binary()).to_pylist():
            number += 1
            if value is None:
                continue
            try:
                yield Document(_decoded(value, "utf-8"))
            except ValueError:
                yield Fault(f"{path}:{number}", Dropped.UNDECODABLE)


def _lines(stream: Iterable[bytes]) -> Iterator[Line]:
    for number, raw in enumerate(stream, 1):
        content = raw.removeprefix(_BOM) if number == 1 else raw
        yield Line(number, content.rstrip(b"\r\n"), ended=raw.endswith(b"\n"))


def _decoded(content: bytes, codec: str) -> str:
    """Raises ValueError if it is no text. NUL is in none: it tells of UTF-16, or of something else."""
    if b"\0" in content:
        raise ValueError
    return content.decode(codec)


def _is_text(field: str) -> bool:
    """Whether no byte had to be smuggled through."""
    return "\0" not in field and not any("\ud800" <= sign <= "\udfff" for sign in field)


def _line_codec(name: str) -> str:
    try:
        codec = codecs.lookup(name).name.removesuffix("-sig")
        plain = _SAMPLE.encode(codec) == _SAMPLE.encode("ascii")
    except (LookupError, ValueError):
        raise CorpusError(f"{name!r} is no encoding that Python knows; use a name such as utf-8 or cp949") from None
    if not plain:
        raise CorpusError(f"lines cannot be told in {name}; convert the file to utf-8")
    return codec
