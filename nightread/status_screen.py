"""The status on one screen: what wants a look, how last night went, what is stuck, which model, how full the disk."""

from collections.abc import Sequence
from typing import Literal
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from nightread.console import local_time
from pipeline.status import Disk, Model, Run, RunVerdict, Status, UnsettledRefresh
from pipeline.tables import RefreshState

COLOURS = {
    RunVerdict.WORKED: "green",
    RunVerdict.NOTHING: "yellow",
    RunVerdict.WAITING: "yellow",
    RunVerdict.INCOMPLETE: "yellow",
    RunVerdict.FAILED: "red",
}


def screen(now: Status, disk: Disk, alerts: Sequence[str], *, zone: ZoneInfo) -> RenderableType:
    """Everything of `nightread status`; times are told in `zone`."""
    answers = Table.grid(padding=(0, 2))
    answers.add_column(style="bold", no_wrap=True)
    answers.add_column()
    for number, alert in enumerate(alerts):
        answers.add_row(Text("Look at" if not number else "", style="bold red"), Text(alert, style="red"))
    answers.add_row("Last run", _last_run(now.runs, zone))
    answers.add_row("Stuck", _stuck(now))
    answers.add_row("Left out", _left_out(now))
    answers.add_row("Model", _model(now.model, zone))
    if now.refresh is not None and now.refresh.state == RefreshState.OPEN:
        answers.add_row("Refresh", _refresh(now.refresh))
    answers.add_row("Disk", _disk(disk))
    return Group(answers, _reports(now), *_feeds(now, zone), *_runs(now.runs, zone))


def _last_run(runs: Sequence[Run], zone: ZoneInfo) -> Text:
    if not runs:
        return Text("none yet; `nightread pull --wait` makes one now")
    last = runs[0]
    said = Text(f"{last.feed}, {local_time(last.scheduled_at or last.asked_at, zone)}: ")
    said.append(last.verdict, style=COLOURS.get(last.verdict, ""))
    if last.received:
        said.append(f"; {last.labelled} of {last.received} reports labelled")
        said.append(f", {last.failed} failed" if last.failed else "")
    if last.seconds is not None:
        said.append(f" in {duration(last.seconds)}")
    return said


def _stuck(now: Status) -> Text:
    said = Text()
    for reason in now.waiting:
        said.append(f"waiting: {reason}\n", style="yellow")
    parts = [f"{now.jobs_running} running", f"{now.jobs_ready} ready", f"{now.dead_letters} dead letters"]
    if not now.waiting and not now.dead_letters:
        said.append("nothing; ")
    return said.append(f"jobs: {', '.join(parts)}")


def _model(model: Model | None, zone: ZoneInfo) -> Text:
    if model is None:
        return Text("none serves yet; run `nightread train … --promote`")
    since = f", since {local_time(model.promoted_at, zone)}" if model.promoted_at else ""
    gate = f", macro F1 {model.gate_macro_f1:.3f} on its gate" if model.gate_macro_f1 is not None else ""
    return Text(f"version {model.version} ({model.foundation}), {model.labels} labels{gate}{since}")


def _refresh(refresh: UnsettledRefresh) -> Text:
    share = f" {refresh.share:.0%}" if refresh.share is not None else ""
    left = f", {duration(refresh.seconds_left)} left" if refresh.seconds_left is not None else ""
    return Text(f"{refresh.refresh} is at {refresh.stage}{share}{left} ({refresh.reason})")


def _disk(disk: Disk) -> Text:
    return Text(
        f"{disk.used_share:.0%} of {decimal(disk.total)} used, {decimal(disk.free)} free; "
        f"database {decimal(disk.database)}, models {decimal(disk.models)}"
    )


def _left_out(now: Status) -> Text:
    said = Text(f"{now.quarantined} in quarantine, {now.skipped} skipped")
    return said.append(f"; {now.stale} labelled ones still show an older model's labels") if now.stale else said


def _reports(now: Status) -> RenderableType:
    """The sum that has to come out: received = labelled + pending + dead + withdrawn."""
    reports = _table("Reports (current versions)")
    for column in ("received", "labelled", "pending", "dead", "withdrawn"):
        reports.add_column(column, justify="right")
    reports.add_row(*map(str, (now.received, now.labelled, now.pending, now.dead, now.withdrawn)))
    return reports


def _feeds(now: Status, zone: ZoneInfo) -> list[RenderableType]:
    if not now.feeds:
        return []
    feeds = _table("Feeds")
    for column in ("feed", "last pulled", "last brought reports", "state"):
        feeds.add_column(column)
    for feed in now.feeds:
        state = Text("paused" if feed.paused_since else (feed.alert or "well").replace("-", " "))
        state.stylize("dim" if feed.paused_since else "red" if feed.alert else "green")
        feeds.add_row(
            Text(feed.feed), local_time(feed.last_done_at, zone), local_time(feed.last_brought_at, zone), state
        )
    return [feeds]


def _runs(runs: Sequence[Run], zone: ZoneInfo) -> list[RenderableType]:
    if not runs:
        return []
    shown = _table("Last runs")
    for column in ("feed", "night", "received", "labelled", "failed", "took", "how it went"):
        justify: Literal["left", "right"] = "right" if column in {"received", "labelled", "failed", "took"} else "left"
        shown.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis")
    for run in runs:
        went = Text(run.error if run.error and run.verdict is not RunVerdict.WORKED else run.verdict)
        went.stylize(COLOURS.get(run.verdict, ""))
        shown.add_row(
            Text(run.feed),
            local_time(run.scheduled_at or run.asked_at, zone),
            str(run.received),
            str(run.labelled),
            str(run.failed),
            duration(run.seconds) if run.seconds is not None else "",
            went,
        )
    return [shown]


def _table(title: str) -> Table:
    """Without lines, so that everything fits one screen of 24 lines."""
    return Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=None, padding=(0, 2, 0, 0)
    )


def duration(seconds: float) -> str:
    """Seconds in words, e.g. "4 min 10 s"."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
