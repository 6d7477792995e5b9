"""An explanation on a terminal."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from rich.console import RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.text import Text

from nightread.console import harmless
from nightread.pages import numbers, shading
from nightread.pages.shading import LEVELS, Heatmap, Passage, Piece
from pipeline.explanations import Explained, Explanation

# The page's orange and sky blue, each over white: black reads on all of them, on light and on dark terminals.
_FOR, _AGAINST = (230, 159, 0), (86, 180, 233)
_BAR = 30


def lines(explanation: Explanation, *, zone: ZoneInfo) -> Iterator[RenderableType]:
    """What the page says, line by line: colours for who sees them, underline and italics for everybody."""
    yield from _header(explanation, zone)
    for number, finding in enumerate(explanation.findings, 1):
        yield Text()
        yield from _finding(number, finding, shading.shaded(explanation.text, finding))
    yield Text()
    if explanation.findings:
        yield Text.assemble(
            "Shaded: ", _piece(Piece("speaks for", 1.0, LEVELS)), ", ", _piece(Piece("speaks against", -1.0, -LEVELS)),
            "; the darkest of each finding is its heaviest word.",
        )  # fmt: skip
    if explanation.absent:
        likeliest = ", ".join(f"{one.name} {numbers.probability(one.probability)}" for one in explanation.absent[:3])
        yield Text(f"Not found: {len(explanation.absent)} labels; the likeliest: {likeliest}.", style="dim")
    yield Text(
        f"Model version {explanation.model_version} ({explanation.foundation}), "
        f"labelled {numbers.minute(explanation.labelled_at, zone)}.",
        style="dim",
    )


def _header(explanation: Explanation, zone: ZoneInfo) -> Iterator[Text]:
    facts = (
        explanation.site,
        f"accession {explanation.accession}" if explanation.accession else f"source id {explanation.source_id}",
        f"study {numbers.day(explanation.study_at, zone)}",
        numbers.LANGUAGES[explanation.language],
    )
    yield Text.assemble((f"Report {explanation.report_id}", "bold"), f" · {harmless(' · '.join(facts))}")
    if explanation.flagged:
        yield Text("An amendment could not be taken in: this text may be out of date.", style="yellow")
    if explanation.stale:
        yield Text("A newer model serves by now; its labels for this report have not come.", style="yellow")
    total = len(explanation.findings) + len(explanation.absent)
    yield Text(f"{len(explanation.findings) or 'None'} of {total} findings stated")


def _finding(number: int, finding: Explained, heatmap: Heatmap) -> Iterator[RenderableType]:
    label = finding.label
    name = f"{label.name} / {label.korean_name}" if label.korean_name else label.name
    yield Text.assemble(f"{number}  ", (name, "bold"))
    yield Text.assemble(
        "   ", _bar(label.probability, label.threshold), f" {numbers.judged(label.probability, label.threshold)}"
    )
    for passage in heatmap.passages:
        yield _passage(passage)
    for_it, against_it = heatmap.strongest()
    for said, pieces in (("for", for_it), ("against", against_it)):
        if pieces:
            named = ", ".join(f"{harmless(piece.text)} {numbers.weight(piece.weight or 0.0)}" for piece in pieces)
            yield Text(f"   {said}: {named}", style="dim")


def _passage(passage: Passage) -> Padding:
    shown = Text("" if passage.is_main else "also: ")
    for piece in passage.pieces:
        shown.append_text(_piece(piece))
    return Padding(shown, (0, 0, 0, 3))


def _piece(piece: Piece) -> Text:
    words = Text(harmless(piece.text))
    if piece.level:
        strength = abs(piece.level) / LEVELS
        red, green, blue = (
            round(255 + (channel - 255) * strength) for channel in (_FOR if piece.level > 0 else _AGAINST)
        )
        words.stylize(
            Style(
                color="black",
                bgcolor=f"rgb({red},{green},{blue})",
                underline=piece.level > 0,
                italic=piece.level < 0,
            )
        )
    return words


def _bar(probability: float, threshold: float) -> Text:
    filled, tick = round(probability * _BAR), min(round(threshold * _BAR), _BAR - 1)
    return Text("".join("┃" if place == tick else "█" if place < filled else "░" for place in range(_BAR)))
