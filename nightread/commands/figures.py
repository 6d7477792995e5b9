"""How figures are shown: with their intervals, and hospital by hospital."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from nightread import console

if TYPE_CHECKING:
    from nightread.site_scores import SiteScore


def figure(value: float | None) -> str:
    """A figure; a dash where it means nothing, such as the recall of a finding that nobody has."""
    return "–" if value is None else f"{value:.3f}"


def number(value: int | None) -> str:
    """A whole number, or a dash."""
    return "–" if value is None else str(value)


def interval(value: float | None, between: tuple[float, float] | None) -> str:
    return figure(value) + (f" ({between[0]:.3f} to {between[1]:.3f})" if between else "")


def site_name(site: str) -> str:
    """A site as a table may hold it: files name them."""
    return escape(console.harmless(site))


def seen_note(reports: int) -> str:
    """How many reports could not judge."""
    them = "1 report is" if reports == 1 else f"{reports} reports are"
    return f"{them} left out: the model learnt from the same text at another site."


def site_table(scores: "Sequence[SiteScore]") -> Table:
    """Macro F1 site by site, over as many labels as have a report there."""
    table = Table(title="Site by site", title_justify="left")
    table.add_column("site", overflow="fold")
    table.add_column("where")
    table.add_column("reports", justify="right")
    table.add_column("labels", justify="right")
    # As wide as a figure with its interval: a name is folded before that is.
    table.add_column("macro F1 (95 %)", min_width=22)
    for one in scores:
        found = one.figures
        said = interval(found.macro_f1, found.macro_f1_interval) if found else f"not judged: {one.not_judged}"
        labels = str(one.scored_labels) if found else "–"
        table.add_row(site_name(one.site), one.where or "–", str(one.reports), labels, said)
    return table
