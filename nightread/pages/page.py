"""An explanation as one HTML page that stands alone: no script, no font and no picture from anywhere."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from nightread.pages import files, numbers, shading
from pipeline.explanations import Explanation


def report(explanation: Explanation, *, zone: ZoneInfo, made_at: datetime, nightread: str, index: bool = False) -> str:
    """The page of one report; with a way back to the `index` if it is one of a sample."""
    shown = [(finding, shading.shaded(explanation.text, finding)) for finding in explanation.findings]
    sentences = [(finding.sentence_start, finding.sentence_end) for finding in explanation.findings]
    return _template("report.html").render(
        report=explanation,
        findings=shown,
        stretches=shading.cited(explanation.text, sentences),
        index=files.INDEX if index else None,
        zone=zone,
        made_at=made_at,
        nightread=nightread,
    )


def index(explanations: Sequence[Explanation], *, zone: ZoneInfo, made_at: datetime, nightread: str, seed: int) -> str:
    """The page that leads to those of a sample. It holds no report text."""
    return _template("index.html").render(
        reports=explanations, page_of=files.name, zone=zone, made_at=made_at, nightread=nightread, seed=seed
    )


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=PackageLoader("nightread", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.globals["levels"] = shading.LEVELS
    pages.globals["languages"] = numbers.LANGUAGES
    for filter_ in (numbers.probability, numbers.weight, numbers.day, numbers.minute):
        pages.filters[filter_.__name__] = filter_
    pages.globals["judged"] = numbers.judged
    return pages


def _template(name: str) -> Template:
    return _pages().get_template(name)
