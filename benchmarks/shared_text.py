"""The text under ../shared/data that benchmarks of language models read, cleaned, with one document in ten held out.

Without it there are made-up reports, one kind for each language.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from benchmark_form import is_real, progress
from transformers import PreTrainedTokenizerFast

from models.corpus_text import Cleaner
from models.vocabulary import VocabularyError, build
from nightread.made_up.reports import Style, reports

HELD_OUT = 10
_COUNT, _SEED = 1_500, 72  # made-up reports of a language where there is no real text


class Split(NamedTuple):
    """Documents to learn from, and others to judge on."""

    train: list[str]
    held_out: list[str]


def read(data: Path) -> dict[str, Split]:
    """Real text by what it is: `Korean`, `English` (both general), `CT reports` and `X-ray sentences` (English). Where
    `data` is absent, made-up reports, `Korean` and `English`.
    """
    if not is_real(data):
        progress(f"no real data in {data}: the text is made-up reports")
        styles = {"Korean": Style.KOREAN, "English": Style.ENGLISH}
        return {language: _split(made_up(_COUNT, seed=_SEED, style=style)) for language, style in styles.items()}
    text = data / "text"
    xnli = [column for row in _table(text / "ko" / "xnli-dev.ko.tsv", "\t") for column in row.values()]
    return {
        "Korean": _split([*_lines(text, "ko-en/*.ko", "ko/ko_1k_test_query_with_context.txt"), *xnli]),
        "English": _split(_lines(text, "en/*.txt", "ko-en/*.en", "ko/en_1k_test_query_with_context.txt")),
        "CT reports": _split(row["report_text"] for row in ct_reports(data)),
        "X-ray sentences": _split(
            row["Sentence"] for row in _table(data / "radiology-sentences" / "openi_filename_section_sent.csv", ",")
        ),
    }


def ct_reports(data: Path) -> Iterator[dict[str, str]]:
    """Real chest CT reports: `report_text`, and 0 or 1 for every finding."""
    return _table(data / "chest-ct-reports" / "reports.csv", ",")


def vocabulary(texts: list[str], size: int) -> PreTrainedTokenizerFast:
    """A bilingual vocabulary of `size` pieces, or of as many as the texts support."""
    try:
        return build(texts, size).tokenizer
    except VocabularyError as error:
        if error.supported is None:
            raise
        return build(texts, error.supported).tokenizer


def made_up(count: int, *, seed: int, style: Style = Style.MIXED) -> list[str]:
    """Made-up reports of one style."""
    return [report.text for report in reports(count, seed=seed, styles={style: 1.0})]


def _split(documents: Iterable[str]) -> Split:
    split = Split([], [])
    cleaner = Cleaner()
    for text in map(cleaner.clean, documents):
        if text is not None:
            (split.held_out if crc32(text.encode()) % HELD_OUT == 0 else split.train).append(text)
    return split


def _lines(folder: Path, *patterns: str) -> Iterator[str]:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            yield from path.read_text(encoding="utf-8").splitlines()


def _table(path: Path, delimiter: str) -> Iterator[dict[str, str]]:
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream, delimiter=delimiter, quoting=quoting)
