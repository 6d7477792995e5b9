"""Rows of a CSV file (RFC 4180) from its lines, each knowing the lines it takes. Memory stays bounded."""

import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.feeds.growing_lines import Line, Trouble
from pipeline.feeds.record import Reason

# Nobody's report is longer; each line that is held while a quote stays open costs more than its bytes.
MOST_LINES = 50_000


@dataclass(frozen=True, slots=True)
class Row:
    """A row that begins in line `number` and takes `lines` lines.

    `ended` is False when more may belong to it: no line end follows it, or it ends within quotes. `reason` says
    why there are no `fields`. Bytes that are no text in the encoding are in them as lone surrogates.
    """

    number: int
    lines: int
    ended: bool
    fields: tuple[str, ...] = ()
    reason: Reason | None = None

    @property
    def blank(self) -> bool:
        """An empty line, or delimiters alone, as spreadsheets leave them behind."""
        return self.reason is None and not any(field.strip() for field in self.fields)


class _NotOneRow(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def rows(
    lines: Iterator[Line], *, encoding: str, delimiter: str, max_row_bytes: int, quiet: Callable[[], bool]
) -> Iterator[Row]:
    """Every line is in exactly one row.

    Of a row that is broken only the first line counts as broken: the lines behind it, which its quotes had
    swallowed, are tried as rows of their own, so that a quote too many costs one report and not the rest.
    That holds at the end of the lines too, once `quiet` says that nobody is writing; until then a row that runs to
    the end is one that has not ended, for its quote may still be closed.
    The encoding must write line ends and quotes as ASCII does.
    """
    ahead: deque[Line] = deque()
    taken: list[Line] = []
    at_end = False

    def pulled() -> Iterator[str]:
        nonlocal at_end
        size = 0
        while True:
            line = ahead.popleft() if ahead else next(lines, None)
            if line is None:
                at_end = True
                return
            taken.append(line)
            if line.content is None:
                broken = line.trouble is Trouble.BROKEN_GZIP
                raise _NotOneRow(Reason.BROKEN_GZIP if broken else Reason.OVERSIZED_LINE)
            size += len(line.content)
            if size > max_row_bytes or len(taken) > MOST_LINES:
                raise _NotOneRow(Reason.OVERSIZED_LINE)
            yield line.content.decode(encoding, "surrogateescape") + "\n" * line.ended

    csv.field_size_limit(max(csv.field_size_limit(), max_row_bytes))  # the module's own is 128 KiB, for everybody
    while True:
        taken.clear()
        at_end = False
        reason = None
        fields: list[str] | None = None
        try:
            fields = next(csv.reader(pulled(), delimiter=delimiter, strict=True), None)
        except csv.Error:  # its message may quote
            reason = Reason.BROKEN_CSV
        except _NotOneRow as stop:
            reason = stop.reason
        if not taken:
            return
        first = taken[0]
        if reason is None and fields is not None:
            yield Row(first.number, len(taken), taken[-1].ended, tuple(fields))
        elif reason is Reason.BROKEN_GZIP or (at_end and (len(taken) == 1 or not quiet())):
            # Perhaps the rest of it is still to come.
            yield Row(first.number, len(taken), False, reason=reason)
        else:
            ahead.extendleft(reversed(taken[1:]))
            yield Row(first.number, 1, first.ended, reason=reason)
