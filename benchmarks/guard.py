"""The guard's figures: recall on made-up positives and false alarms on texts that hold none, per kind.

    .venv/bin/python benchmarks/guard.py [--data ../shared/data] [--quick]

The positives, and negatives written by hand, are tests/unit/identifying_examples.csv. `tuned` and `first-look` were
written before the detectors, `second-look` after, to break them: all three are counted as the detectors stand now.
`held-out` was written last, and nothing was changed for it. The other negatives are the made-up feed and, where there
are any, real reports, sentences and general text (which names people); an alarm prints its place, never the text. The
examples' patterns for record numbers are all in use at once on negatives.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

import benchmark_form
from benchmark_form import Data, is_real, last_line, markdown, progress

from nightread.made_up.reports import Style, reports
from pipeline.identifying import Identifier, kinds

EXAMPLES = Path(__file__).parents[1] / "tests" / "unit" / "identifying_examples.csv"
QUICK = 300  # of each kind of negatives
PARTS = ("tuned", "first-look", "second-look", "held-out")
Example = dict[str, str]
Texts = Iterator[tuple[str, str]]  # place, text
Counts = Counter[tuple[str, str]]  # by part and kind


def main(given: argparse.Namespace) -> None:
    examples = read_examples()
    patterns = sorted({example["record_numbers"] for example in examples} - {""})
    positives, found = recall(examples)
    alarms: dict[str, Counter[str]] = {}
    sizes: dict[str, int] = {}
    places: list[tuple[str, str, str]] = []
    for name, texts in negatives(examples, given.data):
        alarms[name] = Counter()
        sizes[name] = 0
        for place, text in islice(texts, QUICK if given.quick else None):
            sizes[name] += 1
            for kind in kinds(text, record_numbers=patterns):
                alarms[name][kind] += 1
                places.append((name, kind, place))
    for name, found_kind, place in places:
        progress(f"alarm: {name}, {found_kind}, {place}")
    print(f"Recall: found of the made-up positives\n\n{recall_table(positives, found)}\n")
    print(f"Alarms on negatives\n\n{alarm_table(sizes, alarms)}\n")
    figures = {
        "recall": {kind: round(share(found, positives, (kind,)), 4) for kind in Identifier},
        "recall_all": round(share(found, positives, tuple(Identifier)), 4),
        "recall_held_out": round(share(found, positives, tuple(Identifier), ("held-out",)), 4),
        "alarms": {name: alarms[name].total() for name in sizes},
        "texts": sizes,
    }
    last_line(figures, data=Data.BOTH if is_real(given.data) else Data.MADE_UP, quick=given.quick)


def share(found: Counts, positives: Counts, of: tuple[str, ...], parts: tuple[str, ...] = PARTS) -> float:
    """Of the positives of these kinds and parts, how many were found."""
    return total(found, of, parts) / total(positives, of, parts)


def total(counts: Counts, of: tuple[str, ...], parts: tuple[str, ...] = PARTS) -> int:
    return sum(counts[part, kind] for part in parts for kind in of)


def recall_table(positives: Counts, found: Counts) -> str:
    rows = []
    for name, of in [*((kind, (kind,)) for kind in Identifier), ("all", tuple(Identifier))]:
        per_part = (f"{total(found, of, (part,))}/{total(positives, of, (part,))}" for part in PARTS)
        of_all = f"{total(found, of)}/{total(positives, of)}"
        rows.append((name, *per_part, of_all, f"{share(found, positives, of):.3f}"))
    return markdown(("kind", *PARTS, "all", "recall"), rows)


def alarm_table(sizes: Mapping[str, int], alarms: Mapping[str, Counter[str]]) -> str:
    columns = ("texts", "how many", *(kind.removesuffix("-number") for kind in Identifier))
    rows = ((name, size, *(alarms[name][kind] for kind in Identifier)) for name, size in sizes.items())
    return markdown(columns, rows)


def read_examples() -> list[Example]:
    with EXAMPLES.open(encoding="utf-8", newline="") as stream:
        stream.readline()  # says that they are made up
        return list(csv.DictReader(stream))


def recall(examples: list[Example]) -> tuple[Counts, Counts]:
    """Positives and those found, by part and kind. Only a hospital's own pattern is in use for its example."""
    positives: Counts = Counter()
    found: Counts = Counter()
    for example in examples:
        own = [example["record_numbers"]] if example["record_numbers"] else []
        seen = kinds(example["text"], record_numbers=own)
        for kind in example["kinds"].split():
            positives[example["part"], kind] += 1
            found[example["part"], kind] += kind in seen
    return positives, found


def negatives(examples: list[Example], data: Path) -> Iterator[tuple[str, Texts]]:
    by_hand = ((f"{example['part']}:{number}", example) for number, example in enumerate(examples))
    yield "by hand", ((place, example["text"]) for place, example in by_hand if not example["kinds"])
    for style in Style:
        feed = reports(500, seed=1, styles={style: 1.0})
        yield f"made-up {style}", ((report.source_id, report.text) for report in feed)
    if not is_real(data):
        progress(f"no real data in {data}: all negatives are made up")
        return
    yield "CT-RATE reports", table_rows(data / "chest-ct-reports" / "reports.csv", "report_text")
    yield "Open-I sentences", table_rows(data / "radiology-sentences" / "openi_filename_section_sent.csv", "Sentence")
    for folder in ("text/ko", "text/ko-en", "text/en", "similarity/korsts", "similarity/stsb"):
        files = sorted(path for path in (data / folder).iterdir() if not path.name.startswith(("LICENSE", "License")))
        yield f"{folder} lines", chain.from_iterable(map(lines, files))


def table_rows(file: Path, column: str) -> Texts:
    with file.open(encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream), 2):
            yield f"{file.name}:{number}", row[column]


def lines(file: Path) -> Texts:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        yield f"{file.name}:{number}", line


if __name__ == "__main__":
    parser = benchmark_form.parser(
        __doc__, quick=f"{QUICK} texts of each kind", data="all negatives are made up or written by hand"
    )
    main(parser.parse_args())
