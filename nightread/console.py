"""What people see: text and tables on stdout, progress on stderr, as bars on a terminal and as log lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

SECONDS_BETWEEN_LINES = 5.0

# What a terminal takes for orders, and what turns the direction of writing; line breaks and tabs are all a text may do.
_ORDERS: dict[int, str] = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n"
} | {ord("\r"): ""}


def may_show_texts() -> bool:
    """Whether report text may be printed: to people at a terminal, and nowhere else.

    The stream itself is asked: FORCE_COLOR makes a terminal of any file in rich's eyes.
    """
    return sys.stdout.isatty()


def harmless(text: str) -> str:
    """A text from outside whose control characters can do nothing to a terminal."""
    return text.translate(_ORDERS)


def local_time(moment: datetime | None, zone: ZoneInfo) -> str:
    """The minute on the clocks of `zone`; nothing if there is no such moment."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else ""


class Tracker:
    """Shows how far something long has come; `total` may be learnt late, `note` says what cannot be counted."""

    def __init__(self, title: str, total: int | None) -> None:
        self.title, self.total, self.done, self.note = title, total, 0, ""

    def update(self, done: int, *, total: int | None = None, note: str = "") -> None:
        self.done, self.note = done, note
        self.total = total if total is not None else self.total
        self._show()

    def _show(self) -> None:
        """A bare tracker shows nothing."""


class _Bar(Tracker):
    def __init__(self, title: str, total: int | None, progress: Progress) -> None:
        super().__init__(title, total)
        self._progress = progress
        self._task = progress.add_task(title, total=total, note="")

    def _show(self) -> None:
        self._progress.update(self._task, completed=self.done, total=self.total, note=self.note)


class _Lines(Tracker):
    def __init__(self, title: str, total: int | None) -> None:
        super().__init__(title, total)
        self._shown_at = time.monotonic()

    def _show(self) -> None:
        if time.monotonic() - self._shown_at >= SECONDS_BETWEEN_LINES:
            self._shown_at = time.monotonic()
            self.line()

    def line(self) -> None:
        of = f" of {self.total}" if self.total is not None else ""
        sys.stderr.write(f"{self.title}: {self.done}{of} {self.note}".rstrip() + "\n")


@contextmanager
def tracked(title: str, total: int | None = None) -> Iterator[Tracker]:
    """A progress bar for as long as the body runs; without a terminal a line every few seconds and at the end."""
    if not err.is_terminal:
        lines = _Lines(title, total)
        yield lines
        lines.line()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=err) as progress:
        yield _Bar(title, total, progress)
