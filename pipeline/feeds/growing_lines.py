"""Lines of a file that may still be growing, read on from where the last look stopped. Memory stays flat.

Every look is at a snapshot: only the bytes that the file had when it was opened are read, so that position,
size and time in the cursor always belong together, however fast somebody writes.
"""

import gzip
import hashlib
import io
import os
import stat
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Whoever has not written for this long is done with the line; a copy in progress pauses for less.
QUIET_SECONDS = 10.0
_FINGERPRINT_BYTES = 1024
_BUFFER_BYTES = 1 << 18
_BOM = b"\xef\xbb\xbf"


class Look(StrEnum):
    """How a look at a file ended; None while it is still being read."""

    REACHED = "reached"  # everything is read
    WAITING = "waiting"  # the rest may still be being written
    REPORTED = "reported"  # the rest cannot be read, which was said; looked at again when the file changes


class Trouble(StrEnum):
    """Why a line has no content."""

    TOO_LONG = "too-long"
    BROKEN_GZIP = "broken-gzip"


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line end; `number` counts from 1. `ended` is False for what no line end follows.

    `content` is None exactly when there is `trouble`.
    """

    number: int
    content: bytes | None
    ended: bool
    trouble: Trouble | None = None


def identity(status: os.stat_result) -> list[int]:
    """[size, mtime, ctime, inode], times in nanoseconds: equal when nobody touched the file."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def quiet(cursor: Mapping[str, Any], status: os.stat_result) -> bool:
    """Whether nobody is writing: "the same as at the last look" needs no clocks that agree, "old enough" needs no
    second look.
    """
    return cursor.get("seen") == identity(status) or time.time() - status.st_mtime >= QUIET_SECONDS


def settled(cursor: Mapping[str, Any], status: os.stat_result) -> bool:
    """Whether a file with this cursor needs no look now."""
    return cursor.get("seen") == identity(status) and cursor.get("look") in (Look.REACHED, Look.REPORTED)


class GrowingFile:
    """One look at one file: iterate over `lines()`, `take()` those that are dealt with, oldest first.

    The cursor stands behind the last line taken; say with `leave` why what follows is not. Offsets count
    decompressed bytes in `*.gz`. `begun` tells that the file could be opened; `restarted`, that it is not
    what it was and is read from its start; `quiet`, that nobody is writing; `inode`, which file it was.
    """

    def __init__(self, path: Path, cursor: Mapping[str, Any], *, max_line_bytes: int) -> None:
        self.begun = False
        self.restarted = False
        self.quiet = False
        self.inode = 0
        self.line_number = 0
        self._path = path
        self._before = cursor
        self._max_line_bytes = max_line_bytes
        self._offset = 0
        self._seen: list[int] = []
        self._head = b""
        self._tail = b""
        self._look: Look | None = None
        self._at_end = False
        self._pending: deque[tuple[int, bytes, bytes]] = deque()  # of lines that are out: length, head, tail

    def cursor(self) -> dict[str, Any]:
        """Where the next look goes on, JSON-able: after the last line taken.

        `head` and `tail` are SHA-256 of up to 1,024 bytes at the file's start and just before the offset:
        enough to see that another file has taken this one's name, and no text.
        """
        reached = Look.REACHED if self._at_end and not self._pending else None
        return {
            "offset": self._offset,
            "line": self.line_number,
            "seen": self._seen,
            "head": _sha256(self._head),
            "tail": _sha256(self._tail),
            "look": self._look or reached,
        }

    def take(self, lines: int = 1) -> None:
        for _ in range(lines):
            length, head, tail = self._pending.popleft()
            self._head = self._head + head[: _FINGERPRINT_BYTES - len(self._head)]
            self._tail = (self._tail + tail)[-_FINGERPRINT_BYTES:]
            self._offset += length
            self.line_number += 1

    def leave(self, look: Look) -> None:
        self._look = look

    def lines(self) -> Iterator[Line]:
        """Raises OSError where the file cannot be opened or read."""
        with opened(self._path) as raw:
            status = os.fstat(raw.fileno())
            self._seen, self.inode = identity(status), status.st_ino
            self.quiet = quiet(self._before, status)
            content = self._content(raw, status.st_size)
            if self._before.get("offset") and not self._goes_on(content, status):
                self.restarted = True
                content = self._content(raw, status.st_size)
            self.begun = True
            yield from self._lines(content)

    def _content(self, raw: io.FileIO, size: int) -> IO[bytes]:
        raw.seek(0)
        snapshot = io.BufferedReader(_FirstBytes(raw, size), _BUFFER_BYTES)
        return cast(IO[bytes], gzip.GzipFile(fileobj=snapshot)) if _is_gzip(self._path) else snapshot

    def _goes_on(self, content: IO[bytes], status: os.stat_result) -> bool:
        """Whether this is the file of the cursor, touched or longer; leaves `content` at the offset if so.

        A rewritten file is told from an appended one by its inode (a new export is renamed into place), its
        size (an appended file is longer) and the bytes at both ends of what was read. When in doubt it is
        read again: intake recognises what did not change.
        """
        offset, (size, mtime, _, inode) = self._before["offset"], self._before["seen"]
        same = (status.st_size, status.st_mtime_ns) == (size, mtime)  # chmod, or restored from a backup
        longer = status.st_ino == inode and status.st_size > size
        if not (same or longer):
            return False
        try:
            head = content.read(min(offset, _FINGERPRINT_BYTES))
            content.seek(max(offset - _FINGERPRINT_BYTES, 0))
            tail = content.read(min(offset, _FINGERPRINT_BYTES))
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return False
        if (_sha256(head), _sha256(tail)) != (self._before["head"], self._before["tail"]):
            return False
        self._offset, self.line_number, self._head, self._tail = offset, self._before["line"], head, tail
        return True

    def _lines(self, content: IO[bytes]) -> Iterator[Line]:
        while True:
            number = self.line_number + len(self._pending) + 1
            try:
                line = self._next(content, number)
            except (EOFError, gzip.BadGzipFile, zlib.error):
                self._pending.append((0, b"", b""))
                yield Line(number, None, ended=False, trouble=Trouble.BROKEN_GZIP)
                return
            if line is None:
                self._at_end = True
                return
            yield line

    def _next(self, content: IO[bytes], number: int) -> Line | None:
        read = content.readline(self._max_line_bytes + 1)
        if not read:
            return None
        if len(read) <= self._max_line_bytes or read.endswith(b"\n"):
            self._pending.append((len(read), read[:_FINGERPRINT_BYTES], read[-_FINGERPRINT_BYTES:]))
            line = read.removesuffix(b"\n")
            return Line(number, line.removeprefix(_BOM) if number == 1 else line, ended=read.endswith(b"\n"))
        length, head, tail = len(read), read[:_FINGERPRINT_BYTES], read[-_FINGERPRINT_BYTES:]
        while not read.endswith(b"\n") and (read := content.readline(_BUFFER_BYTES)):
            length += len(read)
            tail = (tail + read)[-_FINGERPRINT_BYTES:]
        self._pending.append((length, head, tail))
        return Line(number, None, ended=tail.endswith(b"\n"), trouble=Trouble.TOO_LONG)


class _FirstBytes(io.RawIOBase):
    """The first `size` bytes of a file; what is appended behind them while they are read is not seen."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file = file
        self._size = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(self._size + offset if whence == os.SEEK_END else offset, whence % os.SEEK_END)

    def readinto(self, buffer: "WriteableBuffer") -> int:
        left = max(self._size - self._file.tell(), 0)
        return self._file.readinto(memoryview(buffer)[:left]) or 0


def opened(path: Path) -> io.FileIO:
    """A regular file, open for reading. Raises OSError."""
    # A named pipe would hold up the night until somebody writes into it.
    raw = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        raw.close()
        raise OSError("not a regular file")
    return raw


def _is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
